"""Methods of the exact engine, one per file: different algorithms for the same expectation values."""
