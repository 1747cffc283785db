"""Train handseg-lite, also in several processes by `torchrun` and `accelerate launch`.

    python -m handseg.finetune.pretrain --config finetune/lite.yaml --data DATA --output runs/lite

The same command with the same output resumes from the last checkpoint.
"""

from handseg.finetune.carried import run_carried

if __name__ == "__main__":
    run_carried(
        "pretrain",
        "PretrainConfig",
        "Train handseg-lite from ImageNet weights, or an earlier stage, on pasted hands.",
    )
