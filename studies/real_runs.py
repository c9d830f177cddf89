"""Three real runs: rounds on arithmetic, GSM8K with a 1.5B teacher, MBPP with unit tests in the sandbox.

Registered in `real_runs.md`. Each stage goes on where it was stopped:

    python studies/real_runs.py difficulty    which level of our problems has pass@8 between 10 and 60 %
    python studies/real_runs.py rounds        three rounds at that level: star, beside one-shot and unfiltered
    python studies/real_runs.py gsm8k         the teacher's answers, three ways to choose, students
    python studies/real_runs.py mbpp          the same for programs, chosen by their tests
    python studies/real_runs.py tables
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import synthgain as sg
from synthgain import examples
from synthgain.api.examining import Examination
from synthgain.curate.empty import NotEmpty
from synthgain.curate.unit_tests import UnitTests
from synthgain.models import open_scorer
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, Sampling, assistant, user

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
from results import Results, apart, by_hash, write  # noqa: E402

RUNS = Path(os.environ.get("SYNTHGAIN_RUNS", HERE.parent / "runs")) / "real-runs"
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data"))
RESULTS = Results(HERE / "real_runs.json", RUNS)
STUDENT, TEACHER = "local/smollm2-135m", "local/qwen2.5-coder-1.5b"
SHOTS = tuple((shot["question"], shot["worked"]) for shot in examples.SHOTS)
SHOWN = tuple(turn for asked, worked in SHOTS for turn in (user(asked), assistant(worked)))
PROBLEMS, DRAWS, TOKENS = 80, 8, 64
TEACHING: Mapping[str, Any] = {"adapter": "lora", "learning_rate": 1e-3, "batch": 8, "length": 256, "hold_out": 0.0}
STEPS, SEEDS, HELD_OUT = 12, (0, 1), 80


# ---------------------------------------------------------------------------------------------- rounds on arithmetic


def difficulty() -> None:
    for level in (1, 2, 3):
        RESULTS.each("pass@8", str(level), partial(tried, level))


def tried(level: int) -> dict[str, Any]:
    """pass@1 and pass@8 of the untrained model, two worked examples in sight, on 30 training problems of all families of a level."""
    asked = write(RUNS / "difficulty" / f"{level}.jsonl", examples.problems(30, level=level, seed=900))
    how = Examination(draws=DRAWS, max_tokens=TOKENS, shots=SHOWN)
    found = sg.evaluate(STUDENT, on=asked, examination=how, answers=RUNS / "difficulty" / "answers")
    return {r.name: [r.value, r.low, r.high] for r in found if r.name.startswith(("accuracy", "pass_at"))}


def rounds() -> None:
    RESULTS.each("rounds", "three", rounded)


def rounded() -> dict[str, Any]:
    """Three rounds of rejection sampling from the base at the hardest level that lies in the range."""
    tried = RESULTS.read()["pass@8"]
    level = max(int(level) for level, found in tried.items() if 0.1 <= found[f"pass_at_k/{DRAWS}"][0] <= 0.6)
    asked = write(RUNS / "rounds-problems.jsonl", examples.problems(PROBLEMS, level=level, seed=901))
    tests = write(RUNS / "rounds-questions.jsonl", examples.problems(120, level=level, seed=902, split="test"))
    return sg.loop(
        "rft",
        asked,
        out=RUNS / "rounds",
        on=tests,
        rounds=3,
        model=STUDENT,
        patience=None,
        examination=Examination(draws=2, max_tokens=TOKENS, shots=SHOWN),
        settings={"max_steps": 16, "adapter": "lora", "learning_rate": 2e-3, "batch": 8, "length": 192},
        knobs={"k": DRAWS, "shots": SHOTS, "max_tokens": TOKENS, "gold": False},
        without=("equations", "distinct-equations"),
        text_field="question",
    ) | {"level": level}


# ---------------------------------------------------------------------------------------------- a teacher's answers


@dataclass(frozen=True)
class Program:
    """`k` programs for a task, its first test in sight."""

    k: int = 4
    max_tokens: int = 160

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        law = Sampling(temperature=0.7, max_tokens=self.max_tokens)
        prompts = (Prompt((user(anchor.text),), sampling=law, draw=draw) for draw in range(self.k))
        async for call in models.each(prompts):
            yield Row(messages=(user(anchor.text), assistant(call.text))).stamped(calls=(call,))


PROGRAMS = Recipe(
    name="programs",
    version="1",
    draft=Program(),
    checks=(NotEmpty(), UnitTests()),
    examples=(Anchor("Write a function `one()` that returns 1.", "example#1", {"test_list": ["assert one() == 1"]}),),
    source="ours",
    stage="a study",
    anchors="tasks with MBPP's fields",
    calls="k (4)",
)


def lines(path: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def gsm8k() -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """(48 questions to answer, 80 others with their worked answers)."""
    told = by_hash(lines("reasoning/gsm8k_train.jsonl.gz"), 48 + HELD_OUT)
    return told[:48], [(one["question"], one["answer"]) for one in told[48:]]


def mbpp() -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """(48 tasks, 80 others with their programs)."""
    told = [
        {**one, "text": f"{one['text'].strip()} It must pass this test: {one['test_list'][0]}"}
        for one in by_hash(lines("code/mbpp_prompt_val_train.jsonl.gz"), 48 + HELD_OUT)
    ]
    fenced = [(one["text"], f"```python\n{one['code'].replace(chr(13), '').strip()}\n```") for one in told[48:]]
    return told[:48], fenced


def taught(name: str) -> sg.Run:
    """The teacher's answers: four to each question."""
    anchors = write(RUNS / f"{name}.jsonl", (gsm8k if name == "gsm8k" else mbpp)()[0])
    if name == "mbpp":
        return sg.generate(PROGRAMS, str(anchors), out=RUNS / name, model=TEACHER)
    knobs = {"k": 4, "max_tokens": 200, "gold": False}
    without = ("equations", "distinct-equations")
    return sg.generate(
        "rft", str(anchors), out=RUNS / name, model=TEACHER, knobs=knobs, text_field="question", without=without
    )


