"""Benchmarks, one per file: ratios and rates of this machine in one run."""
