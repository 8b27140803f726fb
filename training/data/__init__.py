"""From shards to batches: the order of an epoch, decoding, augmentation, collation."""
