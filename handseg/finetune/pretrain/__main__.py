"""`python -m handseg.finetune.pretrain`, for `torchrun` and `accelerate launch` too."""

from handseg.finetune.pretrain.task import main

if __name__ == "__main__":
    main()
