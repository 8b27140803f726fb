"""Events: what happens from when to when, told by a vision-language model from the frames of a clip."""
