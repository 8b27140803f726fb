"""Scores of a model for every clip of a DIR: vectors of clips and texts, their match, and its percentile."""
