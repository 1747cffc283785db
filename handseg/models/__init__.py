"""SAM-family models behind one narrow interface."""

from handseg.models.interface import Embeddings, MaskModel
from handseg.models.registry import Backend, load_mask_model

__all__ = ["Backend", "Embeddings", "MaskModel", "load_mask_model"]
