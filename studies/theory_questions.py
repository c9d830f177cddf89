"""What do larger prompts, more specific prompts and a better writer change: ΔI, dependence, meanings, faithfulness, and what a student gains?

Registered in `theory_questions.md` before the first training: conditions, readings, expectations, analysis, size. Real headlines (../shared/data/value) are the
anchors; each stage goes on where it was stopped, and several processes may share one:

    python studies/theory_questions.py rows         what the two writers write: theory_questions_rows.jsonl.gz
    python studies/theory_questions.py readings     what the meter says of each condition: theory_questions.json
    python studies/theory_questions.py students     students and their losses on held-out headlines: theory_questions.json
    python studies/theory_questions.py tables       all conditions, and the expectations against what came
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import synthgain as sg
from synthgain.curate.empty import NotEmpty
from synthgain.curate.truncated import Truncated
from synthgain.models import open_scorer
from synthgain.types import Anchor, Corpus, Group, Models, Pool, Prompt, Recipe, Row, Sampling, user

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "benchmarks")]
from results import Results, apart, by_hash, write  # noqa: E402
from value import spearman  # noqa: E402

RUNS = Path(os.environ.get("SYNTHGAIN_RUNS", HERE.parent / "runs")) / "theory-questions"
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data")) / "value"
ROWS = HERE / "theory_questions_rows.jsonl.gz"
RESULTS = Results(HERE / "theory_questions.json", RUNS)
STUDENT = "local/smollm2-135m"
WRITERS = {"small": STUDENT, "large": "local/qwen2.5-coder-1.5b"}
PROMPTS, DRAWS, KEPT, SEEDS = 8, 10, 80, (0, 1)
TRAINING: Mapping[str, Any] = {"adapter": "lora", "batch": 8, "length": 64, "hold_out": 0.0, "method": "cpt"}
STEPS, RATE, HELD_OUT = 10, 1e-3, 300

SIZES = (0, 1, 2, 4, 8)
STRATEGIES = {  # from specific to general, each with the same two headlines in sight
    "reword": "Say the first headline above again in other words. Keep its names and numbers.",
    "company": "Write one more headline about the company, person or place of the first headline above.",
    "kind": "Write one more headline of the same kind.",
    "topic": "Write one more headline about business, finance or markets, whatever those above are about.",
    "any": "Write a headline about anything, unlike those above.",
}
ONLY = " Answer with the headline alone."


# ---------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class Together:
    """`groups` groups of `size` headlines that no other group has."""

    groups: int = PROMPTS
    size: int = 1

    def total(self, corpus: Corpus) -> int:
        return self.groups

    def __call__(self, corpus: Corpus, pool: Pool, seed: int) -> Iterator[Group]:
        for first in range(0, self.groups * self.size, self.size):
            yield tuple(corpus[at] for at in range(first, first + self.size))


@dataclass(frozen=True)
class Headline:
    """`draws` headlines after the same prompt; `shown` of the anchors stand in it."""

    strategy: str = "kind"
    shown: int = 1
    draws: int = DRAWS

    async def __call__(self, models: Models, *anchors: Anchor) -> AsyncIterator[Row]:
        lines = "".join(f"- {anchor.text.strip()}\n" for anchor in anchors[: self.shown])
        asked = STRATEGIES[self.strategy] if self.shown else "Write a headline of financial news."
        said = (f"Headlines:\n{lines}\n" if lines else "") + asked + ONLY
        law = Sampling(temperature=0.8, max_tokens=40)
        prompts = (Prompt((user(said),), sampling=law, draw=draw) for draw in range(self.draws))
        async for call in models.each(prompts):
            yield Row(text=call.text.strip().strip('"').strip()).stamped(calls=(call,))


def recipe(strategy: str, shown: int) -> Recipe:
    """`PROMPTS` prompts drawn `DRAWS` times each; with nothing in sight all prompts are one, which is drawn as often as all others together."""
    groups, draws = (PROMPTS, DRAWS) if shown else (1, PROMPTS * DRAWS)
    return Recipe(
        name=f"headline-{strategy}-{shown}",
        version="1",
        draft=Headline(strategy, shown, draws),
        pick=Together(groups, max(shown, 1)),
        checks=(NotEmpty(), Truncated()),
        examples=(Anchor("Acme Corp beats estimates", "example#1"),),
        source="ours",
        stage="a study",
        anchors="headlines",
        calls="draws (10)",
    )


def conditions() -> dict[str, tuple[str, int]]:
    """Strategy and number of headlines in sight, by the condition's name; `rephrase` is the recipe of that name."""
    sizes = {f"{n} shown": ("kind", n) for n in SIZES}
    wordings = {name: (name, 2) for name in STRATEGIES if name != "kind"}
    return {**sizes, **wordings, "rephrase": ("rephrase", 1)}


def written(writer: str, condition: str) -> sg.Run:
    strategy, shown = conditions()[condition]
    place, model = RUNS / "rows" / writer / condition.replace(" ", "-"), WRITERS[writer]
    anchors = str(write(RUNS / "anchors.jsonl", headlines()[0]))
    if strategy == "rephrase":
        return sg.generate("rephrase", anchors, out=place, model=model, knobs={"max_tokens": 80}, limit=20)
    return sg.generate(recipe(strategy, shown), anchors, out=place, model=model)


