"""`python -m handseg`."""

from handseg.cli import main

if __name__ == "__main__":
    main()
