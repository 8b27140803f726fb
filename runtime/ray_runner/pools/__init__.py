"""The processes of a run on Ray: a pool of workers for each stage, a pool of hosts for each service."""
