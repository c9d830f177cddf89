"""A package index that really listens on loopback, with wheels made on the spot.

with serving() as index:
    index.add("tiny-part1", "tiny_part1/part1.bin", b"...")
    index.held.add("tiny-part2")       # asked for it, the server waits until `index.go` is set
    index.asked["tiny-part1"]          # how often its wheel was fetched
"""

from __future__ import annotations

import io
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from doubles.listening import listening


def wheel(package: str, member: str, content: bytes) -> bytes:
    """A wheel of version 0.1 with one file."""
    made = io.BytesIO()
    info = f"{package.replace('-', '_')}-0.1.dist-info"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return made.getvalue()


def wheel_name(package: str) -> str:
    return f"{package.replace('-', '_')}-0.1-py3-none-any.whl"


@dataclass
class Index:
    """Wheels by package: the first of several is served once, the last ever after."""

    url: str = ""
    wheels: dict[str, list[bytes]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    go: threading.Event = field(default_factory=threading.Event)
    asked: Counter[str] = field(default_factory=Counter)

    def add(self, package: str, member: str, content: bytes) -> None:
        self.wheels.setdefault(package, []).append(wheel(package, member, content))

    def answer(self, path: str) -> tuple[int, str, bytes]:
        kind, _, name = path.strip("/").partition("/")
        if kind == "simple" and name in self.wheels:
            file = wheel_name(name)
            return 200, "text/html", f'<!DOCTYPE html><a href="/files/{name}/{file}">{file}</a>'.encode()
        package = name.partition("/")[0]
        if kind != "files" or package not in self.wheels:
            return 404, "text/plain", b"there is no such thing"
        self.asked[package] += 1
        if package in self.held:
            self.go.wait(60)
        there = self.wheels[package]
        return 200, "application/octet-stream", there.pop(0) if len(there) > 1 else there[0]


@contextmanager
def serving() -> Iterator[Index]:
    """A listening index for the length of a `with`."""
    here = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = here.answer(self.path)
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # whoever asked was killed
                pass

        def log_message(self, format: str, *args: object) -> None:
            return None

    with listening(Handler) as url:
        here.url = f"{url}/simple"
        try:
            yield here
        finally:
            here.go.set()
