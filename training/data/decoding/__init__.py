"""From the bytes of a video to the frames of its clips."""
