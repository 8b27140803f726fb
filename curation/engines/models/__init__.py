"""Small models that run beside the language model: speech, punctuation, images, objects."""
