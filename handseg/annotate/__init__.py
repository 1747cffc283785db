"""Make data sets of hand masks and landmarks from photos and videos: `handseg annotate`."""
