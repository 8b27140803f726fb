"""Visual features of curated clips: encoders, the extraction stage, and the store that reads them."""
