"""HTTP/1.1 to one server, for many small POSTs: the transport under `openai`.

aiohttp opens the connections (names, TLS, proxies, time limits, errors) and we speak on them. Its own
session takes two to three times the processor time for each request: it builds a request and a response
object with case-insensitive headers, cookies, timers, redirects and traces that a call has no use for.

Connections are kept alive and used one request at a time. A response is as RFC 9112 says: by length, chunked, or
until the end of the connection; interim (1xx) ones are passed over; gzip is undone. Whatever breaks these
rules, an answer longer than its length too, costs the connection, never another call's answer.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple

import aiohttp
from yarl import URL

IDLE = 15.0  # seconds; a connection unused for longer is closed: the server may be about to do the same
HEAD, LINE = 1 << 17, 1 << 14  # bytes: the longest head of a response, and line between chunks
_LENGTH, _SIZE = re.compile(r"[0-9]+"), re.compile(rb"[0-9A-Fa-f]+")


class Reply(NamedTuple):
    """What came back: names of headers are in lower case, the body is decoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """POSTs to one URL. Open it inside the event loop that uses it.

    A task that is cancelled in `post` takes its connection with it. `connect` is in seconds, for one connection.
    """

    def __init__(self, url: URL, headers: Mapping[str, str], *, connect: float, proxy: URL | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._url, self._proxy = url, proxy
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect)
        self._connector = aiohttp.TCPConnector(limit=0, force_close=True)
        host = url.host_port_subcomponent or ""
        self._headers = {"Host": host, "Accept": "*/*", "Accept-Encoding": "gzip", **headers}
        self._head = self._written("POST", url)
        self._idle: list[_Line] = []

    def _written(self, method: str, url: URL) -> bytes:
        """The head of a request, without its end."""
        whole = self._proxy is not None and url.scheme == "http"  # a proxy without a tunnel wants the whole URL
        lines = [
            f"{method} {url if whole else url.raw_path} HTTP/1.1",
            *(f"{k}: {v}" for k, v in self._headers.items()),
        ]
        return "\r\n".join([*lines, ""]).encode()

    async def post(self, body: bytes) -> Reply:
        """The reply, whatever its status. aiohttp.ClientError or OSError where there is none."""
        line = self._rested() or await self._connect()
        try:
            return await line.ask(b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body))
        finally:
            self._rest(line)

    async def get(self, url: URL) -> Reply:
        """The reply to a GET of another URL of the same server."""
        line = self._rested() or await self._connect()
        try:
            return await line.ask(self._written("GET", url) + b"\r\n")
        finally:
            self._rest(line)

    def _rest(self, line: _Line) -> None:
        """Keep a connection whose last answer was whole; close any other."""
        if line.ready:
            line.since = monotonic()
            self._idle.append(line)
        else:
            line.close()

    def _rested(self) -> _Line | None:
        """A connection that waits, the one used last."""
        idle = self._idle
        while idle:
            line = idle.pop()
            if line.open and monotonic() - line.since < IDLE:
                return line
            line.close()
        return None

    async def _connect(self) -> _Line:
        request = aiohttp.ClientRequest("POST", self._url, loop=self._loop, proxy=self._proxy)
        connection = await self._connector.connect(request, [], self._timeout)
        word = request.headers.get("Proxy-Authorization")  # where the connector found one to be of use
        if word is not None and "Proxy-Authorization" not in self._headers:
            self._headers["Proxy-Authorization"] = word
            self._head = self._written("POST", self._url)
        return _Line(connection, self._loop)

    async def close(self) -> None:
        """Close all connections."""
        for line in self._idle:
            line.close()
        self._idle.clear()
        await self._connector.close()


