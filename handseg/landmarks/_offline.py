"""Keep MediaPipe from the network.

MediaPipe sends usage data to its maker (https://play.googleapis.com/log), from a minute after its
start. According to a request of version 1.2.3, the data are: the versions of MediaPipe and Python,
the system, the task (hand landmarks) and its mode; for each graph its start-up time, the number of
pictures received or dropped, the mean and longest time per picture, and the time since the start.
They include no picture, file name, landmark or user id; the server sees the computer's address.

No option or variable prevents it: the options of the C interface (`host_environment`,
`host_system`, `ca_bundle_path`) change neither the host look-up nor the connection. On 64-bit Linux
the library asks libc's `getaddrinfo` for the address. This module redirects that call, of that
library only, to another libc function, which fails, so nothing is sent. On macOS (by
`NSURLSession`) and Windows the data above are sent.
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
"""ELF constants: the type of a program header, and the tags of the dynamic section."""


@cache
def cut_off() -> None:
    """Make MediaPipe's host look-up fail, on 64-bit Linux; do nothing elsewhere."""
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
    # It takes no arguments and never returns 0, so every call to `getaddrinfo` fails.
    other = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    done = False
    for slot in _slots(file, base, b"getaddrinfo"):
        if any(begin <= slot < end for begin, end in writable):
            ctypes.c_void_p.from_address(slot).value = other
            done = True
    return done


def _mapped(file: Path) -> tuple[int, list[tuple[int, int]]]:
    """The library's start address in memory, and the writable address ranges."""
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
    """Addresses where the library stores a pointer to `function` of another library."""
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
