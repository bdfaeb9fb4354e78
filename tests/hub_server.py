"""A server on this machine that answers as the Hugging Face hub does, read-only, from folders."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants


class Hub(ThreadingHTTPServer):
    """The server.

    Attributes:
        repos: folders with the files of a repository, by `user/name`, and by `user/name@revision` for others than main.
        refused: status and error code, by `user/name`; the key "" is for all.
        requests: what was asked for: method, path and the authorization.
        short: names of files of which the last byte is not sent.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repos: dict[str, Path] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.short: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def sent(self) -> set[str]:
        """Names of the files that were fetched."""
        return {path.rpartition("/")[2] for method, path, _ in self.requests if method == "GET" and "/resolve/" in path}

    def commit(self, repo: str, revision: str) -> tuple[str, Path] | None:
        """The commit that a revision means, and its folder."""
        for key, folder in self.repos.items():
            name, _, branch = key.partition("@")
            files = [p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()]
            digest = hashlib.sha1(b"".join([key.encode(), *files])).hexdigest()
            if name == repo and revision in (branch or "main", digest):
                return digest, folder
        return None


class _Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path, self.headers.get("Authorization")))
        info = re.fullmatch(r"/api/models/(.+?)(?:/revision/(.+))?", path)
        tree = re.fullmatch(r"/api/models/(.+?)/tree/([^/]+)(?:/(.*))?", path)
        file = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path)
        asked = tree or file or info
        if asked is None:
            return self._refuse(404, "")
        repo, revision = asked[1], asked[2] or "main"
        if refused := self.server.refused.get(repo) or self.server.refused.get(""):
            return self._refuse(*refused)
        if repo not in {name.partition("@")[0] for name in self.server.repos}:
            return self._refuse(401 if self.headers.get("Authorization") is None else 404, "RepoNotFound")
        found = self.server.commit(repo, revision)
        if found is None:
            return self._refuse(404, "RevisionNotFound")
        commit, folder = found
        names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
        if tree:
            rows = [
                {"type": "file", "path": name, "size": (folder / name).stat().st_size, "oid": _etag(folder / name)}
                for name in names
            ]
            return self._send(json.dumps(rows).encode(), commit, "application/json")
        if not file:
            about = {"_id": "0", "id": repo, "sha": commit, "private": False, "tags": [], "downloads": 0, "likes": 0}
            about["siblings"] = [{"rfilename": name} for name in names]
            return self._send(json.dumps(about).encode(), commit, "application/json")
        if file[3] not in names:
            return self._refuse(404, "EntryNotFound", commit)
        path_of = folder / file[3]
        return self._send(path_of.read_bytes(), commit, "application/octet-stream", _etag(path_of), file[3])

    do_HEAD = do_GET

    def _send(self, content: bytes, commit: str, kind: str, etag: str = "", name: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", commit)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.end_headers()
        if self.command == "GET":
            if name in self.server.short:
                content, self.close_connection = content[:-1], True
            self.wfile.write(content)

    def _refuse(self, status: int, code: str, commit: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers while the block lasts."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """A hub that `huggingface_hub` takes for the real one in this process, and an empty cache."""
    with serving() as hub:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        yield hub
