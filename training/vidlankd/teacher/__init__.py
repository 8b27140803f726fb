"""Training of the teacher: its batches, its loss over a global batch, its task."""
