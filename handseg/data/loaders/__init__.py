"""One module a layout of photos with masks on disk."""
