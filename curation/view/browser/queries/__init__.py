"""The queries of the pages to the tables of a DIR, straight from Parquet."""
