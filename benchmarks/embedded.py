"""Speed of the embedded model beside the runtime's own, and how much of shared prompts is not read twice.

    python benchmarks/embedded.py [--json] [--tokens 48] [--repeats 3] [--weights q8|q4] [--threads N]

Speed: new tokens per second of `Local` at 1, 8 and 16 parallel drafts, over those of plain threads on
`xllamacpp.Server` with the same settings, weights, prompts and seeds, turn about in one run; the runtime's own best is the
best of its repeats. Prefixes: an EntiGraph-like load (a document first, then many pairs of entities) from cold;
of the prompt tokens that an earlier prompt had already, the share that was not read again (goal 0.9).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from synthgain.models.llamacpp import start
from synthgain.models.local import Local, request
from synthgain.models.weights import eight_bit, find
from synthgain.types import Prompt, Sampling, system, user

DOCUMENT = " ".join(
    f"In the year {900 + 7 * i} the town of Ansel{i} built mill number {i * 37 % 91}." for i in range(24)
)


def prompts(parallel: int, tokens: int, turn: int) -> list[Prompt]:
    """Two waves of short prompts that share nothing but the template."""
    law = Sampling(max_tokens=tokens)
    return [
        Prompt((user(f"{turn}-{i}: tell a long story."),), sampling=law, seed=turn) for i in range(max(2, 2 * parallel))
    ]


async def ours(model: Local, asked: list[Prompt]) -> float:
    """Tokens per second through `Local`."""
    began = time.perf_counter()
    calls = await asyncio.gather(*(model(prompt) for prompt in asked))
    return sum(call.tokens_out for call in calls) / (time.perf_counter() - began)


def bare(server: Any, identity: str, parallel: int, asked: list[Prompt]) -> float:
    """Tokens per second of plain threads on the runtime, with the same bodies."""
    bodies = [request(prompt, int(prompt.id(identity)[:8], 16) & 0x7FFFFFFF) for prompt in asked]
    began = time.perf_counter()
    with ThreadPoolExecutor(parallel) as pool:
        answers = list(pool.map(server.handle_chat_completions, bodies))
    return sum(answer["usage"]["completion_tokens"] for answer in answers) / (time.perf_counter() - began)


async def speed(path: Path, parallel: int, tokens: int, repeats: int, threads: int | None) -> dict[str, float]:
    """One row of the table."""
    model = Local(path, slots=parallel, threads=threads, context=1024)
    with tempfile.TemporaryDirectory() as folder:
        server = start(path, parallel, model._threads, 1024, Path(folder), "benchmark")
        await ours(model, prompts(parallel, 4, 999))
        bare(server, model.identity, parallel, prompts(parallel, 4, 999))
        mine, its = [], []
        for turn in range(repeats):
            asked = prompts(parallel, tokens, turn)
            mine.append(await ours(model, asked))
            its.append(await asyncio.to_thread(bare, server, model.identity, parallel, asked))
        del server
        await model.aclose()
    return {
        "parallel": parallel,
        "tokens_per_s": max(mine),
        "runtime_tokens_per_s": max(its),
        "ratio": max(mine) / max(its),
        "ratio_of_medians": statistics.median(mine) / statistics.median(its),
    }


async def prefixes(path: Path, slots: int, threads: int | None, pairs: int) -> dict[str, float]:
    """Cold slots, one document, many pairs: tokens that could have been reused, and those that were."""
    model = Local(path, slots=slots, threads=threads, context=1024)
    names = [f"Ansel{i}" for i in range(24)]
    asked = [
        Prompt(
            (system("You analyse documents."), user(f"{DOCUMENT}\n\nHow do {a} and {b} relate?")),
            sampling=Sampling(max_tokens=8),
        )
        for a, b in itertools.islice(itertools.combinations(names, 2), pairs)
    ]
    calls = await asyncio.gather(*(model(prompt) for prompt in asked))
    await model.aclose()
    first = min(calls, key=lambda call: call.tokens_cached)  # the one that read the document for all
    common = max(call.tokens_cached for call in calls if call is not first)
    shared = min(common, *(call.tokens_in for call in calls))
    reused = sum(min(call.tokens_cached, shared) for call in calls)
    return {
        "slots": slots,
        "pairs": pairs,
        "prompt_tokens": sum(call.tokens_in for call in calls),
        "reusable": shared * (len(calls) - 1),
        "reused": reused,
        "share": reused / (shared * (len(calls) - 1)),
        "cached_of_all": sum(call.tokens_cached for call in calls) / sum(call.tokens_in for call in calls),
    }


async def main() -> None:
    """The table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", choices=("q8", "q4"), default="q8")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--parallel", type=int, nargs="*", default=[1, 8, 16])
    given = parser.parse_args()
    base = find("smollm2-135m")
    path = eight_bit(base) if given.weights == "q8" else base
    rows = [await speed(path, n, given.tokens, given.repeats, given.threads) for n in given.parallel]
    reuse = await prefixes(path, 8, given.threads, given.pairs)
    if given.json:
        print(json.dumps({"weights": path.name, "speed": rows, "prefixes": reuse}))
        return
    print(f"{path.name}\n{'parallel':>9} {'tokens/s':>9} {'runtime':>9} {'ratio':>6}")
    for row in rows:
        print(
            f"{row['parallel']:>9.0f} {row['tokens_per_s']:>9.1f} {row['runtime_tokens_per_s']:>9.1f} {row['ratio']:>6.2f}"
        )
    print(
        f"shared prompt tokens not read again: {reuse['reused']:.0f} of {reuse['reusable']:.0f} ({reuse['share']:.3f})"
    )


if __name__ == "__main__":
    asyncio.run(main())
