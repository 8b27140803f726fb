"""`curate audit`: samples of claims for people to judge, and what their labels say."""
