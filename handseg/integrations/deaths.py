"""Photos that end the process that works on them, found out when it is started again."""

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
"""Deaths over one photo, after which it is not tried again. One or two may be chance: a machine
that is taken away, an administrator, another program that took the memory."""


class Deaths:
    """What one worker was working on whenever it died.

    Engines start a worker that died again and give it the same photos: one that exhausts the
    memory or crashes a decoder would keep it busy for ever. While a photo is worked on, its digest
    stands in a file on the worker's machine.

    Args:
        worker: its name, which it has again when it is started again.
    """

    def __init__(self, worker: str) -> None:
        self._file = Path(tempfile.gettempdir(), f"handseg-{worker}.txt")
        self._over = self._file.read_text().split() if self._file.exists() else []

    @contextmanager
    def risk(self, photo: Any) -> Iterator[None]:
        """Work on `photo`, which may be anything that can be pickled, in the body.

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
