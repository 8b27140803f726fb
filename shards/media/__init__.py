"""The stored parts of videos: facts, stills, keyframes and their limits."""
