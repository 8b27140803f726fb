"""Evidence of a clip, and the verifier that decides which claims it supports."""
