"""Text corpora: tokenise files to disk, and read tokens as masked batches."""
