"""Several ranks: their numbers and devices, the exchanges between them, and their gradients."""
