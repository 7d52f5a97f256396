"""Lines to columns in one compiled pass over their bytes."""
