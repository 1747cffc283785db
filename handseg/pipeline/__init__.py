"""The run of all stages over a photo or a batch."""
