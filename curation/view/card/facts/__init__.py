"""The figures of a card, each group computed from the tables of a DIR in one module."""
