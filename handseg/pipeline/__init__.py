"""Run all stages on a photo or a batch."""
