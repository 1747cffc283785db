"""Detect photos that kill their worker process, once it has been restarted."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handseg.errors import ClusterError

MOST = 3
"""Deaths over the same photo after which it is skipped. One or two may be chance: a machine that is
taken away, an administrator, another program that used up the memory."""


class Deaths:
    """The photos that one worker was processing when it died.

    Engines restart a dead worker and give it the same photos: a photo that exhausts the memory or
    crashes a decoder would keep it busy forever. While a photo is being processed, its digest is in
    a file on the worker's machine.

    Args:
        worker: its name, which must stay the same when it is restarted.
    """

    def __init__(self, worker: str) -> None:
        self._file = Path(tempfile.gettempdir(), f"handseg-{worker}.txt")
        self._over = self._file.read_text().split() if self._file.exists() else []

    @contextmanager
    def risk(self, photo: Any) -> Iterator[None]:
        """Guard the body, which processes `photo`; any picklable object will do.

        Raises:
            ClusterError: if the worker has died over it `MOST` times.
        """
        digest = hashlib.sha256(pickle.dumps(photo)).hexdigest()
        if self._over.count(digest) >= MOST:
            raise ClusterError(f"the process that worked on it died {MOST} times")
        self._write([*self._over, digest])
        try:
            yield
        finally:
            self._write(self._over)

    def _write(self, digests: list[str]) -> None:
        if digests:
            self._file.write_text("\n".join(digests))
        else:
            self._file.unlink(missing_ok=True)
