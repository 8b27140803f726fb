"""The sources to curate: inputs, manifests, identities, the append-only table of sources, and their states."""
