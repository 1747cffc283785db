from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from handseg.finetune.pretrain.samples import Samples
from handseg.synthetic.pasted.compositor import Sample


class Plain:
    """A composer of one grey picture without a hand."""

    def sample(self, rng: np.random.Generator, size: int) -> Sample:
        points, labels = np.zeros((1, 2), np.float32), np.ones(1, np.int64)
        fields: dict[str, Any] = {
            "image": np.full((size, size, 3), 127, np.uint8),
            "alpha": np.zeros((size, size), np.float32),
            "valid": np.ones((size, size), bool),
            "points": points,
            "labels": labels,
            "box": np.zeros(4, np.float32),
            "skeleton": np.zeros((size, size), np.float32),
        }
        return Sample(**fields)


def test_an_item_leaves_opencvs_threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "setNumThreads", lambda count: pytest.fail(f"set to {count}"))
    samples = Samples(Plain(), 64, seed=0, first=0, count=1)  # type: ignore[arg-type]
    assert samples[0]["pixel_values"].shape == (3, 64, 64)
