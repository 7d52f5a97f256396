"""Building blocks of the exact engine's methods."""
