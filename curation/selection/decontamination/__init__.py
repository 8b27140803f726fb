"""Decontamination: clips that show, or say, what a benchmark scores models on."""
