"""Export of samples for other tools."""
