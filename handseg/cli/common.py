"""Shared by the commands: loading a segmenter, and server addresses."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handseg.errors import ClusterError, ModelError, reason
from handseg.runtime.progress import messages
from handseg.runtime.terminal import fail, say

if TYPE_CHECKING:
    from handseg.pipeline.interface import Segmenter
    from handseg.runtime.ranks import Rank


@dataclass(frozen=True)
class SegmenterChoice:
    """Arguments of `load_segmenter`, options for `segment`, and the batch size."""

    model: str
    adapter: Path | None
    recipe: Path | None
    device: str | None
    options: dict[str, Any]
    batch: int = 1


def load_segmenter(
    model: str,
    adapter: Path | None,
    recipe: Path | None,
    device: str | None,
    objects: bool = False,
) -> Segmenter:
    """Load the segmenter for these options, or end the command.

    With `objects`, it can also segment held objects.
    """
    if messages.is_terminal:
        say(f"Loading {model}", "dim")
    from handseg import api

    if device not in (None, "cpu"):
        _check_device(device)
    try:
        segmenter = api.load_segmenter(model, adapter, device, recipe=recipe)
    except (ValueError, OSError) as error:
        fail(reason(error))
    if objects:
        try:
            segmenter.check_objects()
        except ValueError as error:
            fail(f"--{reason(error)}")  # The message starts with the option's name.
    return segmenter


def _check_device(device: str) -> None:
    import torch

    from handseg.models.torch_common import pick_device

    try:
        known = pick_device(device)
    except ModelError as error:
        fail(f"--{error}")  # The message starts with the option's name.
    try:
        torch.empty(0, device=known)
    except NotImplementedError:  # Its message is pages long.
        fail(f"--device {device}: this machine or its PyTorch does not support it")
    # Torch raises an AssertionError if it was built without CUDA.
    except (RuntimeError, AssertionError) as error:
        fail(f"--device {device}: {' '.join(str(error).split())}")


def check_cluster(ray: bool, address: str | None, rank: Rank) -> None:
    """Raise ValueError if --ray, --address and a launcher cannot be combined."""
    if address is not None and not ray:
        raise ValueError("--address is for a Ray cluster: add --ray")
    if ray and rank.count > 1:
        raise ValueError("--ray shares the work itself: start it without torchrun or accelerate")


def join_cluster(address: str | None) -> None:
    """Start Ray, or join a cluster, or end the command."""
    from handseg.integrations.ray import connect

    try:
        connect(address)
    except ClusterError as error:
        fail(reason(error))


def is_this_machine(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url(host: str, port: int) -> str:
    """Return a server's URL; an IPv6 address is put in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
