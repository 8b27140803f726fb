"""Losses between clips and their texts over the global batch: InfoNCE and the sigmoid loss of SigLIP."""
