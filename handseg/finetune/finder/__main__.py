"""Train the hand finder, also in several processes by `torchrun` and `accelerate launch`.

    python -m handseg.finetune.finder --config finetune/finder.yaml --data DATA --output runs/finder

The same command with the same output resumes from the last checkpoint.
"""

from handseg.finetune.carried import run_carried

if __name__ == "__main__":
    run_carried(
        "finder",
        "FinderConfig",
        "Train the hand finder on rendered people, photos with boxes and pasted hands.",
    )
