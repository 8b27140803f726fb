"""Video-text scores: retrieval and classification."""
