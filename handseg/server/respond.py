"""Handle a request: take a place, read the photo, process it, or refuse."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import anyio
from fastapi import HTTPException, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from handseg.errors import reason
from handseg.server.answers import Answer, Give, PhotoTooLarge, Q, answer
from handseg.server.body import read_photo
from handseg.server.workers import Busy, Workers

HANDS = "Handseg-Hands"
"""The header with the number of hands found."""
_RETRY_AFTER = {"Retry-After": "1"}
_GONE = 499
"""nginx's status for a client that left. Nobody receives it, but the log shows it."""


@dataclass(frozen=True)
class Limits:
    """Limits of one request.

    Attributes:
        max_bytes: of its body.
        max_pixels: of its photo.
        timeout: seconds from its head to the answer.
        objects: whether held objects may be requested.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    timeout: float = 30.0
    objects: bool = False


async def respond(
    request: Request, query: Q, give: Give[Q], workers: Workers, limits: Limits
) -> Response:
    """Process the photo in `request` with the options in `query`, and answer with `give`.

    Raises:
        HTTPException: if it is refused, with a one-line reason.
    """
    if query.objects and not limits.objects:
        raise HTTPException(422, "objects: this server was started without --objects")
    arrived = False
    try:
        with workers.place() as start, anyio.fail_after(limits.timeout):
            photo = await read_photo(request, limits.max_bytes)
            arrived = True
            work = partial(
                answer, photo=photo, query=query, give=give, max_pixels=limits.max_pixels
            )
            made = await _unless_gone(request, start(work))
    except Busy:
        raise HTTPException(503, "too many photos are waiting", _RETRY_AFTER) from None
    except TimeoutError:
        within = f"within {limits.timeout:g} s"
        if not arrived:  # Do not wait for the rest.
            close = {"Connection": "close"}
            raise HTTPException(408, f"the photo did not arrive {within}", close) from None
        raise HTTPException(503, f"the photo was not done {within}", _RETRY_AFTER) from None
    except asyncio.CancelledError:  # The server shuts down, and its grace period is over.
        raise HTTPException(503, "the server is shutting down", _RETRY_AFTER) from None
    except ClientDisconnect:
        raise HTTPException(_GONE, "the client left") from None
    except PhotoTooLarge as error:
        raise HTTPException(413, reason(error)) from error
    except ValueError as error:
        raise HTTPException(422, reason(error)) from error
    return Response(made.content, headers={HANDS: str(made.hands)}, media_type=made.media_type)


async def _unless_gone(request: Request, call: asyncio.Future[Answer]) -> Answer:
    """Wait for `call`, and cancel it if the client leaves."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.ensure_future(left())
    try:
        await asyncio.wait((call, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            raise ClientDisconnect
        return call.result()
    finally:
        leaving.cancel()
        call.cancel()
