"""A Hugging Face Hub in a hundred lines: a real local server for a folder of repositories.

    with Hub(folder) as hub:
        subprocess.run(..., env=hub.env(home))

serves `folder/models/<id>/…` and `folder/datasets/<id>/…` at every revision, over the routes that `datasets`,
`transformers` and `huggingface_hub` ask for. The libraries read HF_ENDPOINT when they are imported: use it
from a child process, or point the library at it in this one (`point_at`).

`hub.fault` is called with the handler first: what it answers, the server doesn't. So a test can have it fail in any way
that the real one does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from labkit.hub import REPOSITORIES

COMMIT = "0" * 40
LARGE = {".parquet", ".zip", ".gz", ".bin", ".safetensors"}  # kept in LFS, with a SHA-256
_RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+?)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?")


class Hub:
    """The server, running while in the `with` block; `requests` lists what it was asked ("METHOD path")."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.fault: Callable[[_Handler], bool] = lambda handler: False  # True: it has answered
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def env(self, home: Path) -> dict[str, str]:
        """The environment of a child process for which this is the Hub, with its caches in `home`."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        return ours | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.requests.append(f"POST {self.path}")
        if self.hub.fault(self):
            return None
        if (match := _API.fullmatch(unquote(urlsplit(self.path).path))) and match[3] == "paths-info":
            asked = json.loads(body)["paths"] if body.startswith(b"{") else re.findall(r"paths=([^&]+)", body.decode())
            root = self.hub.folder / match[1] / match[2]
            return self._json([_entry(root, root / unquote(path)) for path in asked if (root / unquote(path)).exists()])
        return self._missing("EntryNotFound")

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        if self.hub.fault(self):
            return None
        path = unquote(urlsplit(self.path).path)
        if match := _RESOLVE.fullmatch(path):
            kind = "datasets" if match[1] else "models"
            return self._file(self.hub.folder / kind / match[2], match[3], match[4])
        if match := _API.fullmatch(path):
            return self._api(self.hub.folder / match[1] / match[2], match[2], match[3], match[5] or "")
        return self._reply(200, b"a hub", {})

    def _api(self, root: Path, repo: str, what: str | None, under: str) -> None:
        if not root.is_dir():
            return self._missing("RepoNotFound")
        if what != "tree":
            files = [{"rfilename": str(path.relative_to(root))} for path in _files(root)]
            return self._json({"id": repo, "sha": COMMIT, "private": False, "tags": [], "siblings": files})
        folder = root / under
        if not folder.exists():
            return self._missing("EntryNotFound")
        recursive = "recursive=true" in self.path.lower()
        return self._json([_entry(root, p) for p in sorted(folder.rglob("*") if recursive else folder.iterdir())])

    def _file(self, root: Path, revision: str, name: str) -> None:
        if not root.is_dir():
            return self._missing("RepoNotFound")
        path = root / name
        if not path.is_file():
            return self._missing("EntryNotFound")
        data = path.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": revision if len(revision) == len(COMMIT) else COMMIT,
            "Accept-Ranges": "bytes",
        }
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return self._reply(206, data[first : last + 1], headers)
        return self._reply(200, data, headers)

    def _json(self, value: object) -> None:
        self._reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _missing(self, code: str) -> None:
        self._reply(404, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def served(folder: Path, name: str) -> Path:
    """Where a `Hub` of that folder has the repository that the course calls `name`."""
    return folder / f"{REPOSITORIES[name].kind}s" / REPOSITORIES[name].id


def point_at(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the library of this process ask that Hub, with its cache in `home`, and never wait between two attempts."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def run_in_child(code: str, environment: dict[str, str]) -> str:
    """The last line that `code` prints in a Python of its own, where the Hub's address can still be set."""
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout.splitlines()[-1]


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _entry(root: Path, path: Path) -> dict[str, object]:
    name = path.relative_to(root).as_posix()
    if path.is_dir():
        return {"type": "directory", "oid": COMMIT, "size": 0, "path": name}
    data = path.read_bytes()
    entry = {"type": "file", "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), "size": len(data)}
    if path.suffix in LARGE:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry | {"path": name}
