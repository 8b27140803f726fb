"""The speech of a video: choose and read subtitles, recognize sound, make words monotone, split them into sentences."""
