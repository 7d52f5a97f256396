"""Backends, which run circuits: one per file, behind the protocol of backend.py."""
