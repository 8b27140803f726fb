"""The picture of a video: probe the file, decode and encode it once, detect shots, extract candidate stills."""
