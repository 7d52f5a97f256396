"""Where circuits run: one target per file, behind the protocol of backend.py."""
