"""From raw log lines to windows: datasets, parsers, windows, and the train/validation/test split."""
