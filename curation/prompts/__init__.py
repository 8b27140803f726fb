"""Prompt templates, and the wording helpers that prompts and answers share."""
