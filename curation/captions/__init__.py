"""Keyframes to frame captions."""
