"""Models that take raw lines."""
