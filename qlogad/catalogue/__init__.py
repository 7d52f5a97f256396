"""What `list`, `show` and `doctor` say."""