class _Line(asyncio.Protocol):
    """One connection: bytes in, one `Reply` at a time."""

    def __init__(self, connection: aiohttp.connector.Connection, loop: asyncio.AbstractEventLoop) -> None:
        transport = connection.transport
        if transport is None:
            raise aiohttp.ServerDisconnectedError
        self.loop, self.connection, self.transport = loop, connection, transport
        self.since = 0.0  # when it was last used
        self.open, self.ready = True, False
        self._waiter: asyncio.Future[Reply] | None = None
        self._start()
        transport.set_protocol(self)

    def _start(self) -> None:
        self._got = bytearray()
        self._need = 0  # bytes without which looking again is of no use
        self._status, self._headers = 0, dict[str, str]()
        self._length: int | None = None  # None: until the connection ends
        self._body: bytearray | None = None  # of a chunked response: what came so far
        self._trailer = False

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Send a request; the reply is the future's."""
        self.ready = False
        self._waiter = waiter = self.loop.create_future()
        self.transport.write(request)
        return waiter

    def close(self) -> None:
        """Let the connection go."""
        self.open = self.ready = False
        self.connection.close()

    # ------------------------------------------------------------------------------------------ what the loop calls

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():  # nobody asked for this
            self.close()
            return
        self._got += data
        if len(self._got) >= self._need:
            try:
                self._look()
            except ValueError as error:
                self._fail(aiohttp.ClientPayloadError(f"this is no HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self.close()
        if self._status and self._length is None and self._body is None and error is None:
            self._finish(bytes(self._got), keep=False)
        elif self._status or self._got:
            self._fail(error or aiohttp.ClientPayloadError("the connection ended in the middle of an answer"))
        else:
            self._fail(error or aiohttp.ServerDisconnectedError())

    # ------------------------------------------------------------------------------------------ reading a response

    def _look(self) -> None:
        """Go as far as what is here allows."""
        while not self._status:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                if len(self._got) > HEAD:
                    raise ValueError("the head does not end")
                return
            self._begin(bytes(self._got[:end]).decode("latin-1"))
            del self._got[: end + 4]
        if self._body is not None:
            self._chunks(self._body)
        elif self._length is not None and len(self._got) >= self._length:
            self._finish(bytes(self._got[: self._length]), keep=len(self._got) == self._length)

    def _begin(self, head: str) -> None:
        """Read status and headers."""
        first, *lines = head.split("\r\n")
        version, _, rest = first.partition(" ")
        status = rest[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not status.isdecimal() or len(status) != 3:
            raise ValueError(f"it begins with {first[:60]!r}")
        if status[0] == "1" and status != "101":
            return  # interim: the response is still to come
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            name, value = name.lower(), value.strip(" \t")
            if not colon or not name or name != name.strip():
                raise ValueError(f"a header line is {line[:60]!r}")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._headers = headers
        self._length = self._length_of(status)
        self._status = int(status)
        self._keep = version == "HTTP/1.1" and "close" not in headers.get("connection", "").lower()
        self._need = self._length or 0

    def _length_of(self, status: str) -> int | None:
        """How long the body is; None where it ends by itself (chunked: `_body` is then set) or with the connection."""
        coding = self._headers.get("transfer-encoding")
        if status in ("204", "304"):
            return 0
        if coding is not None:
            if coding.lower() != "chunked":
                raise ValueError(f"the transfer coding {coding[:60]!r} was not asked for")
            self._body = bytearray()
            return None
        said = self._headers.get("content-length")
        if said is None:
            return None
        lengths = {part.strip() for part in said.split(",")}
        if len(lengths) != 1 or not _LENGTH.fullmatch(said := lengths.pop()):
            raise ValueError(f"the content length is {said[:60]!r}")
        return int(said)

    def _chunks(self, body: bytearray) -> None:
        """Take whole chunks off what is here (RFC 9112, section 7.1)."""
        got, at = self._got, 0
        while (end := got.find(b"\r\n", at)) >= 0:
            line = bytes(got[at:end])
            if self._trailer:
                at = end + 2
                if not line:
                    self._finish(bytes(body), keep=at == len(got))
                    return
                continue
            found = _SIZE.match(line)
            if found is None or line[found.end() : found.end() + 1] not in (b"", b";", b" "):
                raise ValueError("a chunk has no size")
            size = int(found[0], 16)
            if not size:
                self._trailer, at = True, end + 2
                continue
            if len(got) < end + 2 + size + 2:
                self._need = end + 2 + size + 2 - at
                break
            if got[end + 2 + size : end + 4 + size] != b"\r\n":
                raise ValueError("a chunk is longer than it says")
            body += got[end + 2 : end + 2 + size]
            at, self._need = end + 4 + size, 0
        else:
            if len(got) - at > LINE:
                raise ValueError("the line between two chunks does not end")
        del got[:at]

    def _finish(self, raw: bytes, keep: bool) -> None:
        """The response is whole. `keep`: nothing lies behind it."""
        waiter, reply = self._waiter, Reply(self._status, self._headers, raw)
        self.ready = self.open and keep and self._keep
        self._waiter = None
        self._start()
        if waiter is None or waiter.done():
            return
        coding = reply.headers.get("content-encoding", "identity").lower()
        if coding in ("gzip", "x-gzip") and raw:
            try:
                reply = reply._replace(body=_unzipped(raw))
            except (zlib.error, EOFError) as error:
                waiter.set_exception(aiohttp.ClientPayloadError(f"the answer is no gzip ({error})"))
                return
        elif coding not in ("identity", "", "gzip", "x-gzip"):
            waiter.set_exception(aiohttp.ClientPayloadError(f"the coding {coding[:60]!r} was not asked for"))
            return
        waiter.set_result(reply)

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


def _unzipped(raw: bytes) -> bytes:
    """What gzip members hold. zlib.error or EOFError where they are damaged or cut off."""
    out = b""
    while raw:
        member = zlib.decompressobj(wbits=31)
        out += member.decompress(raw) + member.flush()
        if not member.eof:
            raise EOFError("it is cut off")
        raw = member.unused_data
    return out
