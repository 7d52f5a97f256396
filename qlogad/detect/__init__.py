"""Detectors: features in, scores out (higher is more anomalous), one per file."""
