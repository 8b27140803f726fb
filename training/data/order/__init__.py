"""The order of training: which roots and clips make up each batch of each epoch."""
