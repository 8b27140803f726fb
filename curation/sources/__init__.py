"""What is to be curated: inputs, manifests, identity, and the ledger of outcomes."""
