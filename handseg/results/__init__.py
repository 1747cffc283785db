"""What `segment` returns: the hands of a photo, and pictures and formats made of them."""

from handseg.results.hand import Hand
from handseg.results.segmentation import EDGES, Edge, HandSegmentation

__all__ = ["EDGES", "Edge", "Hand", "HandSegmentation"]
