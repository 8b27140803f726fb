"""Fetching one video: yt-dlp in a guarded process, politeness towards hosts, classes of failure."""
