"""What the pages ask of the tables of a DIR, straight from Parquet."""
