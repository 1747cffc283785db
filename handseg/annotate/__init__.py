"""Data sets of hand masks and landmarks, made of photos and videos: `handseg annotate`."""
