"""On-screen text: what can be read in the pictures."""
