"""Ray's processes on this machine: the driver, its supervisor, the node, and how all of them end with a run."""
