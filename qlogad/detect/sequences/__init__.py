"""Detectors that read a window event by event. One per file."""
