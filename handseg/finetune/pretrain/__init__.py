"""Pretrain the bundled model."""
