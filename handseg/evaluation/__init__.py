"""Compare masks with reference masks: counts, metrics, reports."""
