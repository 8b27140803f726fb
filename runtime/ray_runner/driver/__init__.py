"""Ray's driver as a process of its own, and its supervisor: a run survives whatever Ray does to its driver."""
