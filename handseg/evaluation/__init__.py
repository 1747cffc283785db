"""Masks compared with reference masks: counts, metrics, reports."""
