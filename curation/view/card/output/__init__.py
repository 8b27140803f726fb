"""The forms of a card: Markdown with the hub's YAML head, an HTML report, and Croissant metadata."""
