"""Pretraining the bundled model."""
