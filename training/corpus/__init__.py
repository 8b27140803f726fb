"""Text corpora: files to tokens on disk, and tokens to masked batches."""