def headlines() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(64 headlines to write from, 300 others that nothing is made from)."""
    parts: dict[str, list[str]] = {}
    with gzip.open(DATA / "synque_sentiment_real.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            one = json.loads(line)
            parts.setdefault(one["part"], []).append(" ".join(one["text"].split()))
    anchors = by_hash(({"text": text} for text in dict.fromkeys(parts["seed42"])), 64)
    seen = set(parts["seed42"])
    others = dict.fromkeys(text for text in parts["balanced"] if text not in seen)
    return anchors, by_hash(({"text": text} for text in others), HELD_OUT)


def make_rows() -> None:
    lines = []
    for writer, condition in itertools.product(WRITERS, conditions()):
        run = written(writer, condition)
        rows = by_hash(({"text": row["text"]} for row in run.rows(kept=True)), KEPT)
        lines.append({"writer": writer, "condition": condition, "rows": rows})
        print(f"{writer} {condition}: {len(rows)} rows", flush=True)
    ROWS.write_bytes(gzip.compress("".join(json.dumps(one) + "\n" for one in lines).encode(), mtime=0))


# ---------------------------------------------------------------------------------------------- readings and students


def read_all() -> None:
    held = write(RUNS / "held-out.jsonl", headlines()[1])
    for writer, condition in itertools.product(WRITERS, conditions()):
        RESULTS.each("readings", f"{writer}/{condition}", partial(read, writer, condition, held))


def read(writer: str, condition: str, held: Path) -> dict[str, Any]:
    """Readings of the run as `measure` gives them, with the student and the clusters of meaning asked too."""
    run = written(writer, condition)
    found = sg.measure(run, target=held, student=STUDENT, also=("h_meaning", "probe_gain"))
    return {r.name: {k: asdict(r)[k] for k in ("value", "low", "high")} for r in found}


def train_all() -> None:
    """The untrained student, one of the anchors alone, and one of each condition's rows, at equal steps."""
    RESULTS.each("losses", "base", partial(losses, STUDENT))
    rows = {"anchors": headlines()[0]}
    for line in gzip.decompress(ROWS.read_bytes()).decode().splitlines():
        one = json.loads(line)
        rows[f"{one['writer']}/{one['condition']}"] = one["rows"]
    for seed, (name, texts) in itertools.product(SEEDS, rows.items()):
        RESULTS.each("losses", f"{name}/{seed}", partial(trained, name, texts, seed))


def trained(name: str, texts: Sequence[Mapping[str, Any]], seed: int) -> list[list[float]]:
    file, place = write(RUNS / "sets" / f"{name}.jsonl", texts), RUNS / "students" / f"{name}-{seed}"
    sg.train(file, out=place, base=STUDENT, seed=seed, learning_rate=RATE, max_steps=STEPS, **TRAINING)
    found = losses(place)
    shutil.rmtree(place)
    return found


def losses(student: str | Path) -> list[list[float]]:
    """[nats, tokens] of each held-out headline."""
    scored = open_scorer(str(student)).logprobs([("", one["text"]) for one in headlines()[1]])
    return [[round(-float(sum(one)), 4), len(one)] for one in scored]


# ---------------------------------------------------------------------------------------------- tables


def gains(found: Mapping[str, Any], than: str) -> dict[str, tuple[float, float, float]]:
    """By condition: nats a token less than the students `than` ("anchors" or "base"), with an interval over headlines and seeds."""
    pairs = list(itertools.product(WRITERS, conditions()))
    names = [f"{writer}/{condition}" for writer, condition in pairs]
    seeds = [seed for seed in SEEDS if all(f"{name}/{seed}" in found["losses"] for name in [*names, "anchors"])]
    loss = {name: np.array([found["losses"][f"{name}/{seed}"] for seed in seeds]) for name in [*names, "anchors"]}
    loss["base"] = np.array([found["losses"]["base"]] * len(seeds))
    return dict(zip(names, apart(loss, [(than, name) for name in names])))


SHOWN = ("delta_I", "h_meaning", "nhsic", "grounded", "vendi", "proxy_gain", "target_fit", "transfer_kl", "probe_gain")


def tables() -> None:
    found = RESULTS.read()
    over_base, over_anchors = gains(found, "base"), gains(found, "anchors")
    print("| condition | " + " | ".join(f"`{name}`" for name in SHOWN) + " | gain over base | over anchors alone |")
    print("|---" * (len(SHOWN) + 3) + "|")
    for name, readings in sorted(found["readings"].items(), key=lambda one: list(over_base).index(one[0])):
        cells = [said(readings.get(reading)) for reading in SHOWN]
        cells += ["{:+.3f} [{:+.3f}, {:+.3f}]".format(*gain[name]) for gain in (over_base, over_anchors)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n| reading | Spearman with the gain over base, small writer | large writer | both |\n|---|---|---|---|")
    for reading in SHOWN:
        each = [ranked(found, over_base, reading, writers) for writers in (("small",), ("large",), ("small", "large"))]
        print(f"| `{reading}` | " + " | ".join("–" if one is None else f"{one:+.2f}" for one in each) + " |")


def ranked(
    found: Mapping[str, Any], gain: Mapping[str, tuple[float, float, float]], reading: str, writers: Iterable[str]
) -> float | None:
    """Spearman's rank correlation of a reading with the gain; None where fewer than four conditions have it."""
    value = {name: (one.get(reading) or {}).get("value") for name, one in found["readings"].items()}
    some = [name for name, one in value.items() if one is not None and name.split("/")[0] in writers]
    if len(some) < 4:
        return None
    return spearman(np.array([value[name] for name in some], float), np.array([gain[name][0] for name in some]))


def said(reading: Mapping[str, Any] | None) -> str:
    if reading is None or reading["value"] is None:
        return "–"
    ends = "" if reading["low"] is None else f" [{reading['low']:.2f}, {reading['high']:.2f}]"
    return f"{reading['value']:.2f}{ends}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages: dict[str, Callable[[], None]] = {
        "rows": make_rows,
        "readings": read_all,
        "students": train_all,
        "tables": tables,
    }
    parser.add_argument("stage", choices=tuple(stages))
    stages[parser.parse_args().stage]()


if __name__ == "__main__":
    main()
