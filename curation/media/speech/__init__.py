"""Speech of a video: subtitles, recognition, words, sentences."""
