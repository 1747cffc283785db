"""Readers of photos with masks on disk, one module per layout."""
