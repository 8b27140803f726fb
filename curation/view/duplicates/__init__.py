"""`curate dedup` and `curate clean-of`: arguments, and what they print."""
