"""Training of VidLA and VidLanKD on curated shards."""
