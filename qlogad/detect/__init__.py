"""Detectors: map features to scores (higher is more anomalous), one per file."""
