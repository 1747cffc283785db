"""Pictures composed of hands cut out of photos."""
