"""Models written in other programs' forms."""
