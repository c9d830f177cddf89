"""Calls per second through `generate`, as a ratio to a bare loop over the same HTTP library.

    python benchmarks/throughput.py [--calls 20000] [--in-flight 64 256 1024] [--repeats 2] [--json]

A server process answers after 50 ms. The bare loop sends the very bodies that synthgain sends and reads
the answers as JSON; it remembers nothing, judges nothing and writes nothing. `generate` is timed whole:
reading anchors, drafting, durable memory on, rows and data set written. The two take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import synthgain as sg
from doubles.server import Server, served
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, Sampling, user


async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=64)))
    yield Row(messages=(user(anchor.text), {"role": "assistant", "content": call.text}), calls=(call,))


RECIPE = Recipe("one-call", "1", draft)


async def bare(url: str, bodies: list[bytes], width: int) -> float:
    """The loop a user would write: `width` workers over one session."""
    waiting = iter(bodies)
    began = time.perf_counter()

    async def work(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                (await answer.json())["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(width)))
    return time.perf_counter() - began


def bodies_of(server: Server, texts: list[str]) -> list[bytes]:
    """The bodies that synthgain sends for these texts."""
    from synthgain.models.openai import OpenAI

    model = OpenAI("double", base_url=server.base_url)
    prompts = [Prompt((user(text),), sampling=Sampling(max_tokens=64)) for text in texts]
    return [bytes(model._body(p, p.id(model.identity), frozenset())) for p in prompts]


def ours(server: Server, anchors: Path, width: int) -> tuple[float, float]:
    """Seconds of the whole `generate`, and of this process's processor."""
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), time.process_time()
        run = sg.generate(
            RECIPE,
            anchors,
            out=folder,
            model="openai/double",
            reach=sg.Reach(base_url=server.base_url, concurrency=width),
        )
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        counts = run.record["counts"]
        assert counts["calls_bought"] == counts["kept"], counts
    return seconds, cpu


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--calls", type=int, default=20_000)
    options.add_argument("--in-flight", type=int, nargs="+", default=[64, 256, 1024])
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--latency", type=float, default=0.05)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    texts = [
        f"Question number {i}: what is {i} times {i % 97}, and why does it matter to a reader in a hurry?"
        for i in range(asked.calls)
    ]
    results = []
    with served(latency=asked.latency) as server, tempfile.TemporaryDirectory() as folder:
        anchors = Path(folder) / "anchors.jsonl"
        anchors.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
        bodies = bodies_of(server, texts)
        for width in asked.in_flight:
            for _ in range(asked.repeats):
                b = asyncio.run(bare(f"{server.base_url}/chat/completions", bodies, width))
                o, cpu = ours(server, anchors, width)
                results.append(
                    {
                        "in_flight": width,
                        "bare_per_s": asked.calls / b,
                        "ours_per_s": asked.calls / o,
                        "ratio": b / o,
                        "cpu_us": cpu / asked.calls * 1e6,
                    }
                )
    if asked.json:
        print(json.dumps({"calls": asked.calls, "runs": results}))
        return
    print(f"{asked.calls:,} calls, {asked.latency * 1000:.0f} ms each; in turn, {asked.repeats} times")
    for width in asked.in_flight:
        mine = [r for r in results if r["in_flight"] == width]
        ratios = [r["ratio"] for r in mine]
        print(
            f"{width:>6} in flight: bare {statistics.median(r['bare_per_s'] for r in mine):>6,.0f}/s, "
            f"generate {statistics.median(r['ours_per_s'] for r in mine):>6,.0f}/s, ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}), {statistics.median(r['cpu_us'] for r in mine):.0f} us of processor a call"
        )


if __name__ == "__main__":
    main()
