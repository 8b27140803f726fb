"""Kernels of the attention over time: one operator with a form for each kind of device."""
