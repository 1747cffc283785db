"""The result of `segment`: the hands in a photo, as images and in other formats."""

from handseg.results.hand import Hand
from handseg.results.segmentation import EDGES, Edge, HandSegmentation

__all__ = ["EDGES", "Edge", "Hand", "HandSegmentation"]
