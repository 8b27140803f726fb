"""Training, whatever the model: loop, optimizer, checkpoints, ranks, precision, metrics. It knows no model."""
