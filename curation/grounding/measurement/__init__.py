"""Measurement of the judges: figures on claims whose truth is known, thresholds fitted from them, and their drift."""
