"""The contents of `qlogad list`, `show`, `data describe` and `doctor`."""
