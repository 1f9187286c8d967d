"""`python -m landscribe`: the command line."""

from landscribe.cli import main

if __name__ == "__main__":
    main()
