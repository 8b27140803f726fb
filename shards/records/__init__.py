"""The records of a DIR's artifacts in one table, so that a run over a finished DIR opens no other."""
