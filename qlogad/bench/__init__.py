"""Benchmarks, one per file; each compares within one run, because only ratios carry over to other machines."""
