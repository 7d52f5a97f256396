"""Detectors that see a window as one vector, of counts or of any view of rows. One per file."""
