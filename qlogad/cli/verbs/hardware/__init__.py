"""Take a trained detector to a device."""
