"""`python -m qlogad.cli`."""

from qlogad.cli import main

if __name__ == "__main__":
    main()
