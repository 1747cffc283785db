"""`python -m handseg.annotate`, for `torchrun` and `accelerate launch`."""

from handseg.cli.annotate import main

if __name__ == "__main__":
    main()
