"""How the samples of a run are dealt out to its steps, epochs and processes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class BatchSchedule:
    """The arithmetic of a run; samples are numbered from 0 in the order they are shown.

    Attributes:
        hands: shown once in each epoch.
        epochs: of the run.
        batch_size: hands a batch.
        accumulation: batches a step and process.
        processes: that take turns at the batches.
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
        """The last step is a full one, and so may begin an epoch more."""
        return math.ceil(self.epochs * self.hands / self.samples_a_step)

    def batch_number(self, step: int, part: int, process: int) -> int:
        """Of batch `part` of a process in a step: the same samples whoever shows them."""
        return (step * self.accumulation + part) * self.processes + process

    def ended_epoch(self, steps_done: int) -> int | None:
        """The last epoch that step number `steps_done` ended, from 1; None if it ended none."""
        before, now = (
            min(self.epochs, steps * self.samples_a_step // self.hands)
            for steps in (steps_done - 1, steps_done)
        )
        return now if now > before else None
