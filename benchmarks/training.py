"""Training tokens a second: FineTune against a bare torch loop on the same model, data and batches, in the same run.

    python benchmarks/training.py --base FOLDER [--steps 12] [--batch 8] [--adapter full] [--json]

FOLDER is a transformers model; without it, the embedded SmolLM2-135M is looked for. Two bare loops
stand beside it: the plain one (`model(..., labels=…).loss`, logits at every position) and one that
computes logits only where a label is. The ratio is to the faster of the two. The first step of each
is not counted. Tokens are what the model reads, without padding.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthgain.train import FineTune
from synthgain.train.learn import bf16_helps, load_model, load_tokenizer, quiet
from synthgain.train.replay import Schedule, schedule
from synthgain.train.rows import read_rows
from synthgain.train.tokens import IGNORED, chats

NAMES = ("Ada", "Bo", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana")
THINGS = ("apples", "marbles", "stamps", "books", "shells", "coins", "pens", "plums")


def problems(n: int) -> str:
    """Rows of one-step word problems with worked answers, as JSONL."""
    rng = random.Random("benchmark")
    lines = []
    for _ in range(n):
        name, thing, a, b = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 12), rng.randint(2, 12)
        ask = f"{name} has {a} {thing} and is given {b} more. How many {thing} does {name} have now?"
        say = f"{name} starts with {a} {thing} and gets {b} more, so there are {a} + {b} = {a + b} {thing}.\nAnswer: {a + b}"
        lines.append(
            json.dumps({"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": say}]})
        )
    return "\n".join(lines) + "\n"


def bare(base: Path, plan: Schedule, pad: int, rate: float, bf16: bool, answers_only: bool) -> float:
    """Tokens a second of a loop over the same batches, with AdamW, clipping and the same precision."""
    import torch

    model = load_model(base).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    began, tokens = 0.0, 0
    for start in range(0, len(plan.examples), plan.batch):
        batch = plan.examples[start : start + plan.batch]
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
        if start == 0:
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


def measure(base: Path, steps: int, batch: int, adapter: str, note: Callable[[str], None]) -> dict[str, Any]:
    """All three, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        rows.write_text(problems(steps * batch), "utf-8")
        tokenizer = load_tokenizer(base)
        plan = schedule(chats(read_rows(rows).rows, tokenizer, 512).examples, batch=batch, max_steps=steps)
        bf16, rate = bf16_helps(), 1e-4
        note(f"{plan.tokens} tokens in {plan.steps} steps, {'bf16 autocast' if bf16 else 'fp32'}")
        with quiet():
            plain = bare(base, plan, tokenizer.pad_token_id, rate, bf16, False)
            note(f"bare loop: {plain:.0f} tokens/s")
            only = bare(base, plan, tokenizer.pad_token_id, rate, bf16, True)
            note(f"bare loop, logits at answers only: {only:.0f} tokens/s")
        tune = FineTune(base, adapter=adapter, max_steps=steps, batch=batch, learning_rate=rate)  # type: ignore[arg-type]
        speed, seconds = ours(tune, rows, Path(folder) / "student")
    return {
        "base": base.name,
        "adapter": adapter,
        "steps": steps,
        "batch": batch,
        "tokens": plan.tokens,
        "precision": "bf16" if bf16 else "fp32",
        "bare_tokens_per_second": round(plain, 1),
        "bare_answers_only_tokens_per_second": round(only, 1),
        "finetune_tokens_per_second": round(speed, 1),
        "finetune_seconds_with_loading_and_saving": round(seconds, 1),
        "ratio_to_bare": round(speed / plain, 3),
        "ratio_to_best": round(speed / max(plain, only), 3),
    }


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
    arguments.add_argument("--steps", type=int, default=12)
    arguments.add_argument("--batch", type=int, default=8)
    arguments.add_argument("--adapter", choices=("full", "lora"), default="full")
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    figures = measure(
        asked.base or embedded(), asked.steps, asked.batch, asked.adapter, lambda line: print(line, file=sys.stderr)
    )
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):45} {value}")


if __name__ == "__main__":
    main()
