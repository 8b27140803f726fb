"""What a parsed text says, as plain values: things, their attributes and numbers, and who does what to whom."""
