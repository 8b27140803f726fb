"""Sources of training clips: shards, webdataset tars, plain files."""
