"""An ONNX graph, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from handseg.errors import ModelError
from handseg.runtime.forks import Mutex, forks_wait, in_forked_child, never_free
from handseg.runtime.threads import available_cores, thread_limit

MOST_THREADS = 8
"""Maximum threads per call by default. Chosen, not measured: layers of small models are short."""


class Graph:
    """A graph's session, which a forked child reopens at its first use.

    The child does not touch the parent's session: its threads are missing there, and freeing it
    would wait for them.

    Args:
        file: file of the graph.
        threads: threads per call; None uses the last count set by
            `handseg.runtime.threads.limit_threads`, or all cores, at most `MOST_THREADS`.
        content: content of the file, used instead of reading it, if it may disappear later.

    Raises:
        ModelError: if ONNX Runtime cannot read it.
    """

    def __init__(
        self, file: Path, threads: int | None = None, content: bytes | None = None
    ) -> None:
        self._file, self._threads, self._content = file.absolute(), threads, content
        self._opening = Mutex()
        self._session = _open(file, threads, content)
        in_forked_child(self, Graph._leave)

    def session(self) -> Any:
        """ONNX Runtime's `InferenceSession`."""
        with forks_wait(), self._opening:  # In this order: `_open` waits for forks.
            if self._session is None:
                self._session = _open(self._file, self._threads, self._content)
            return self._session

    def run(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the graph and return all outputs."""
        session = self.session()
        with forks_wait():
            outputs: list[np.ndarray] = session.run(None, inputs)
        return outputs

    def _leave(self) -> None:
        never_free(self._session)
        self._session = None


def _open(file: Path, threads: int | None, content: bytes | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or thread_limit() or min(available_cores(), MOST_THREADS)
    # Idle threads that spin would take cores from the stages before and after the model.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        with forks_wait():
            return onnxruntime.InferenceSession(
                content or file, options, providers=["CPUExecutionProvider"]
            )
    # ONNX Runtime's exceptions have no other common class.
    except Exception as error:
        raise ModelError(f"{file}: not a graph that ONNX Runtime can read: {error}") from error
