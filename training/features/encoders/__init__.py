"""Encoders of visual features: from the frames of a root to rows over time."""
