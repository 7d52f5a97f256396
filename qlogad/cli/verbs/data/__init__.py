"""Look at data sets."""
