"""Objects: what a detector finds in the pictures, with counts."""
