"""HTTP/1.1 as `Wire` speaks it: against servers that say any bytes, with aiohttp's own session as the reference."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from synthgain.models import wire
from synthgain.models.wire import Reply, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SAID = [
    OK,
    b"HTTP/1.1 200 OK\r\ncontent-length:2\r\nX-A: 1\r\nx-a: 2\r\n\r\nhi",
    b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 429 Slow down\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nbusy",
    b"HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;note=x\r\nh\r\nC\r\n\r\n\r\n\r\n\r\n0123\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(z := gzip.compress(b"hi")), z),
]  # fmt: skip
TO_THE_END = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
]
WRONG = [
    b"SSH-2.0-OpenSSH\r\n\r\n",
    b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhi\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhim\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * wire.LINE + b"x",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * wire.HEAD,
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(z) - 4, z[:-4]),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nhi",
]  # fmt: skip
CUT = [
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
]


class Speaker:
    """A server that reads requests with a length and says the next of these pieces to each, then closes if told."""

    def __init__(self, *answers: Sequence[bytes], close: bool = False) -> None:
        self.answers, self.close = list(answers), close
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = self.ended = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                self.bodies.append(await reader.readexactly(int(found[0][15:])) if found else b"")
                self.heads.append(head)
                for piece in self.answers[min(len(self.heads), len(self.answers)) - 1]:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.close:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended += 1
        finally:
            writer.close()


@asynccontextmanager
async def speaking(speaker: Speaker) -> AsyncIterator[URL]:
    server = await asyncio.start_server(speaker, "127.0.0.1", 0)
    try:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions")
    finally:
        server.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def wired(url: URL, proxy: URL | None = None) -> AsyncIterator[Wire]:
    made = Wire(url, {"User-Agent": "synthgain"}, connect=5.0, proxy=proxy)
    try:
        yield made
    finally:
        await made.close()


async def until(true: object) -> None:
    async with asyncio.timeout(5):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("said", [*SAID, *TO_THE_END])
async def test_an_answer_is_read_as_aiohttp_reads_it_however_it_is_cut(said: bytes) -> None:
    cut = [[said[i : i + 1] for i in range(len(said))], [said]]
    close = said in TO_THE_END
    speaker = Speaker(*cut, cut[1], close=close)
    async with speaking(speaker) as url, wired(url) as made, aiohttp.ClientSession() as session:
        bytewise, whole = await made.post(b"{}"), await made.post(b"{}")
        async with session.post(url, data=b"{}", allow_redirects=False) as known:
            assert bytewise == whole
            assert (whole.status, whole.body) == (known.status, await known.read())
            for name in set(known.headers):
                assert whole.headers[name.lower()] == ", ".join(known.headers.getall(name))
    assert speaker.connections == (3 if close else 2)


async def test_random_chunks_in_random_pieces() -> None:
    rng = random.Random(7)
    answers, bodies = [], []
    for _ in range(60):
        body = rng.randbytes(rng.choice([0, 1, 30, 5000]))
        sent, at = bytearray(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 0
        while at < len(body):
            size = rng.randint(1, len(body) - at)
            sent += b"%x\r\n%b\r\n" % (size, body[at : at + size])
            at += size
        sent += b"0\r\n\r\n"
        cuts = sorted(rng.choices(range(len(sent)), k=rng.randint(0, 6)))
        answers.append([bytes(sent[a:b]) for a, b in zip([0, *cuts], [*cuts, len(sent)])])
        bodies.append(body)
    speaker = Speaker(*answers)
    async with speaking(speaker) as url, wired(url) as made:
        assert [(await made.post(b"")).body for _ in answers] == bodies
    assert speaker.connections == 1


async def test_the_request_is_what_a_server_expects() -> None:
    speaker = Speaker([OK])
    async with speaking(speaker) as url, wired(url) as made:
        await made.post(b'{"a": 1}')
        await made.get(url.with_path("/v1/models"))
    first, second = (head.decode().split("\r\n") for head in speaker.heads)
    assert first[0] == "POST /v1/chat/completions HTTP/1.1" and second[0] == "GET /v1/models HTTP/1.1"
    assert f"Host: 127.0.0.1:{url.port}" in first and "User-Agent: synthgain" in first and "Content-Length: 8" in first
    assert speaker.bodies == [b'{"a": 1}', b""]


@pytest.mark.parametrize("said", WRONG)
async def test_what_is_no_http_costs_one_connection_and_no_more(said: bytes) -> None:
    speaker = Speaker([said], [OK])
    async with speaking(speaker) as url, wired(url) as made:
        with pytest.raises(aiohttp.ClientError):
            async with asyncio.timeout(5):
                await made.post(b"{}")
        assert await made.post(b"{}") == Reply(200, {"content-length": "2"}, b"hi")


@pytest.mark.parametrize("said", CUT)
async def test_a_connection_that_breaks_off(said: bytes) -> None:
    speaker = Speaker([said], close=True)
    async with speaking(speaker) as url, wired(url) as made:
        with pytest.raises(aiohttp.ClientError):
            async with asyncio.timeout(5):
                await made.post(b"{}")


async def test_a_connection_serves_one_request_after_another() -> None:
    speaker = Speaker([OK])
    async with speaking(speaker) as url, wired(url) as made:
        for _ in range(5):
            assert (await made.post(b"x")).body == b"hi"
        assert speaker.connections == 1
        await asyncio.gather(*(made.post(b"x") for _ in range(3)))
        assert speaker.connections <= 3


async def test_more_than_was_asked_for_is_never_another_calls_answer() -> None:
    speaker = Speaker([OK + OK.replace(b"hi", b"no")], [OK])
    async with speaking(speaker) as url, wired(url) as made:
        assert (await made.post(b"1")).body == b"hi"
        assert (await made.post(b"2")).body == b"hi"
    assert speaker.connections == 2


async def test_words_on_a_resting_connection_close_it() -> None:
    speaker = Speaker([OK, b"", b"HTTP/1.1 408 Too late\r\nContent-Length: 0\r\n\r\n"], [OK])
    async with speaking(speaker) as url, wired(url) as made:
        assert (await made.post(b"1")).status == 200
        await until(lambda: speaker.ended)
        assert (await made.post(b"2")).status == 200


async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    speaker = Speaker([OK], close=True)
    async with speaking(speaker) as url, wired(url) as made:
        for _ in range(3):
            assert (await made.post(b"1")).body == b"hi"
            await asyncio.sleep(0.02)
    assert speaker.connections == 3


async def test_a_cancelled_call_takes_its_connection_with_it() -> None:
    speaker = Speaker([OK[:20]], [OK.replace(b"hi", b"me")])
    async with speaking(speaker) as url, wired(url) as made:
        task = asyncio.create_task(made.post(b"1"))
        await until(lambda: speaker.heads)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: speaker.ended)
        assert (await made.post(b"2")).body == b"me"


async def test_nobody_listens() -> None:
    async with wired(URL("http://127.0.0.1:9/v1")) as made:
        with pytest.raises(aiohttp.ClientConnectorError):
            await made.post(b"{}")


async def test_a_proxy_is_asked_for_the_whole_url() -> None:
    speaker = Speaker([OK])
    async with (
        speaking(speaker) as proxy,
        wired(URL("http://model.test:81/v1/x"), proxy.with_user("me").with_password("pass")) as made,
    ):
        assert (await made.post(b"{}")).body == b"hi"
    lines = speaker.heads[0].decode().split("\r\n")
    assert lines[0] == "POST http://model.test:81/v1/x HTTP/1.1" and "Host: model.test:81" in lines
    assert "Proxy-Authorization: Basic bWU6cGFzcw==" in lines


# ------------------------------------------------------------------------------------------ TLS

OVER_TLS = """
import asyncio, sys
from yarl import URL
from synthgain.models.wire import Wire

