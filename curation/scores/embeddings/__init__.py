"""Vectors of clips and of their texts in one space, and how well they match."""
