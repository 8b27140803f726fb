"""Perceptual duplicates: hashes of frames that agree along a line in time, whatever was done to the file."""
