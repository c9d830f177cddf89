"""A hub that really listens on loopback: as much of its HTTP interface as an upload of a data set needs.

    with hub(token="hf_x") as served:
        HfApi(endpoint=served.url, token="hf_x").upload_folder(...)
        served.files["owner/name"]["README.md"]  # the bytes that were committed

Parquet files go the LFS way (batch, PUT, verify), as on the real hub; the rest is in the commit itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from doubles.listening import listening


@dataclass
class Hub:
    """What the hub is (`token`, `refuse`) and what it was told (`asked`: method, path, headers, body)."""

    token: str = ""
    refuse: int = 0  # every request gets this status
    full: bool = False  # its storage takes no blob
    url: str = ""
    repos: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one request."""
        self.asked.append((method, path, headers, body))
        parts = path.partition("?")[0].strip("/").split("/")
        if self.refuse:
            return self.refuse, {"error": "refused on order"}
        if parts[0] == "storage":  # where blobs go: a signed address, so no token is wanted there
            return self.store(parts[1], body)
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"error": "Invalid username or password."}
        if parts == ["api", "repos", "create"]:
            return self.create(json.loads(body))
        if parts == ["api", "validate-yaml"]:
            return 200, {"errors": [], "warnings": []}
        if parts[-4:] == ["info", "lfs", "objects", "batch"]:
            return 200, {"transfer": "basic", "objects": [self.action(o) for o in json.loads(body)["objects"]]}
        if parts[:2] == ["api", "datasets"] and len(parts) == 6 and "/".join(parts[2:4]) in self.repos:
            repo, verb = "/".join(parts[2:4]), parts[4]
            if verb == "preupload":
                return 200, {"files": [self.mode(f) for f in json.loads(body)["files"]]}
            if verb == "commit":
                return self.commit(repo, body)
        if parts[:2] == ["api", "datasets"] and "/".join(parts[2:4]) in self.repos:
            return 200, {"id": "/".join(parts[2:4]), "sha": "0" * 40, "siblings": []}
        return 404, {"error": f"no route {method} {path}"}

    def create(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        repo = f"{asked['organization']}/{asked['name']}"
        url = f"{self.url}/datasets/{repo}"
        if repo in self.repos:
            return 409, {"error": "You already created this dataset repo", "url": url}
        self.repos[repo] = asked
        return 200, {"url": url}

    @staticmethod
    def mode(file: dict[str, Any]) -> dict[str, Any]:
        large = file["path"].endswith(".parquet")
        return {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": None}

    def action(self, wanted: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.url}/storage/{wanted['oid']}"}
        return {"oid": wanted["oid"], "size": wanted["size"], "actions": {"upload": upload}}

    def store(self, oid: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if self.full:
            return 403, {"error": "no room"}
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "these are other bytes"}
        self.blobs[oid] = body
        return 200, {}

    def commit(self, repo: str, body: bytes) -> tuple[int, dict[str, Any]]:
        files = self.files.setdefault(repo, {})
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            if line["key"] == "header":
                self.commits.append(value["summary"])
            elif line["key"] == "file":
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.blobs:
                    return 422, {"error": f"the blob of {value['path']} was never uploaded"}
                files[value["path"]] = self.blobs[value["oid"]]
            else:
                return 400, {"error": f"unknown operation {line['key']}"}
        oid = hashlib.sha1(body).hexdigest()
        return 200, {"commitUrl": f"{self.url}/datasets/{repo}/commit/{oid}", "commitOid": oid}


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    found = b""
    while size := int(handler.rfile.readline(), 16):
        found += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return found


@contextmanager
def hub(token: str = "", refuse: int = 0, full: bool = False) -> Iterator[Hub]:
    """A listening hub for the length of a `with`."""
    here = Hub(token, refuse, full)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, told = here.answer(self.command, self.path, headers, _body(self))
            raw = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_PUT = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            return None

    with listening(Handler) as here.url:
        yield here
