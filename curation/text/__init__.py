"""Text: from speech and frame captions to the summaries and the grounded text of each clip."""
