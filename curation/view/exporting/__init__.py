"""`curate export`: the command, and the card of an exported dataset."""
