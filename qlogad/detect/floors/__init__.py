"""Floors: what a detector must beat to be of use. One per file; none has a network, and most need no more than a table."""
