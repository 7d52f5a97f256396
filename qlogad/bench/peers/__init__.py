"""Scripts for another Python, with packages that qlogad does not depend on; a benchmark runs them as files."""
