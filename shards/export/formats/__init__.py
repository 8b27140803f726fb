"""The formats of an export: how samples are laid out on disk."""
