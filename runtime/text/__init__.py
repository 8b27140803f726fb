"""Text of any script and any origin: its words, and its characters as UTF-8 can hold them."""