def chosen(name: str) -> dict[str, list[dict[str, Any]]]:
    """Equal numbers of rows: right ones by the verifier, any, and (of GSM8K) those that most draws agree with."""
    run = taught(name)
    right = [chat(row) for row in run.rows(kept=True)]
    sets = {"verified": right, "unverified": [chat(row) for row in run.rows()]}
    if name == "gsm8k":
        place = RUNS / "gsm8k-majority"
        if not place.is_dir():
            sg.curate(run, out=place, without=["all"], with_=["not-empty", "majority"])
        sets["majority"] = [chat(row) for row in sg.Run.at(place).rows(kept=True)]
    least = min(map(len, sets.values()))
    return {which: by_hash(rows, least) for which, rows in sets.items()}


def chat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": m["role"], "content": m["content"]} for m in row["messages"]]}


def teach(name: str) -> None:
    RESULTS.each("teacher", name, partial(share_right, name))
    RESULTS.each(name, "base", partial(losses, STUDENT, name))
    for seed in SEEDS:
        for which, rows in chosen(name).items():
            RESULTS.each(name, f"{which}/{seed}", partial(student, name, which, rows, seed))


def share_right(name: str) -> dict[str, Any]:
    """What the meter says of the answers; how right each set is, by the verifier."""
    run, sets = taught(name), chosen(name)
    right = {json.dumps(chat(row), sort_keys=True) for row in run.rows(kept=True)}
    shares = {
        which: float(np.mean([json.dumps(r, sort_keys=True) in right for r in rows])) for which, rows in sets.items()
    }
    readings = {r.name: {k: asdict(r)[k] for k in ("value", "low", "high")} for r in sg.measure(run)}
    counts, seconds = run.record["counts"], run.record["seconds"]
    return {
        "rows": len(sets["verified"]),
        "right": shares,
        "readings": readings,
        "counts": counts,
        "seconds": seconds,
    }


def student(name: str, which: str, rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    file, place = write(RUNS / "sets" / name / f"{which}.jsonl", rows), RUNS / "students" / f"{name}-{which}-{seed}"
    sg.train(file, out=place, base=STUDENT, method="sft", seed=seed, max_steps=STEPS, **TEACHING)
    found = losses(place, name)
    shutil.rmtree(place)
    return found


def losses(weights: str | Path, name: str) -> dict[str, Any]:
    """Nats and tokens of each held-out answer given its question; of GSM8K also how many of 40 are answered right."""
    held = (gsm8k if name == "gsm8k" else mbpp)()[1]
    scored = open_scorer(str(weights), ends=True).logprobs(held)
    found: dict[str, Any] = {"loss": [[round(-float(sum(one)), 4), len(one)] for one in scored]}
    if name == "gsm8k":
        tests = lines("reasoning/gsm8k_test_first_half.jsonl.gz")[:40]
        asked = write(
            RUNS / "gsm8k-test.jsonl",
            [{"id": str(one["id"]), "question": one["question"], "answer": one["final"]} for one in tests],
        )
        how = Examination(draws=1, max_tokens=160)
        answers = RUNS / "answers" / str(weights).replace("/", "-")
        read = sg.evaluate(weights, on=asked, examination=how, answers=answers)
        found["accuracy"] = next([r.value, r.low, r.high] for r in read if r.name == "accuracy")
    return found


# ---------------------------------------------------------------------------------------------- tables


def tables() -> None:
    found = RESULTS.read()
    print(json.dumps({"pass@8": found.get("pass@8"), "rounds": found.get("rounds")}, indent=1)[:6_000])
    for name in ("gsm8k", "mbpp"):
        if name in found:
            print(f"\n{name}: {found['teacher'][name]['rows']} rows a set, {found['teacher'][name]['right']}")
            for one, low, high, what in lowered(found[name]):
                print(f"{what}: {one:+.3f} [{low:+.3f}, {high:+.3f}] nats a token")


def lowered(found: Mapping[str, Any]) -> list[tuple[float, float, float, str]]:
    """What each set takes off the loss on held-out answers, and each pair of sets apart; intervals over answers and seeds."""
    names = sorted({key.split("/")[0] for key in found} - {"base"})
    loss = {name: np.array([found[f"{name}/{seed}"]["loss"] for seed in SEEDS]) for name in names}
    loss["base"] = np.array([found["base"]["loss"]] * len(SEEDS))
    pairs = [("base", name) for name in names] + [(a, b) for a in names for b in names if a < b]
    told = zip(apart(loss, pairs), pairs)
    return [(value, low, high, f"loss of {a} less {b}") for (value, low, high), (a, b) in told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages: dict[str, Callable[[], None]] = {
        "difficulty": difficulty,
        "rounds": rounds,
        "gsm8k": partial(teach, "gsm8k"),
        "mbpp": partial(teach, "mbpp"),
        "tables": tables,
    }
    parser.add_argument("stage", choices=tuple(stages))
    stages[parser.parse_args().stage]()


if __name__ == "__main__":
    main()
