"""Both runtimes of the embedded model on this machine, same prompts, in one run, each beside its own best loop.

    python benchmarks/runtimes.py [--json] [--weights NAME|PATH.gguf] [--widths 1 8 32] [--tokens 32] [--repeats 2] [--skip RUNTIME…]

New tokens a second, reading included: of `local/` with llama.cpp, over plain threads on its server with the same settings; of `local/` with
torch, over `model.generate` on one static batch (left padding, plain sampling, no log-probabilities), which for prompts and
answers of one length is the best that transformers' own loop can do. Turn about; the best of the repeats. `document` is a load with
what real ones have: one document and many short tasks whose answers end where they end, so that static batches wait for the
longest and read the document again for each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from synthgain.models import gguf
from synthgain.models.hf import HF
from synthgain.models.llamacpp import start
from synthgain.models.local import Local, request
from synthgain.models.weights import KNOWN, eight_bit, find
from synthgain.types import Model, Prompt, Sampling, user

CONTEXT = 1024
DOCUMENT = " ".join(
    f"In the year {900 + 7 * i} the town of Ansel{i} built mill number {i * 37 % 91}." for i in range(16)
)


def stories(width: int, tokens: int, turn: int) -> list[Prompt]:
    """Prompts that share nothing but the template, with answers that hardly ever end by themselves."""
    law = Sampling(max_tokens=tokens)
    return [Prompt((user(f"{turn}-{i}: tell a long story."),), sampling=law, seed=turn) for i in range(width)]


def tasks(width: int, tokens: int, turn: int) -> list[Prompt]:
    """A document and three times `width` tasks, each with another limit of its answer."""
    return [
        Prompt(
            (user(f"{DOCUMENT}\n\nTell of Ansel{i} ({turn})."),),
            sampling=Sampling(max_tokens=tokens // 4 + (i * 7) % tokens),
            seed=turn,
        )
        for i in range(3 * width)
    ]


async def ours(model: Model, asked: list[Prompt]) -> float:
    """New tokens a second, as a run asks: at most `width` calls at a time."""
    gate = asyncio.Semaphore(model.width)

    async def one(prompt: Prompt) -> int:
        async with gate:
            return (await model(prompt)).tokens_out

    began = time.perf_counter()
    return sum(await asyncio.gather(*map(one, asked))) / (time.perf_counter() - began)


def server(llama: Any, identity: str, width: int, asked: list[Prompt]) -> float:
    """Plain threads on llama.cpp's server, with the same bodies."""
    bodies = [request(prompt, int(prompt.id(identity)[:8], 16) & 0x7FFFFFFF) for prompt in asked]
    began = time.perf_counter()
    with ThreadPoolExecutor(width) as pool:
        answers = list(pool.map(llama.handle_chat_completions, bodies))
    return sum(answer["usage"]["completion_tokens"] for answer in answers) / (time.perf_counter() - began)


def static(loaded: Any, width: int, asked: list[Prompt]) -> float:
    """transformers' own loop: batch after batch, each until its longest answer is done."""
    torch, new = loaded.torch, 0
    began = time.perf_counter()
    for first in range(0, len(asked), width):
        batch = asked[first : first + width]
        rows = [loaded.tokens(prompt.messages) for prompt in batch]
        longest = max(map(len, rows))
        ids = torch.tensor([[loaded.first()] * (longest - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        most = [prompt.sampling.max_tokens for prompt in batch]
        out = loaded.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=max(most), do_sample=True, top_k=0, top_p=1.0
        )
        for row, limit in zip(out[:, longest:].tolist(), most, strict=True):
            ended = next((at + 1 for at, token in enumerate(row) if token in loaded.ends()), len(row))
            new += min(ended, limit)
    return new / (time.perf_counter() - began)


async def measured(
    path: Path, width: int, given: argparse.Namespace, load: Callable[..., list[Prompt]]
) -> dict[str, Any]:
    """One row of the table."""
    ways: dict[str, Callable[[list[Prompt]], Awaitable[float]]] = {}
    ends: list[Callable[[], Awaitable[None]]] = []
    with tempfile.TemporaryDirectory() as folder:
        if "llama" not in given.skip:
            local = Local(path, slots=width, context=CONTEXT)
            bare = start(path, width, local._threads, CONTEXT, Path(folder), "benchmark")
            ways["llama"] = lambda asked: ours(local, asked)
            ways["llama_best"] = lambda asked: asyncio.to_thread(server, bare, local.identity, width, asked)
            ends.append(local.aclose)
        if "torch" not in given.skip:
            torch = HF(gguf.folder_of(path), batch=width)
            loaded, _ = torch._started().opened()
            ways["torch"] = lambda asked: ours(torch, asked)
            ways["torch_best"] = lambda asked: asyncio.to_thread(static, loaded, width, asked)
            ends.append(torch.aclose)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            await way(load(1, 4, 999))
        for turn in range(given.repeats):
            for name, way in ways.items():
                found[name].append(await way(load(width, given.tokens, turn)))
        for end in ends:
            await end()
    best = {name: max(values) for name, values in found.items()}
    ratios = {f"{name}_ratio": best[name] / best[f"{name}_best"] for name in ("llama", "torch") if name in best}
    return {"load": load.__name__, "width": width, **best, **ratios}


async def main() -> None:
    """The table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--weights", default="smollm2-135m")
    parser.add_argument("--widths", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--document", type=int, nargs="*", default=[8], help="widths at which the document load runs")
    given = parser.parse_args()
    path = find(given.weights)
    if given.weights == next(iter(KNOWN)):
        path = eight_bit(path)
    rows = []
    for load, widths in ((stories, given.widths), (tasks, given.document)):
        for width in widths:
            rows.append(await measured(path, width, given, load))
            if not given.json:
                print(
                    "  ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items()),
                    flush=True,
                )
    if given.json:
        print(json.dumps({"weights": path.name, "rows": rows}))


if __name__ == "__main__":
    asyncio.run(main())
