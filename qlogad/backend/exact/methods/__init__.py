"""Methods of the exact engine, one per file: other ways to the same expectation values."""
