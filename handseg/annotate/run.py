"""A run from its start to its end, in one process or many that `torchrun` or `accelerate` start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from handseg.annotate.frames import VideoFrames
from handseg.annotate.job import Job, check_job
from handseg.runtime.ranks import Rank

T = TypeVar("T")


class Processes(Protocol):
    """The processes that share a run; `accelerate.PartialState` is one."""

    @property
    def is_main_process(self) -> bool: ...

    @property
    def num_processes(self) -> int: ...

    @property
    def device(self) -> Any:
        """torch's device of this process, where there are several."""
        ...

    def wait_for_everyone(self) -> None: ...

    def destroy_process_group(self) -> None: ...


class OneProcess:
    """A run that is not shared, which needs neither torch nor accelerate."""

    is_main_process = True
    num_processes = 1
    device = None

    def wait_for_everyone(self) -> None:
        """There is nobody to wait for."""

    def destroy_process_group(self) -> None:
        """There is none."""


def processes(on_cpu: bool) -> Processes:
    """The processes that a launcher started together with this one.

    Raises:
        ValueError: if the launcher's variables do not fit each other.
    """
    if Rank.of_this_process().count == 1:
        return OneProcess()
    from accelerate import PartialState

    return PartialState(cpu=on_cpu)


@dataclass(frozen=True)
class AnnotationPlan:
    """What there is to do.

    Attributes:
        identity: of the run, see `check_job`.
        frames: of the input.
        missing: how many of them have no record.
        done: whether nothing but the merge is left.
        note: what the user should know, or "".
    """

    identity: dict[str, Any]
    frames: int
    missing: int
    done: bool
    note: str


def plan(job: Job) -> AnnotationPlan:
    """Look at the input and at what an earlier run has done; frames that failed are to do again.

    Raises:
        ValueError: as `check_job`, or if the input cannot be read.
    """
    frames = job.open_frames()
    identity = check_job(job, frames)
    shards = job.shards(len(frames))
    shards.reopen_failed()
    note = ""
    if isinstance(frames, VideoFrames) and len(frames) < frames.promised:
        note = (
            f"{job.source}: {len(frames)} frames can be read, its header promises {frames.promised}"
        )
    return AnnotationPlan(identity, len(frames), shards.missing(), shards.all_done, note)


def agree(state: Processes, call: Callable[[], T]) -> T:
    """What `call` gives the main process, in all of them; also what it raises.

    Raises:
        ValueError, OSError: if `call` did.
    """
    if state.num_processes == 1:
        return call()
    from accelerate.utils import broadcast_object_list

    outcome: list[Any] = [None]
    if state.is_main_process:
        try:
            outcome = [call()]
        except (ValueError, OSError) as error:
            outcome = [error]
    broadcast_object_list(outcome)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def device_of(state: Processes, wanted: str | None) -> str | None:
    """The device of this process: the one that is `wanted`, or its own where there are several."""
    if wanted is not None or state.num_processes == 1:
        return wanted
    return "cpu" if state.device.type == "cpu" else str(state.device)
