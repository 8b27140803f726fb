"""The table of sources of a DIR: Parquet parts by range of shards, and the numbers of spans that overlap."""
