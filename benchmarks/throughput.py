"""Calls per second through `generate`, as a ratio to a bare loop over the same HTTP library.

    python benchmarks/throughput.py [--calls 20000] [--in-flight 64 256 1024] [--repeats 3] [--json]

A server process answers after 50 ms, on keep-alive connections. The bare loop sends the very bodies that synthgain
sends, as many at once, through aiohttp's own session and reads the answers as JSON; it remembers nothing, judges
nothing and writes nothing. `generate` is timed whole: reading anchors, drafting, durable memory on, rows and data
set written. The two take turns, and the one that goes first changes. Both have been run once before (imports).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

import synthgain as sg
from synthgain.models.openai import OpenAI
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, Sampling, user

JSON = {"Content-Type": "application/json"}
WORDS = tuple(a + b for a in ("ba", "ce", "di", "fo") for b in ("lan", "mer", "nit", "por"))


async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=64)))
    yield Row(messages=(user(anchor.text), {"role": "assistant", "content": call.text}), calls=(call,))


RECIPE = Recipe("one-call", "1", draft)


# ------------------------------------------------------------------------------------------ the server


class Answering(asyncio.Protocol):
    """One connection of a server as lean as Python allows: what it takes, it takes from both sides' processors.

    It answers a POST with eight words drawn by a hash of the body, each with its log-probability, as the test server does.
    """

    def __init__(self, latency: float) -> None:
        self.latency, self.got, self.loop = latency, b"", asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        if end >= 0:
            at = self.got.lower().index(b"content-length:", 0, end) + 15
            size = end + 4 + int(self.got[at : self.got.index(b"\r\n", at)])
            if len(self.got) >= size:
                self.loop.call_later(self.latency, self.answer, self.got[end + 4 : size])
                self.got = self.got[size:]

    def answer(self, asked: bytes) -> None:
        drawn = [WORDS[byte & 15] for byte in hashlib.shake_128(asked).digest(8)]
        tokens = ", ".join([f'{{"token": "{word}", "logprob": {-math.log(16)}}}' for word in drawn])
        body = (
            '{"id": "chatcmpl-double", "object": "chat.completion", "model": "double", "choices": [{"index": 0, '
            f'"message": {{"role": "assistant", "content": "{" ".join(drawn)}"}}, "finish_reason": "stop", '
            f'"logprobs": {{"content": [{tokens}]}}}}], '
            '"usage": {"prompt_tokens": 17, "completion_tokens": 8, "total_tokens": 25}}'
        ).encode()
        if not self.transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
            self.transport.write(head % len(body) + body)


async def serve(latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(latency), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the parent is gone


@contextmanager
def served(latency: float) -> Iterator[str]:
    """The base URL of a server in a process of its own."""
    command = [sys.executable, __file__, "--serve", "--latency", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


# ------------------------------------------------------------------------------------------ the sides


async def bare(base_url: str, bodies: list[bytes], width: int) -> None:
    """The loop a user would write: `width` workers over one session."""
    waiting, url = iter(bodies), f"{base_url}/chat/completions"

    async def work(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            async with session.post(url, data=body, headers=JSON) as answer:
                (await answer.json())["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(width)))


def ours(base_url: str, anchors: Path, width: int, calls: int) -> None:
    """The whole `generate`."""
    with tempfile.TemporaryDirectory() as folder:
        reach = sg.Reach(base_url=base_url, concurrency=width)
        run = sg.generate(RECIPE, anchors, out=folder, model="openai/double", reach=reach)
        counts = run.record["counts"]
        assert counts["calls_bought"] == counts["kept"] == calls, counts


def bodies_of(base_url: str, texts: list[str]) -> list[bytes]:
    """The bodies that synthgain sends for these texts."""
    model = OpenAI("double", base_url=base_url)
    prompts = [Prompt((user(text),), sampling=Sampling(max_tokens=64)) for text in texts]
    return [model._body(p, p.id(model.identity), frozenset()) for p in prompts]


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and seconds of this process's processor."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


def turns(base_url: str, folder: Path, calls: int, width: int, repeats: int) -> list[dict[str, float]]:
    """The sides in turn; the order is reversed each time."""
    texts = [
        f"Question number {i}: what is {i} times {i % 97}, and why does it matter to a reader in a hurry?"
        for i in range(calls)
    ]
    anchors = folder / f"anchors-{calls}.jsonl"
    anchors.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    bodies = bodies_of(base_url, texts)
    sides: list[tuple[str, Callable[[], None]]] = [
        ("bare", lambda: asyncio.run(bare(base_url, bodies, width))),
        ("ours", lambda: ours(base_url, anchors, width, calls)),
    ]
    results = []
    for n in range(repeats):
        taken = {name: timed(work) for name, work in (sides if n % 2 == 0 else reversed(sides))}
        seconds = {name: s for name, (s, _) in taken.items()}
        results.append(
            {"in_flight": width, "ratio": seconds["bare"] / seconds["ours"]}
            | {f"{name}_per_s": calls / s for name, s in seconds.items()}
            | {f"{name}_cpu_us": cpu / calls * 1e6 for name, (_, cpu) in taken.items()}
        )
    return results


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--calls", type=int, default=20_000)
    options.add_argument("--in-flight", type=int, nargs="+", default=[64, 256, 1024])
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--latency", type=float, default=0.05)
    options.add_argument("--json", action="store_true")
    options.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.serve:
        asyncio.run(serve(asked.latency))
        return
    results = []
    with served(asked.latency) as base_url, tempfile.TemporaryDirectory() as name:
        turns(base_url, Path(name), 200, 64, 1)
        for width in asked.in_flight:
            results += turns(base_url, Path(name), asked.calls, width, asked.repeats)
    if asked.json:
        print(json.dumps({"calls": asked.calls, "runs": results}))
        return
    print(f"{asked.calls:,} calls, {asked.latency * 1000:.0f} ms each; in turn, {asked.repeats} times")
    for width in asked.in_flight:
        mine = [r for r in results if r["in_flight"] == width]
        middle = {name: statistics.median(r[name] for r in mine) for name in mine[0]}
        ratios = [r["ratio"] for r in mine]
        print(
            f"{width:>6} in flight: bare {middle['bare_per_s']:>6,.0f}/s, generate {middle['ours_per_s']:>6,.0f}/s, "
            f"ratio {middle['ratio']:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
            f"processor a call: {middle['bare_cpu_us']:.0f} and {middle['ours_cpu_us']:.0f} us"
        )


if __name__ == "__main__":
    main()
