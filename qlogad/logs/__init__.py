"""From raw log lines to windows: datasets, the parser, windows and the only place that splits."""
