"""Check and repair photos with masks before training."""
