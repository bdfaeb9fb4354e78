"""The review as a web application for one person on one machine.

It answers only under a path that begins with a secret token, and only to requests that name this machine. Images are
asked for by their number in the folder's journal, never by a path, and are drawn anew: no file of the disk is sent as
it is but those of the page.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from hclnet.documents import parse_json
from hclnet.review.decisions import Conflict
from hclnet.review.pictures import LARGE, SMALL, Kept, jpeg
from hclnet.review.session import Change, Coming, OrderSent, Review, Undo, sent
from hclnet.storage import Unwritable

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FOREVER = {"Cache-Control": "private, max-age=86400, immutable"}
_SHARED = "colors.css"  # with the reports
_WRONG_TOKEN = "This address is not valid, or not any more. Open the one that `hclnet review` has printed last.\n"
_MOST = 4 * 2**20  # bytes of a request

Endpoint = Callable[[Request], Awaitable[Response]]
Write = Callable[[], Sequence[Path]]
"""Writes the files of what was reviewed."""


class _Json(JSONResponse):
    """JSON in ASCII: a file name's bytes that are not UTF-8 come through as escapes."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode()


def application(review: Review, token: str, write: Write) -> Starlette:
    """The application.

    Args:
        review: what it is about.
        token: the first part of every path.
        write: called when the page asks for the files.
    """
    kept = Kept()

    def page(request: Request) -> Response:
        return _static("index.html")

    def static(request: Request) -> Response:
        return _static(request.path_params["name"])

    def overview(request: Request) -> Response:
        return _Json(review.overview())

    def image(request: Request) -> Response:
        return _Json(review.image(_number(request, review)))

    def large(request: Request) -> Response:
        return picture(_number(request, review), LARGE)

    def small(request: Request) -> Response:
        return picture(_number(request, review), SMALL)

    def picture(k: int, longest: int) -> Response:
        data = kept.get((k, longest), lambda: jpeg(review.images[k].file, longest))
        return Response(data, media_type="image/jpeg", headers=_FOREVER)

    def heat(request: Request) -> Response:
        k = _number(request, review)

        def drawn() -> bytes:
            found = review.heat(k)
            if found is None:
                raise LookupError("There is no heatmap of this image.")
            return found.picture()

        return Response(kept.get((k, "heat"), drawn), media_type="image/png", headers=_FOREVER)

    def levels(request: Request) -> Response:
        return _Json(review.heat_boxes(_number(request, review)))

    def rule(request: Request) -> Response:
        return _Json(asdict(review.rule()))

    async def change(request: Request) -> Response:
        k, asked = _number(request, review), sent(Change, await _json(request))
        try:
            now = await run_in_threadpool(review.decide, k, asked)
        except Conflict as error:
            return _Json({"error": str(error), "image": review.image(k)}, 409)
        return _Json({"image": now, "rest": await run_in_threadpool(review.rest)})

    async def undo(request: Request) -> Response:
        asked = sent(Undo, await _json(request))
        try:
            k = await run_in_threadpool(review.undo, asked.window)
        except Conflict as error:
            return _Json({"error": str(error)}, 409)
        now = None if k is None else review.image(k)
        return _Json({"image": now, "rest": await run_in_threadpool(review.rest)})

    async def coming(request: Request) -> Response:
        asked = sent(Coming, await _json(request))
        return _Json(await run_in_threadpool(review.coming, asked))

    async def ranked(request: Request) -> Response:
        asked: OrderSent = sent(OrderSent, await _json(request))
        return _Json(await run_in_threadpool(review.ranked, asked.order()))

    async def files_written(request: Request) -> Response:
        written = await run_in_threadpool(write)
        return _Json([str(path) for path in written])

    routes = [
        Route("/", page),
        Route("/static/{name}", static),
        Route("/api/overview", overview),
        Route("/api/ranked", ranked, methods=["POST"]),
        Route("/api/rule", rule),
        Route("/api/coming", coming, methods=["POST"]),
        Route("/api/undo", undo, methods=["POST"]),
        Route("/api/files", files_written, methods=["POST"]),
        Route("/api/images/{image:int}", image),
        Route("/api/images/{image:int}", change, methods=["PUT"]),
        Route("/api/images/{image:int}/levels", levels),
        Route("/pictures/{image:int}", large),
        Route("/thumbnails/{image:int}", small),
        Route("/heatmaps/{image:int}", heat),
    ]
    return Starlette(
        routes=[Mount("/{token}", routes=routes)],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False),
            Middleware(BaseHTTPMiddleware, dispatch=_guard(token)),
            Middleware(GZipMiddleware, minimum_size=20_000),
        ],
        exception_handlers={
            ValueError: _said(400),
            LookupError: _said(404),
            Unwritable: _said(507),
        },
    )


def _guard(token: str) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Nothing without the token; the headers of every answer."""

    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        first = request.url.path.lstrip("/").partition("/")[0]
        if secrets.compare_digest(first.encode("utf-8", "surrogatepass"), token.encode()):
            response = await go_on(request)
        else:
            response = PlainTextResponse(_WRONG_TOKEN, 403)
        for name, value in _HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return guard


def _said(status: int) -> Callable[[Request, Exception], Response]:
    def say(request: Request, error: Exception) -> Response:
        return _Json({"error": str(error)}, status)

    return say


async def _json(request: Request) -> Any:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST:
            raise ValueError("the request is too long.")
    try:
        return parse_json(body)
    except ValueError:
        raise ValueError("the request is not JSON.") from None


def _number(request: Request, review: Review) -> int:
    k = int(request.path_params["image"])
    if k >= len(review.images):
        raise LookupError("There is no such image.")
    return k


def _static(name: str) -> Response:
    """A file of the page; its names are a closed list."""
    folder = files("hclnet.report" if name == _SHARED else "hclnet.review").joinpath("static")
    found = next((file for file in folder.iterdir() if file.name == name), None)
    if found is None:
        raise LookupError("There is no such file.")
    return Response(found.read_bytes(), media_type=_TYPES[Path(name).suffix])
