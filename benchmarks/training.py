"""Training: tokens a second against a bare torch loop on the same model, data and batches in the same run; padding; memory.

    python benchmarks/training.py --base FOLDER [--method sft|cpt] [--steps 12] [--batch 8] [--length 512] [--adapter full] [--json]
    python benchmarks/training.py --base FOLDER --memory [--rows 2000 200000] [--json]

FOLDER is a transformers model; without it, the embedded SmolLM2-135M is looked for. Two bare loops
stand beside it: the plain one (`model(..., labels=…).loss`, logits at every position) and one that
computes logits only where a label is. The ratio is to the faster of the two. The first step of each
is not counted. Tokens are what the model reads, without padding; `padding_share` is what padding adds to them, of all that is computed.
Chats (sft) are padded to the longest of their batch; text (cpt) is cut into blocks, of which only the last is shorter.

`--memory`: the peak of the resident set of a process that trains a few steps on so many texts, each size in a process of its own. It is flat
where tokens are mapped from disk.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synthgain.train import FineTune, read_rows
from synthgain.train.learn import bf16_helps, quiet
from synthgain.train.replay import Lengths, Schedule, schedule
from synthgain.train.spelling import IGNORED, Example, blocks, chats
from synthgain.train.tokens import Tokens, write
from synthgain.train.weights import load_model, load_tokenizer

NAMES = ("Ada", "Bo", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana")
THINGS = ("apples", "marbles", "stamps", "books", "shells", "coins", "pens", "plums")
SPELL = {"sft": chats, "cpt": blocks}
TRAINS = """
import resource, sys
from pathlib import Path
from synthgain.train import FineTune

base, rows, out = map(Path, sys.argv[1:4])
FineTune(base, method="cpt", max_steps=4, batch=1, length=128, hold_out=0.0)(rows, out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def problems(n: int, method: str) -> Iterator[str]:
    """Rows of one-step word problems with worked answers, as lines of JSON; texts for cpt."""
    rng = random.Random("benchmark")
    for _ in range(n):
        name, thing, a, b = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 12), rng.randint(2, 12)
        ask = f"{name} has {a} {thing} and is given {b} more. How many {thing} does {name} have now?"
        say = f"{name} starts with {a} {thing} and gets {b} more, so there are {a} + {b} = {a + b} {thing}.\nAnswer: {a + b}"
        chat = {"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": say}]}
        yield json.dumps({"text": f"{ask}\n{say}"} if method == "cpt" else chat) + "\n"


def batches(data: Tokens, plan: Schedule) -> Iterator[list[Example]]:
    """The examples of each step."""
    for start in range(0, len(plan.order), plan.batch):
        yield [example for at in plan.order[start : start + plan.batch] for example in data[int(at)]]


def padding(data: Tokens, plan: Schedule) -> float:
    """The share of padding among all places that are computed."""
    read = held = 0
    for some in batches(data, plan):
        read += sum(len(e.ids) for e in some)
        held += len(some) * max(len(e.ids) for e in some)
    return 1 - read / held


def bare(base: Path, data: Tokens, plan: Schedule, pad: int, rate: float, bf16: bool, answers_only: bool) -> float:
    """Tokens a second of a loop over the same batches, with AdamW, clipping and the same precision."""
    import torch

    model = load_model(base, None).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    began, tokens = 0.0, 0
    for batch in batches(data, plan):
        width = max(len(e.ids) for e in batch)
        ids = torch.tensor([[*e.ids, *[pad] * (width - len(e.ids))] for e in batch])
        mask = torch.tensor([[1] * len(e.ids) + [0] * (width - len(e.ids)) for e in batch])
        labels = torch.tensor([[*e.labels, *[IGNORED] * (width - len(e.ids))] for e in batch])
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = (
                _answers(model, ids, mask, labels)
                if answers_only
                else model(input_ids=ids, attention_mask=mask, labels=labels).loss
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if not began:
            began = time.perf_counter()
        else:
            tokens += sum(len(e.ids) for e in batch)
    return tokens / (time.perf_counter() - began)


def _answers(model: Any, ids: Any, mask: Any, labels: Any) -> Any:
    import torch

    learns = labels[:, 1:] != IGNORED
    states = model.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1][learns]
    return torch.nn.functional.cross_entropy(model.get_output_embeddings()(states).float(), labels[:, 1:][learns])


