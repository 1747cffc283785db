"""`python -m handseg.finetune`, for `torchrun` and `accelerate launch`."""

from handseg.cli.finetune import main

if __name__ == "__main__":
    main()
