"""Pictures of hands with exact masks, made for training."""
