"""From raw log lines to windows: data sets, parsers, windows, and the train/validation/test split."""
