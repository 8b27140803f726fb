"""Readers of the annotation files of benchmarks, one file each: ids, sites, spans and captions of their videos."""
