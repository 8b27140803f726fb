"""Judges that look at pictures: the frames that a claim cites, and the models that compare them with the claim."""
