"""Accuracy of the bundled model and the contour on rendered photos with exact masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from handseg import HandSegmenter
from handseg.data.image_mask import find_pairs
from handseg.evaluation.metrics import compare_masks

EXACT = Path(__file__).parent / "data" / "exact"
TOLERANCE = 0.005


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    """Means over the pictures; a missed hand counts as 0."""
    found = []
    with HandSegmenter.from_pretrained() as segmenter:
        for pair in find_pairs(EXACT):
            image, truth = pair.load()
            mask = segmenter.segment(image).mask
            close = compare_masks(mask, truth, boundary_tolerance=1.0)
            loose = compare_masks(mask, truth, boundary_tolerance=2.0)
            found.append((loose.iou, close.boundary_f, loose.boundary_f))
    assert len(found) == 9
    names = ("iou", "boundary_f_1_px", "boundary_f_2_px")
    return {
        name: round(float(value), 4) for name, value in zip(names, np.mean(found, 0), strict=True)
    }


@pytest.mark.parametrize("name", ["iou", "boundary_f_1_px", "boundary_f_2_px"])
def test_accuracy_is_what_it_was(measured: dict[str, float], name: str) -> None:
    # After an improvement, write the new figures into the file.
    golden = json.loads((EXACT / "golden.json").read_text())
    assert measured[name] == pytest.approx(golden[name], abs=TOLERANCE), measured
