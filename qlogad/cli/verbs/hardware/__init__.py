"""Run a trained detector on a device."""
