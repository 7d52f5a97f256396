"""Studies: searching designs and parameters on validation windows."""
