"""Selections: the table that marks which clips to keep and their split, and the rows of a text layer with its marks."""
