"""Politeness towards sites: the pace of requests, and when to stop asking."""
