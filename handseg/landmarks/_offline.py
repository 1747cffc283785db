"""Keep MediaPipe from the network.

MediaPipe sends figures about its use to its maker (https://play.googleapis.com/log), a minute after
it has begun and from then on. Read from a request of version 1.2.3, they are: the versions of
MediaPipe and Python, the system, the task (hand landmarks) and its mode; for each graph how long it
took to start, how many pictures it was given or dropped, its mean and longest time for one, and the
time since it began. No picture, no name of a file, no landmark, no number that stands for a user is
among them; whoever is asked sees the computer's address.

No option or variable prevents it: what the C interface takes (`host_environment`, `host_system`,
`ca_bundle_path`) changes neither the look-up of the host nor the connection. On 64-bit Linux the
library asks libc's `getaddrinfo` for the address. Here that one call, of that one library, is led
to another function of libc, which fails, so nothing is sent. On macOS (by `NSURLSession`) and
Windows the figures above are sent.
"""

from __future__ import annotations

import ctypes
import logging
import struct
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

logger = logging.getLogger(__name__)

_BINDINGS = "mediapipe.tasks.python.core.mediapipe_c_bindings"
_DYNAMIC = 2
_STRINGS, _SYMBOLS, _SIZE, _JUMPS = 5, 6, 2, 23
"""Of a file in ELF format: the type of a program header, and the tags of what it leads to."""


@cache
def cut_off() -> None:
    """Have MediaPipe's library find no host; on Linux, elsewhere nothing is done."""
    library = import_module(_BINDINGS).load_raw_library()
    try:
        done = sys.platform == "linux" and sys.maxsize > 2**32 and _cut_off(Path(library._name))
    except (OSError, ValueError, KeyError, struct.error) as error:
        logger.debug("%s", error)
        done = False
    if not done:
        logger.debug("MediaPipe may send figures about its use to its maker")


def _cut_off(file: Path) -> bool:
    base, writable = _mapped(file)
    # It takes nothing and never gives 0: whatever is asked of `getaddrinfo` ends in an error.
    other = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    done = False
    for slot in _slots(file, base, b"getaddrinfo"):
        if any(begin <= slot < end for begin, end in writable):
            ctypes.c_void_p.from_address(slot).value = other
            done = True
    return done


def _mapped(file: Path) -> tuple[int, list[tuple[int, int]]]:
    """Where the library begins in memory, and the parts of memory that may be written."""
    base, writable = None, []
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights, offset, _, _, *name = line.split(maxsplit=5)
        begin, end = (int(side, 16) for side in place.split("-"))
        if "w" in rights:
            writable.append((begin, end))
        if base is None and name == [str(file)] and int(offset, 16) == 0:
            base = begin
    if base is None:
        raise ValueError(f"{file} is not in memory")
    return base, writable


def _slots(file: Path, base: int, function: bytes) -> Iterator[int]:
    """Addresses at which the library keeps that of a function of another library."""
    with file.open("rb") as content:
        header = content.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{file} is no library of 64 bits, lowest first")
        (first,), (size, count) = (
            struct.unpack_from("<Q", header, 32),
            struct.unpack_from("<HH", header, 54),
        )
        content.seek(first)
        programs = [struct.unpack("<IIQQQQ", content.read(size)[:40]) for _ in range(count)]
        offset, length = next((one[2], one[5]) for one in programs if one[0] == _DYNAMIC)
        content.seek(offset)
        tags = dict(struct.iter_unpack("<QQ", content.read(length)))
    for place, info, _ in struct.iter_unpack(
        "<QQq", ctypes.string_at(base + tags[_JUMPS], tags[_SIZE])
    ):
        symbol = ctypes.string_at(base + tags[_SYMBOLS] + 24 * (info >> 32), 4)
        name = base + tags[_STRINGS] + int.from_bytes(symbol, "little")
        if ctypes.string_at(name) == function:
            yield base + place
