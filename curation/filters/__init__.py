"""Named filters that mark clips with the reason they are left out."""
