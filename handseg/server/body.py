"""Read the photo from the body of an untrusted request."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import HTTPException, Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

FIELD = "photo"
DOCUMENTATION: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {
                    FIELD: {
                        "type": "string",
                        "format": "binary",
                        "description": "JPEG, PNG, WebP, AVIF, TIFF or another image; its EXIF "
                        "orientation is applied.",
                    }
                },
            }
        }
    },
}
"""The body in OpenAPI's terms."""


class _Parser(MultiPartParser):
    spool_max_size = sys.maxsize  # Photos stay in memory.
    ended = False

    def on_end(self) -> None:
        self.ended = True


async def read_photo(request: Request, max_bytes: int) -> bytes:
    """Read the file in the only field of a form.

    Raises:
        HTTPException: 413 if the body is over `max_bytes`, 415 if it is not a multipart form, 400
            if the form is broken, 422 if it has other fields.
        ClientDisconnect: if the client has left.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise HTTPException(
            415, f"expected multipart/form-data with a file {FIELD}, got {kind or 'no type'}"
        )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    form = await _parse(request, max_bytes)
    try:
        names = [name for name, _ in form.multi_items()]
        photo = form.get(FIELD)
        if names == [FIELD] and isinstance(photo, UploadFile):
            return await photo.read()
    finally:
        await form.close()
    got = ", ".join(names)[:200] or "none"
    text = " as text" if isinstance(photo, str) else ""
    raise HTTPException(
        422,
        f"the form must have one field, the file {FIELD}, got {got}{text}; options go in the query",
    )


async def _parse(request: Request, max_bytes: int) -> FormData:
    async def chunks() -> AsyncGenerator[bytes, None]:
        count = 0
        async for chunk in request.stream():
            count += len(chunk)
            if count > max_bytes:
                raise _too_large(max_bytes)
            yield chunk
        if not parser.ended:
            raise MultiPartException("it has no end")

    async with aclosing(chunks()) as stream:
        parser = _Parser(request.headers, stream)
        try:
            return await parser.parse()
        except MultiPartException as error:
            raise HTTPException(400, f"the form is broken: {error.message}") from error
        except (HTTPException, ClientDisconnect):
            raise
        except Exception as error:  # such as an unknown charset
            raise HTTPException(400, "the form is broken") from error


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"the request must have at most {max_bytes / 1e6:g} MB")
