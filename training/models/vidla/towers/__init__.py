"""Image towers of open_clip and timm as video towers: one file a family."""
