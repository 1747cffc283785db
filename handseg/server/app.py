"""The web application: routes, their documentation, and errors for invalid parameters."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi import Query as FromQuery
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from handseg import __version__
from handseg.runtime.config import expectation
from handseg.server import answers, schema
from handseg.server.answers import PNG
from handseg.server.body import DOCUMENTATION
from handseg.server.query import CutoutQuery, NumbersQuery, Query
from handseg.server.respond import HANDS, Limits, respond
from handseg.server.workers import Workers

_DESCRIPTION = f"""
Send a photo, get the hands in it: cut out, as a mask, or as numbers.

    curl -F photo=@photo.jpg "http://127.0.0.1:8000/cutout?edge=matte" -o hand.png

Options are query parameters, with the names and meanings that they have in Python and on the
command line. A parameter that does not exist is refused. A photo without a hand is no error: its
cut-out and mask are empty, and the header `{HANDS}` is 0.

Every refusal is JSON, `{{"detail": "..."}}`. Photos stay in memory, and no address in a request is
fetched.
"""
_PROBLEMS = {
    400: "The form is broken.",
    408: "The photo did not arrive in time.",
    413: "The request has too many bytes, or the photo too many pixels.",
    415: "The request is no multipart form.",
    422: "A parameter is wrong, or the photo cannot be read or measured.",
    500: "The server failed; its log says why.",
    503: "Too many requests are waiting, or this one took too long. `Retry-After` says after how "
    "many seconds to try again.",
}
_QUERIES: dict[str, type[Query]] = {
    "/cutout": CutoutQuery,
    "/mask": Query,
    "/hands": NumbersQuery,
}


def create_app(workers: Workers, limits: Limits) -> FastAPI:
    """Create the application, which processes photos with `workers`."""
    app = FastAPI(title="handseg", version=__version__, description=_DESCRIPTION, redoc_url=None)
    app.add_exception_handler(RequestValidationError, _refuse)
    app.add_exception_handler(Exception, _fail)
    picture = {"content": {PNG: {"schema": {"type": "string", "format": "binary"}}}}

    @app.post("/cutout", **_documented("The hands on a transparent background.", **picture))
    async def cutout(request: Request, query: Annotated[CutoutQuery, FromQuery()]) -> Response:
        """Cut the hands out of a photo. The result is as large as the photo."""
        return await respond(request, query, answers.cutout, workers, limits)

    @app.post("/mask", **_documented("White on the hands, black elsewhere.", **picture))
    async def mask(request: Request, query: Annotated[Query, FromQuery()]) -> Response:
        """Get the mask of the hands, as large as the photo."""
        return await respond(request, query, answers.mask, workers, limits)

    @app.post("/hands", **_documented("The hands found.", model=schema.Numbers))
    async def hands(request: Request, query: Annotated[NumbersQuery, FromQuery()]) -> Response:
        """Get boxes, landmarks, handedness and scores; with a scale, also fingers and ring sizes.

        The numbers are those of `handseg segment --json` and `handseg measure --json`.
        """
        return await respond(request, query, answers.numbers, workers, limits)

    @app.get("/health", response_model=schema.Health)
    async def health() -> dict[str, str]:
        """Ask whether the server is ready, and for its version."""
        return {"status": "ready", "version": __version__}

    return app


def _documented(description: str, **good: Any) -> dict[str, Any]:
    """Build the OpenAPI documentation of a route that takes a photo."""
    header = {"description": "Number of hands found.", "schema": {"type": "integer"}}
    problems = {
        status: {"model": schema.Problem, "description": text} for status, text in _PROBLEMS.items()
    }
    return {
        "responses": {200: {"description": description, "headers": {HANDS: header}, **good}}
        | problems,
        "response_class": Response,
        "openapi_extra": {"requestBody": DOCUMENTATION},
    }


def _refuse(request: Request, error: Exception) -> JSONResponse:
    """Name the invalid query parameters in one line."""
    assert isinstance(error, RequestValidationError)
    known = list(_QUERIES[request.url.path].model_fields)
    return JSONResponse({"detail": "; ".join(_wrong(one, known) for one in error.errors())}, 422)


def _fail(request: Request, error: Exception) -> JSONResponse:
    """Answer an unexpected error, which is then logged."""
    return JSONResponse({"detail": "the server failed; its log says why"}, 500)


def _wrong(error: Mapping[str, Any], known: list[str]) -> str:
    if error["type"] == "value_error":  # It names the parameter itself.
        return str(error["ctx"]["error"])
    name = str(error["loc"][1])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, 1, cutoff=0.7)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return f"unknown query parameter {name[:80]!r}; {hint}"
    return f"{name} {expectation(error)}"
