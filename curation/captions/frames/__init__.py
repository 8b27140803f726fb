"""Frame captions: what the captioner says of each keyframe."""
