"""vLLM in process: generation, pooling, and their settings."""
