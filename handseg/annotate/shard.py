"""WebDataset shards: tar files with the photos, masks and records of many frames."""

from __future__ import annotations

import io
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from handseg.data.shard_members import member_key, split_member
from handseg.runtime.files import write_atomic


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.tar"


class Shard:
    """A shard that is written anew, in the place of one that may be there."""

    def __init__(self, new: tarfile.TarFile, old: tarfile.TarFile | None) -> None:
        self._new, self._old = new, old
        self._before: defaultdict[str, list[tarfile.TarInfo]] = defaultdict(list)
        for member in old or ():
            self._before[split_member(member.name)[0]].append(member)

    def add(self, name: str, members: Mapping[str, bytes]) -> None:
        """Put a frame's `members`, by suffix, behind what is there; the same bytes every time."""
        for suffix, content in members.items():
            member = tarfile.TarInfo(f"{member_key(name)}.{suffix}")
            member.size = len(content)
            self._new.addfile(member, io.BytesIO(content))

    def copy(self, name: str) -> bool:
        """Take a frame over from the shard that was there; False if it has no such frame."""
        members = self._before.get(member_key(name), [])
        for member in members:
            assert self._old is not None
            self._new.addfile(member, self._old.extractfile(member))
        return bool(members)


@contextmanager
def open_shard(path: Path) -> Iterator[Shard]:
    """Write a shard whole or not at all; the one that is there stays until then."""
    with ExitStack() as files:
        old = files.enter_context(tarfile.open(path)) if path.exists() else None
        temporary = files.enter_context(write_atomic(path))
        yield Shard(files.enter_context(tarfile.open(temporary, "w")), old)
