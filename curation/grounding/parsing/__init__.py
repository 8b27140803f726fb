"""The content of a parsed text as plain values: things, their attributes and numbers, and who does what to whom."""
