"""Assign the samples of a run to steps, epochs and processes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class BatchSchedule:
    """The step arithmetic of a run; samples are numbered from 0 in training order.

    Attributes:
        hands: number of hands, each shown once per epoch.
        epochs: number of epochs.
        batch_size: hands per batch.
        accumulation: batches per step and process.
        processes: number of processes, which take turns at the batches.
    """

    hands: int
    epochs: int
    batch_size: int
    accumulation: int
    processes: int

    @property
    def samples_a_step(self) -> int:
        return self.batch_size * self.accumulation * self.processes

    @property
    def steps(self) -> int:
        """Number of steps; the last one is full, so it may begin another epoch."""
        return math.ceil(self.epochs * self.hands / self.samples_a_step)

    def batch_number(self, step: int, part: int, process: int) -> int:
        """Number of batch `part` of a process in a step; the same samples for any process count."""
        return (step * self.accumulation + part) * self.processes + process

    def ended_epoch(self, steps_done: int) -> int | None:
        """Return the last epoch that step `steps_done` ended, from 1; None if it ended none."""
        before, now = (
            min(self.epochs, steps * self.samples_a_step // self.hands)
            for steps in (steps_done - 1, steps_done)
        )
        return now if now > before else None
