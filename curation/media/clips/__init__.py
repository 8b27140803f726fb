"""The clip tree: where a video is cut, which stills show it, and the root clips cut out by copy."""
