"""One verb per file; its name is the verb's name, and a folder is a group (see `qlogad.cli.commands`)."""
