"""Exact duplicates: equal bytes, and one video of a site under two addresses."""
