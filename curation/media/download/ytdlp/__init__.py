"""One attempt at a download: yt-dlp with this project's rules, in a guarded child process."""
