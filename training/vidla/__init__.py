"""VidLA (CVPR 2024): a two-tower video-text model with hierarchical temporal attention."""
