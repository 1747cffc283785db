"""Export the hand finder to ONNX, for photos prepared by `handseg.landmarks.finder.fit`."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from torch import nn

from handseg.finetune.finder.network import FinderNetwork
from handseg.models.export.graph import write_graph


class _Photo(nn.Module):
    def __init__(self, network: FinderNetwork) -> None:
        super().__init__()
        self.network = _with_fixed_padding(deepcopy(network))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map (1, h, w, 3) uint8 to (1, 8, h / 8, w / 8) float32."""
        found: torch.Tensor = self.network(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
        return found


def _with_fixed_padding(network: FinderNetwork) -> FinderNetwork:
    """Return `network` with fixed padding, for image sides that are multiples of 32.

    timm's convolutions of stride 2 compute their padding from the sides, as TensorFlow does. That
    takes a dozen nodes each in the graph, and minutes to export.
    """
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                side = module.kernel_size[0]
                plain = nn.Conv2d(
                    module.in_channels, module.out_channels, side, 2, 0,
                    groups=module.groups, bias=module.bias is not None,
                )  # fmt: skip
                plain.load_state_dict(module.state_dict())
                before, after = (side - 2) // 2, (side - 1) // 2
                padding = nn.ZeroPad2d((before, after, before, after))
                setattr(parent, name, nn.Sequential(padding, plain))
    return network


def export(network: FinderNetwork, file: Path) -> None:
    """Write the graph of `network`, which must be on the CPU."""
    sides = {axis: torch.export.Dim.AUTO for axis in (1, 2)}
    example = torch.zeros(1, 320, 256, 3, dtype=torch.uint8)
    inputs, shapes = {"pixels": example}, {"pixels": sides}
    write_graph(file, _Photo(network), inputs, shapes, ["maps"], in_half=True)


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a graph from `export`, for `FinderNetwork.load_state_dict`."""
    import onnx

    names, weights = FinderNetwork().state_dict(), {}
    for one in onnx.load(str(file)).graph.initializer:
        name = one.name.removeprefix("network.").removesuffix(".half")
        if name not in names:  # A convolution after its padding, see `_with_fixed_padding`.
            name = name.replace(".1.weight", ".weight")
        if name in names:
            weights[name] = torch.from_numpy(onnx.numpy_helper.to_array(one).astype("float32"))
    return weights
