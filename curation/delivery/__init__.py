"""Delivery of exports: the upload to the model hub."""
