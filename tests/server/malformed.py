"""Randomly malformed requests."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from PIL import Image
from red_hands import LEFT, RIGHT, draw_photo

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000", "PCX")
PATHS = ("/cutout", "/mask", "/hands")
TYPES = ("", "application/json", "image/jpeg", "text/plain", "application/x-www-form-urlencoded",
         "multipart/mixed; boundary=x", "multipart", ";",
         "multipart/form-data-x; boundary=x")  # fmt: skip
BOUNDARIES = ("", ";", "; boundary=", "; boundary=other", "; boundary=" + "y" * 500,
              "; charset=utf-8")  # fmt: skip
CHARSETS = ("idna", "punycode", "rot13", "zlib", "utf-7", "utf-16", "none", "hex", "undefined")


@dataclass
class Malformed:
    """A request to POST.

    Attributes:
        surely: no answer to it can be good; otherwise, the rest may still be a photo.
    """

    body: bytes
    kind: str = "multipart/form-data; boundary=xyz"
    query: str = ""
    surely: bool = True
    headers: dict[str, str] = field(default_factory=dict)


def malformed(seed: int, count: int) -> Iterator[tuple[str, Malformed]]:
    """Yield `count` requests with their paths."""
    dice = random.Random(seed)
    ways = (_broken_photo, _broken_photo, _noise, _broken_form, _broken_form, _other_form,
            _other_type, _wrong_query)  # fmt: skip
    for _ in range(count):
        way: Callable[[random.Random], Malformed] = dice.choice(ways)
        yield dice.choice(PATHS), way(dice)


@cache
def file(kind: str) -> bytes:
    stream = io.BytesIO()
    photo = Image.fromarray(draw_photo(LEFT, RIGHT)[0]).resize((64, 48))
    photo.save(stream, kind)
    return stream.getvalue()


def form(
    content: bytes, disposition: bytes = b'form-data; name="photo"; filename="a.jpg"'
) -> bytes:
    head = b"--xyz\r\nContent-Disposition: " + disposition + b"\r\n\r\n"
    return head + content + b"\r\n--xyz--\r\n"


def _broken_photo(dice: random.Random) -> Malformed:
    content = bytearray(file(dice.choice(FORMATS)))
    for _ in range(dice.randint(1, 4)):
        where = dice.randrange(len(content)) if content else 0
        # Headers are short, and their content matters most.
        where = min(where, dice.choice((32, 200, 10**9)))
        how = dice.randrange(5)
        if how == 0:
            content = content[:where]
        elif how == 1:
            content[where : where + 4] = dice.choice(
                (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4))
            )
        elif how == 2:
            content[where : where + 1] = dice.randbytes(1)
        elif how == 3:
            content[where:where] = content[dice.randrange(len(content) or 1) :][:500]
        else:
            del content[where : where + dice.randint(1, 40)]
    return Malformed(form(bytes(content)), surely=False)


def _noise(dice: random.Random) -> Malformed:
    start = file(dice.choice(FORMATS))[: dice.choice((0, 0, 4, 12, 30))]
    return Malformed(form(start + dice.randbytes(dice.choice((0, 1, 50, 3000)))), surely=False)


def _broken_form(dice: random.Random) -> Malformed:
    whole = form(file("PNG"))
    how = dice.randrange(8)
    if how == 0:
        return Malformed(whole[: dice.randrange(len(whole) - 12)])
    if how == 1:
        return Malformed(whole, kind="multipart/form-data" + dice.choice(BOUNDARIES))
    if how == 2:
        return Malformed(dice.randbytes(dice.choice((0, 1, 10, 2000))))
    if how == 3:
        return Malformed(whole.replace(b"\r\n", dice.choice((b"\n", b"\r", b"", b" "))))
    if how == 4:
        return Malformed(
            whole.replace(b'name="photo"; ', dice.choice((b"", b"name; ", b"name=; ")))
        )
    if how == 5:
        at = dice.randrange(2, 40)  # in the boundary or the header
        return Malformed(whole[:at] + dice.randbytes(3) + whole[at + 3 :], surely=False)
    if how == 6:
        return Malformed(
            whole.replace(b"--xyz\r\n", b"--xyz\r\n" + b"A" * dice.randint(1, 20_000) + b"\r\n", 1)
        )
    name = b'form-data; name="' + dice.randbytes(6) + b'"; filename="a"'
    kind = f"multipart/form-data; boundary=xyz; charset={dice.choice(CHARSETS)}"
    return Malformed(form(b"a", name), kind=kind)


def _other_form(dice: random.Random) -> Malformed:
    photo = form(file("PNG"))
    edge = form(b"hard", b'form-data; name="edge"').replace(b"--xyz--\r\n", b"")
    how = dice.randrange(5)
    if how == 0:
        return Malformed(edge + photo)
    if how == 1:
        return Malformed(photo.replace(b"--xyz--\r\n", b"") + photo)
    if how == 2:
        return Malformed(form(file("PNG"), b'form-data; name="photo"'))
    if how == 3:
        return Malformed(form(file("PNG"), b'form-data; name="file"; filename="a.png"'))
    return Malformed(edge.replace(b"\r\n--xyz", b"") * dice.choice((2, 1200)) + photo)


def _other_type(dice: random.Random) -> Malformed:
    body = dice.choice((b"", b"{}", file("JPEG"), form(file("JPEG")), b"photo=http://a.example/b"))
    return Malformed(body, kind=dice.choice(TYPES))


def _wrong_query(dice: random.Random) -> Malformed:
    value = dice.choice(
        ("", "1e999", "-1", "[[[[", "null", "%00", "%ff%fe", "[null]", "[{}]", "9" * 300)
    )
    name = dice.choice(
        ("max_hands", "boxes", "landmarks", "finder", "holes", "ur%6c", "%00", "photo")
    )
    value = "x" if (name, value) in {("max_hands", "9")} else value
    return Malformed(form(file("PNG")), query=f"{name}={value}")


def post(client: Any, path: str, request: Malformed) -> Any:
    """Send a request; return the answer."""
    headers = {"Content-Type": request.kind} if request.kind else {}
    return client.post(f"{path}?{request.query}", content=request.body, headers=headers)
