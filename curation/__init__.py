"""From raw web video to shards of clips with visually grounded text."""
