"""Write WebDataset shards, tar files of many photos, atomically."""

from __future__ import annotations

import errno
import io
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from handseg.data.shard_members import member_key, split_member
from handseg.runtime.files import write_atomic


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.tar"


def whole_shards(indices: Iterable[int], size: int, count: int) -> list[int]:
    """Add to `indices` all other photos of their shards; a shard has `size` of `count` photos."""
    wanted = {index // size for index in indices}
    return [index for index in range(count) if index // size in wanted]


class Shard:
    """A shard being written, which replaces an existing one."""

    def __init__(self, new: tarfile.TarFile, old: tarfile.TarFile | None) -> None:
        self._new, self._old = new, old
        self._before: defaultdict[str, list[tarfile.TarInfo]] = defaultdict(list)
        for member in old or ():
            self._before[split_member(member.name)[0]].append(member)

    def __contains__(self, name: str) -> bool:
        """Whether the existing shard has this photo."""
        return member_key(name) in self._before

    def add(self, name: str, members: Mapping[str, bytes]) -> None:
        """Append a photo's `members`, by suffix; the output bytes are reproducible."""
        for suffix, content in members.items():
            self._append(f"{member_key(name)}.{suffix}", content)

    def copy(self, name: str) -> None:
        """Copy a photo from the existing shard."""
        for member in self._before[member_key(name)]:
            assert self._old is not None
            file = self._old.extractfile(member)
            assert file is not None
            self._append(member.name, file.read())

    def _append(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._new.addfile(member, io.BytesIO(content))


@contextmanager
def open_shard(path: Path) -> Iterator[Shard]:
    """Write a shard atomically; an existing one stays until the new one is complete.

    Raises:
        OSError: if the existing one is damaged.
    """
    try:
        with ExitStack() as files:
            old = files.enter_context(tarfile.open(path)) if path.exists() else None
            temporary = files.enter_context(write_atomic(path))
            yield Shard(files.enter_context(tarfile.open(temporary, "w")), old)
    except tarfile.TarError as error:
        reason = "the shard is damaged; delete it, and its photos are done again"
        raise OSError(errno.EIO, reason, str(path)) from error
