"""Regular expressions on bytes, compiled: Python's own semantics on ASCII text, callable from other compiled functions."""
