"""Download one video: yt-dlp in a guarded child process, pacing for each host, and classes of failure."""
