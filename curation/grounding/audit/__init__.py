"""The audit of a text layer by people: a sample of clips, a page to label it on, labels, and the figures they give."""
