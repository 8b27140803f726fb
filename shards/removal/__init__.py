"""Videos that were removed on request: their tombstones, the record of an unfinished removal, and traces of them."""
