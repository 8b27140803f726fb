"""The picture of a video: probing, the one decode and encode, shot detection."""
