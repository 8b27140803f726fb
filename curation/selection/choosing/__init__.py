"""`curate select`: a choice of clips by a recipe, from tables alone; what it takes away, and how to repeat it."""
