"""This process's rank among those started by `torchrun` or `accelerate launch`."""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Rank:
    """One of `count` processes that share a run, and of `on_machine` on this machine.

    Attributes:
        number: from 0 to count - 1.
        count: processes on all machines; 1 without a launcher.
        number_on_machine: from 0 to on_machine - 1.
        on_machine: processes on this machine.
    """

    number: int = 0
    count: int = 1
    number_on_machine: int = 0
    on_machine: int = 1

    @classmethod
    def of_this_process(cls) -> Rank:
        """Read the launcher's variables, without torch, which takes seconds to import.

        Raises:
            ValueError: if they are not numbers, or are inconsistent.
        """
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return cls()
        rank = cls(
            _number("RANK"),
            _number("WORLD_SIZE"),
            _number("LOCAL_RANK", "0"),
            _number("LOCAL_WORLD_SIZE", "1"),
        )
        if not 0 <= rank.number < rank.count:
            raise ValueError(
                f"RANK must be from 0 to WORLD_SIZE - 1, got {rank.number} of {rank.count}"
            )
        return rank

    def share(self, items: Sequence[T], block: int = 1) -> list[T]:
        """Every `count`-th block of `items` from `number` on: all ranks cover each item once."""
        starts = range(self.number * block, len(items), self.count * block)
        return [item for start in starts for item in items[start : start + block]]

    def take_gpu(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Restrict this process to the GPU with its number on this machine, before CUDA starts.

        Without GPUs this changes nothing; if there are fewer than processes, the rest get the CPU.
        """
        if self.count == 1:
            return
        visible = environment.get(_GPUS)
        if visible is None:
            environment[_GPUS] = str(self.number_on_machine)
            return
        gpus = [gpu for gpu in visible.split(",") if gpu]
        environment[_GPUS] = ",".join(gpus[self.number_on_machine :][:1])


def _number(variable: str, default: str = "") -> int:
    value = os.environ.get(variable, default)
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{variable} must be a number, got {value!r}") from None
