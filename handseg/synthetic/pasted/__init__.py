"""Pictures composed of hands that were cut out of photos."""
