"""`python -m qlogad`."""

from qlogad.cli import main

if __name__ == "__main__":
    main()
