"""Grounding: the evidence of a clip, the judges of claims, and the text that is made of supported claims."""
