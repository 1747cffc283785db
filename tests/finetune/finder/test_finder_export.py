from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from handseg.finetune.finder.export import export, read_weights
from handseg.finetune.finder.network import FinderNetwork
from handseg.finetune.finder.task import normalise
from handseg.landmarks.finder import BUNDLED_FINDER
from handseg.runtime.onnx_graph import Graph


@pytest.mark.slow
def test_the_graph_gives_what_the_network_gives_for_any_sides(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FinderNetwork().eval()
    export(network, tmp_path / "finder.onnx")
    graph = Graph(tmp_path / "finder.onnx")
    for height, width in ((320, 256), (96, 320), (32, 32)):
        pixels = np.random.default_rng(1).integers(0, 256, (1, height, width, 3), np.uint8)
        with torch.no_grad():
            expected = network(normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
        (found,) = graph.run({"pixels": pixels})
        assert found.shape == (1, 8, height // 8, width // 8)
        # Weights are rounded to half precision.
        spread = float(expected.std(dim=(2, 3)).mean())
        np.testing.assert_allclose(found, expected, atol=0.05 * spread + 1e-3)


def test_training_goes_on_from_the_graph_that_is_carried() -> None:
    network = FinderNetwork().eval()
    network.load_state_dict(read_weights(BUNDLED_FINDER))
    pixels = np.random.default_rng(1).integers(0, 256, (1, 320, 320, 3), np.uint8)
    with torch.no_grad():
        found = network(normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
    (expected,) = Graph(BUNDLED_FINDER).run({"pixels": pixels})
    np.testing.assert_allclose(found, expected, atol=1e-3)