def ours(tune: FineTune, rows: Path, out: Path) -> tuple[float, float]:
    """(tokens a second of the steps, seconds of the whole call)."""
    times: list[float] = []
    watched = FineTune(**{**vars(tune), "watch": lambda step, steps, loss: times.append(time.perf_counter())})
    began = time.perf_counter()
    student = watched(rows, out)
    seconds = time.perf_counter() - began
    curve = json.loads((student / "student.json").read_text("utf-8"))["curve"]
    return (curve[-1]["tokens"] - curve[0]["tokens"]) / (times[-1] - times[0]), seconds


def measure(asked: argparse.Namespace, base: Path, note: Callable[[str], None]) -> dict[str, Any]:
    """All three, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        rows.write_text(
            "".join(problems(asked.steps * asked.batch * (8 if asked.method == "cpt" else 1), asked.method))
        )
        tokenizer = load_tokenizer(base)
        data = write(SPELL[asked.method](read_rows(rows), tokenizer, asked.length), Path(folder) / "tokens")
        plan = schedule(Lengths(data.lengths(), data.learnt()), batch=asked.batch, max_steps=asked.steps)
        bf16, rate = bf16_helps(), 1e-4
        note(f"{plan.tokens_seen} tokens in {plan.steps} steps, {'bf16 autocast' if bf16 else 'fp32'}")
        with quiet():
            plain = bare(base, data, plan, tokenizer.pad_token_id or 0, rate, bf16, False)
            note(f"bare loop: {plain:.0f} tokens/s")
            only = bare(base, data, plan, tokenizer.pad_token_id or 0, rate, bf16, True)
            note(f"bare loop, logits at answers only: {only:.0f} tokens/s")
        tune = FineTune(
            base,
            method=asked.method,
            adapter=asked.adapter,
            max_steps=asked.steps,
            batch=asked.batch,
            length=asked.length,
            learning_rate=rate,
            hold_out=0.0,
        )
        speed, seconds = ours(tune, rows, Path(folder) / "student")
        share = padding(data, plan)
    return {
        "base": base.name,
        "method": asked.method,
        "adapter": asked.adapter,
        "steps": asked.steps,
        "batch": asked.batch,
        "tokens": plan.tokens_seen,
        "padding_share": round(share, 4),
        "precision": "bf16" if bf16 else "fp32",
        "bare_tokens_per_second": round(plain, 1),
        "bare_answers_only_tokens_per_second": round(only, 1),
        "finetune_tokens_per_second": round(speed, 1),
        "finetune_seconds_with_loading_and_saving": round(seconds, 1),
        "ratio_to_bare": round(speed / plain, 3),
        "ratio_to_best": round(speed / max(plain, only), 3),
    }


def memory(sizes: list[int], base: Path, note: Callable[[str], None]) -> dict[str, Any]:
    """Peak megabytes of a training on so many texts."""
    peaks = {}
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows = Path(folder) / "rows.jsonl"
            with rows.open("w") as file:
                file.writelines(problems(n, "cpt"))
            command = [sys.executable, "-c", TRAINS, str(base), str(rows), f"{folder}/student"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks[n] = round(int(done.stdout.split()[-1]) / 1024)
            note(f"{n:,} texts ({rows.stat().st_size / 1e6:.0f} MB): {peaks[n]:,} MB")
    return {f"peak_mb_at_{n}_texts": peak for n, peak in peaks.items()}


def embedded() -> Path:
    """The embedded model as a transformers folder."""
    try:
        from synthgain.models.gguf import folder_of
        from synthgain.models.weights import find
    except ImportError:
        sys.exit("give --base FOLDER: the embedded model's weights are not part of this installation")
    return folder_of(find("smollm2-135m"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--base", type=Path)
    arguments.add_argument("--method", choices=("sft", "cpt"), default="sft")
    arguments.add_argument("--steps", type=int, default=12)
    arguments.add_argument("--batch", type=int, default=8)
    arguments.add_argument("--length", type=int, default=512)
    arguments.add_argument("--adapter", choices=("full", "lora"), default="full")
    arguments.add_argument("--memory", action="store_true")
    arguments.add_argument("--rows", type=int, nargs="+", default=[2_000, 200_000])
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    base = asked.base or embedded()

    def note(line: str) -> None:
        print(line, file=sys.stderr)

    figures = memory(asked.rows, base, note) if asked.memory else measure(asked, base, note)
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):45} {value}")


if __name__ == "__main__":
    main()
