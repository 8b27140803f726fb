"""One shard's texts: captions, summaries, grounded text and the verdict on each claim."""
