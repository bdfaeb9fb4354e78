"""An exported model as a web service: an image is posted, JSON comes back.

`POST /locate` takes the bytes of an image file; `GET /health` says that the service is there. One image is computed at
a time, on all threads of the model. What waits is on the disk and not in memory, and is little: a request that finds
too many others waiting is refused at once, as is what is too long, has too many pixels or comes too slowly.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hclnet_runtime.data.images import image_size
from hclnet_runtime.listening import LOOPBACK, listening
from hclnet_runtime.model import Model, load
from hclnet_runtime.request import as_count, split_names
from hclnet_runtime.results import plain
from hclnet_runtime.text import shown

_QUERY = ("top", "classes", "max_objects")
_DRAIN = 2.0  # seconds in which what a refused client still sends is thrown away, so that it reads the answer
_CONNECTIONS = 256  # beyond those whose requests are let in
_A_PIXEL = 24  # bytes of memory, at most, for each pixel while an image is decoded: RGBA, a white ground, their sum
_BESIDES = 200 * 2**20  # bytes: connections, heatmaps, what libraries keep


@dataclass(frozen=True, slots=True)
class Limits:
    """What the service takes.

    Attributes:
        megabytes: of an image file.
        megapixels: of an image.
        waiting: requests that are let in at a time.
        seconds: in which the file has to come.
    """

    megabytes: float = 20
    megapixels: float = 50
    waiting: int = 8
    seconds: float = 20

    def __post_init__(self) -> None:
        as_count("waiting", self.waiting)
        for name in ("megabytes", "megapixels", "seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)}: it has to be more than 0.")

    @property
    def bytes(self) -> int:
        """Of an image file."""
        return round(self.megabytes * 1e6)

    @property
    def pixels(self) -> int:
        """Of an image."""
        return round(self.megapixels * 1e6)

    @property
    def memory(self) -> int:
        """Bytes that the service takes at most, beyond those of the loaded model, whatever its clients do."""
        return _BESIDES + _A_PIXEL * self.pixels


class _Refused(Exception):
    """What is answered in place of a result."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class _Service:
    def __init__(self, model: Model, limits: Limits) -> None:
        self.model, self.limits = model, limits
        self.waiting = 0
        self.one_at_a_time = asyncio.Lock()

    async def health(self, request: Request) -> Response:
        about = {name: self.model.about[name] for name in ("method", "backbone", "precision", "fingerprint")}
        return JSONResponse(
            {
                "status": "ok",
                "model": {"name": self.model.path.name, **about, "engine": self.model.engine},
                "classes": list(self.model.classes),
                "limits": asdict(self.limits),
                "waiting": self.waiting,
            }
        )

    async def locate(self, request: Request) -> Response:
        try:
            asked = _asked(request.query_params, self.model.classes)
            async with self._let_in(), _file(request, self.limits) as path, self.one_at_a_time:
                found = await run_in_threadpool(self._found, path, asked)
        except _Refused as refused:
            await _drain(request, self.limits.bytes)
            headers = {"Retry-After": "1"} if refused.status == 503 else {}
            return JSONResponse({"error": str(refused)}, refused.status, {**headers, "Connection": "close"})
        except ClientDisconnect:
            return Response(status_code=499)  # which nobody reads
        return JSONResponse(found)

    @asynccontextmanager
    async def _let_in(self) -> AsyncIterator[None]:
        if self.waiting >= self.limits.waiting:
            raise _Refused(503, f"{self.waiting} requests are waiting, and no more are let in. Try again in a second.")
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    def _found(self, path: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            width, height = image_size(path)
            if width * height > self.limits.pixels:
                most = f"{self.limits.megapixels:g} million"
                raise _Refused(413, f"The image has {width:,} x {height:,} pixels; {most} are taken. Make it smaller.")
            return plain(self.model.locate(path, **asked))
        except ValueError as error:
            raise _Refused(400, str(error).replace(shown(path), "The image")) from None


def application(model: Model, limits: Limits | None = None, hosts: Sequence[str] = ("*",)) -> Starlette:
    """The service as an ASGI application.

    Args:
        model: what locates.
        limits: what is taken.
        hosts: by which names it may be called; `*`: by any.
    """
    service = _Service(model, limits or Limits())
    return Starlette(
        routes=[Route("/locate", service.locate, methods=["POST"]), Route("/health", service.health)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
    )


def serve(
    file: str | Path,
    host: str = LOOPBACK,
    port: int = 8000,
    threads: int | None = None,
    limits: Limits | None = None,
    log: Callable[[str], None] = print,
) -> None:
    """Serve an exported model until Ctrl-C or SIGTERM.

    Args:
        file: that `hclnet export` wrote.
        host: an address of this machine. Only by the default one the service is for this machine alone.
        port: 0: one that is free.
        threads: that compute; all processors by default.
        limits: what is taken.
        log: called with lines for a person.

    Raises:
        ValueError: the file is no model, or the port can't be had.
    """
    limits = limits or Limits()
    model = load(file, threads)
    with listening(port, host) as socket:
        log(f"{shown(model.path)}: {model!r}")
        log(
            f"An image is at most {limits.megabytes:g} MB and {limits.megapixels:g} million pixels; {limits.waiting} "
            f"requests may wait. Memory: at most {limits.memory / 1e6:,.0f} MB beyond the model."
        )
        address = f"http://{f'[{host}]' if ':' in host else host}:{socket.getsockname()[1]}"
        log(f"Post images to {address}/locate. Ctrl-C ends the service.")
        hosts = (LOOPBACK, "localhost") if host == LOOPBACK else ("*",)
        config = uvicorn.Config(
            application(model, limits, hosts), log_level="warning", access_log=False, lifespan="off", ws="none",
            limit_concurrency=limits.waiting + _CONNECTIONS, timeout_keep_alive=5, timeout_graceful_shutdown=5,
        )  # fmt: skip
        logging.getLogger("uvicorn.error").addFilter(lambda record: "Exceeded concurrency" not in record.getMessage())
        with suppress(KeyboardInterrupt, SystemExit):
            uvicorn.Server(config).run(sockets=[socket])


def _asked(query: Mapping[str, str], known: Sequence[str]) -> dict[str, Any]:
    if unknown := [name for name in query if name not in _QUERY]:
        raise _Refused(400, f"There is no parameter {shown(unknown[0])}. There are {', '.join(_QUERY)}.")
    asked: dict[str, Any] = {}
    for name in ("top", "max_objects"):
        if name in query:
            try:
                asked[name] = int(query[name])
            except ValueError:
                raise _Refused(400, f"{name}={shown(query[name])}: it has to be a whole number, 1 or more.") from None
    if "classes" in query:
        asked["classes"] = split_names(query["classes"], known)
    return asked


@asynccontextmanager
async def _file(request: Request, limits: Limits) -> AsyncIterator[Path]:
    """The body in a file of its own, which goes afterwards."""
    too_long = f"The image has more than {limits.megabytes:g} MB, which is the most that is taken. Make it smaller."
    with suppress(ValueError):
        if int(request.headers.get("content-length", 0)) > limits.bytes:
            raise _Refused(413, too_long)
    with tempfile.TemporaryDirectory(prefix="hclnet-") as folder:
        path, length = Path(folder, "image"), 0
        try:
            async with asyncio.timeout(limits.seconds):
                with path.open("wb") as file:
                    async for part in request.stream():
                        length += len(part)
                        if length > limits.bytes:
                            raise _Refused(413, too_long)
                        file.write(part)
        except TimeoutError:
            raise _Refused(408, f"The image did not come within {limits.seconds:g} seconds.") from None
        if not length:
            raise _Refused(400, "There is no image: post the bytes of an image file.")
        yield path


async def _drain(request: Request, most: int) -> None:
    """Throw away what a refused client sends: one that is cut off while it sends does not read the answer."""
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: all was read before
        async with asyncio.timeout(_DRAIN):
            async for part in request.stream():
                most -= len(part)
                if most < 0:
                    return


def main(words: Sequence[str] | None = None) -> int:
    """`python -m hclnet_runtime.service mine.onnx`, where hclnet is not installed; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hclnet_runtime.service", description="Serve an exported model.")
    parser.add_argument("file", help="that hclnet export wrote: .onnx or .xml")
    parser.add_argument("--host", default=LOOPBACK, help="an address of this machine (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="0: one that is free (default: 8000)")
    parser.add_argument("--threads", type=int, metavar="N", help="that compute (default: all processors)")
    defaults = asdict(Limits())
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value) if name == "waiting" else float, default=value, metavar="N")
    given = vars(parser.parse_args(words))
    try:
        limits = Limits(**{name: given.pop(name) for name in defaults})
        serve(**given, limits=limits, log=lambda line: print(line, flush=True))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