async def main():
    for proxy in (None, URL(sys.argv[2])):
        wire = Wire(URL(sys.argv[1]), {}, connect=5.0, proxy=proxy)
        print([(await wire.post(b"{}")).body for _ in range(2)])
        await wire.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("making a certificate needs the openssl program")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file.with_suffix(".crt"))],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that knows CONNECT only."""
    target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
    host, _, port = target.rpartition(":")
    there, back = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")

    async def pour(source: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            into.write(data)
        into.close()

    await asyncio.gather(pour(reader, back), pour(there, writer), return_exceptions=True)


async def test_tls_direct_and_through_a_tunnel(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    speaker = Speaker([OK])
    secure = await asyncio.start_server(speaker, "127.0.0.1", 0, ssl=context)
    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    urls = [
        f"https://127.0.0.1:{secure.sockets[0].getsockname()[1]}/v1/x",
        f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
    ]
    try:
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OVER_TLS, *urls, stdout=subprocess.PIPE,
            env={**os.environ, "SSL_CERT_FILE": str(certificate.with_suffix(".crt"))},
        )  # fmt: skip
        out, _ = await done.communicate()
        assert out.decode().splitlines() == ["[b'hi', b'hi']"] * 2
        assert speaker.connections == 2
        async with wired(URL(urls[0])) as made:  # here nobody vouches for the certificate
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await made.post(b"{}")
    finally:
        secure.close()
        proxy.close()
