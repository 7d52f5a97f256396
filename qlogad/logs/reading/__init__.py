"""From the bytes of files, archives and tables to log lines and their fields."""
