"""`curate plan --probe K`: K shards' worth of sources are run aside, and a prediction is made for all of them."""
