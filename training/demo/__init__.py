"""The demos `make demo-train` and `make demo-kd`: the real commands with tiny models on the shards of `make demo`."""
