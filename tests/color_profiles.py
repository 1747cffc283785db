"""Small ICC profiles, like those of cameras and printers."""

from __future__ import annotations

import struct

import numpy as np


def _number(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _profile(space: bytes, connection: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Make an ICC profile of version 2.4 (ICC.1:2001-04, 6.1 to 6.3)."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = struct.pack(">I", start + len(data))
    white = _number(0.9642) + _number(1.0) + _number(0.8249)
    head = size + bytes(4) + struct.pack(">I", 0x02400000) + kind + space + connection
    return (head + bytes(12) + b"acsp" + bytes(28) + white).ljust(128, b"\0") + table + data


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_number, values))


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def display_p3() -> bytes:
    """Display P3: primaries of SMPTE EG 432-1 adapted to D50, a gamma of 2.2."""
    columns = ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
    tags = {b"rXYZ": _xyz(*columns[0]), b"gXYZ": _xyz(*columns[1]), b"bXYZ": _xyz(*columns[2])}
    curves = {name: _curve(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"RGB ", b"XYZ ", b"mntr", {**tags, **curves})


def dark_grey() -> bytes:
    """Greys with gamma 1: they are lighter in sRGB."""
    return _profile(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": _curve(1.0)})


def red_inks() -> bytes:
    """CMYK in which every ink prints red."""
    nodes = np.stack(np.meshgrid(*[np.arange(2)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    ink = nodes.max(axis=1)
    lab = np.stack([(100 - 50 * ink) * 2.55, 128 + 70 * ink, 128 + 50 * ink], axis=1)
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += b"".join(map(_number, np.eye(3).ravel()))
    table += ramp * 4 + np.rint(lab).astype(np.uint8).tobytes() + ramp * 3
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": table})
