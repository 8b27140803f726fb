"""`curate select` and `curate remove`: their arguments and reports."""
