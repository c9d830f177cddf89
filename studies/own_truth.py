"""Which reading of a data set, taken before training, tells what a student gains? Our own truth: 28 sets, three tasks, good and spoiled.

Registered in `own_truth.md` before the first training: hypotheses, sets, readings, analysis and size. It has three stages, each of which goes on where it was
stopped, on another machine too, because what was made lies beside this file:

    python studies/own_truth.py sets         what the two writers answer, and the 28 sets: own_truth_sets.jsonl.gz
    python studies/own_truth.py students     students, pass by pass, and their gains: own_truth.json (--minutes N stops after a student)
    python studies/own_truth.py readings     what the meter says of each set: own_truth.json
    python studies/own_truth.py asking       what the student says of each set, asked by the meter: own_truth.json
    python studies/own_truth.py tables       the readings against the gains

Several processes may share a stage (one thread each does more than two threads of one). All gains are paired with the untrained student's on the same questions.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import synthgain as sg
from synthgain import examples
from synthgain.api.examining import Examination, answered
from synthgain.api.instruments import instruments_for
from synthgain.api.measuring import data_of
from synthgain.api.showing import FAMILIES, WITHOUT
from synthgain.api.showing_documents import LEFT_OUT, RECIPES, SHORT, WRITER
from synthgain.api.training import usable
from synthgain.evaluate import load_questions
from synthgain.measure import Data
from synthgain.measure.aim import Aim, aim_of
from synthgain.measure.grounded import Grounds
from synthgain.measure.probe import Learner, context_gain, probe_gain
from synthgain.models import Reach
from synthgain.types import Reading

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "benchmarks")]
from own_truth_rules import prompts  # noqa: E402
from results import Results, by_hash, write  # noqa: E402
from value import spearman  # noqa: E402

RUNS = Path(os.environ.get("SYNTHGAIN_RUNS", HERE.parent / "runs")) / "own-truth"
SETS, RESULTS = HERE / "own_truth_sets.jsonl.gz", Results(HERE / "own_truth.json", RUNS)
STUDENT, SMALL, LARGE = "local/smollm2-135m", "local/smollm2-135m", WRITER
ROWS, SEEDS, RATES = 64, (0, 1, 2), (2e-3, 7e-4)
TRAINING: Mapping[str, Any] = {"adapter": "lora", "batch": 8, "length": 160, "hold_out": 0.0, "method": "sft"}
ASKED: Mapping[str, Callable[[Data, Aim, Learner], list[Reading]]] = {
    "probe": probe_gain,
    "context": lambda data, aim, learner: context_gain(data, aim, learner.scorer),
}
STEPS = {"arithmetic": 8, "documents": 16, "rules": 8}  # of 8 rows: one pass over a set, two of the documents' sets
SIGNED = ("proxy_gain", "proxy_gain_answer", "probe_gain", "context_gain")
Chat = dict[str, Any]


def chat(asked: str, answer: str) -> Chat:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


# ---------------------------------------------------------------------------------------------- tasks


@dataclass(frozen=True)
class Task:
    """Real data, the questions that students are asked, and how one is scored: a number a question."""

    name: str
    anchors: list[dict[str, Any]]
    questions: list[dict[str, Any]]
    score: Callable[[Task, str | Path, Path], list[float]]
    target: list[dict[str, Any]] = field(default_factory=list)  # held-out real prompts and answers, where there are any

    def file(self, what: str) -> Path:
        return write(RUNS / self.name / f"{what}.jsonl", getattr(self, what))


def right(task: Task, student: str | Path, memory: Path) -> list[float]:
    """Of arithmetic: of each question the share of two answers at T = 0.7 that are right."""
    how = Examination(draws=2, max_tokens=48)
    solved = answered(student, load_questions(task.file("questions")), how, memory=memory)
    return [float(np.mean(draws)) for draws in solved.right.values()]


def margin(task: Task, student: str | Path, memory: Path) -> list[float]:
    """Of the documents: the answer margin of each question, in nats."""
    solved = answered(student, load_questions(task.file("questions")), Examination(), memory=memory)
    return list(solved.margins.values())


def obeyed(task: Task, student: str | Path, memory: Path) -> list[float]:
    """Of prompts with a rule: whether the student's answer follows it."""
    uri = usable(student) if isinstance(student, Path) else student
    run = generated("rules", task.file("questions"), memory / "answers", uri, {})
    kept = {row["fields"]["id"]: float(row["kept"]) for row in run.rows()}
    return [kept[str(asked["id"])] for asked in task.questions]


def tasks() -> dict[str, Task]:
    def arithmetic(n: int, seed: int, split: str) -> list[dict[str, Any]]:
        return list(examples.problems(n, level=1, seed=seed, split=split, families=FAMILIES))  # type: ignore[arg-type]

    held = [chat(one["question"], one["worked"]) for one in arithmetic(60, 301, "train")]
    documents = [one for one in examples.documents() if one["slug"] in SHORT]
    asked = [one for slug in SHORT for one in examples.document_questions(slug)]
    made = (
        Task("arithmetic", arithmetic(100, 300, "train"), arithmetic(60, 302, "test"), right, held),
        Task("documents", documents, asked, margin),
        Task("rules", list(prompts("train", 72)), list(prompts("test", 64)), obeyed),
    )
    return {task.name: task for task in made}


# ---------------------------------------------------------------------------------------------- sets


def generated(recipe: str, anchors: Path, out: Path, model: str, knobs: Mapping[str, Any], **more: Any) -> sg.Run:
    """A run; `rules` is this study's own recipe."""
    where = str(HERE / "own_truth_rules.py") if recipe == "rules" else recipe
    field = "question" if recipe == "rft" else "text"
    return sg.generate(where, str(anchors), out=out, model=model, knobs=knobs, text_field=field, **more)


def written(task: Task, model: str, name: str) -> tuple[list[Chat], list[Chat]]:
    """(rows that the checks kept, all rows) of a writer on a task."""
    place, anchors = RUNS / task.name / name, task.file("anchors")
    if task.name == "arithmetic":
        shots = [(shot["question"], shot["worked"]) for shot in examples.SHOTS]
        knobs = {"k": 3 if model == SMALL else 2, "shots": shots, "max_tokens": 48, "gold": False}
        run = generated("rft", anchors, place, model, knobs, without=WITHOUT)
    elif task.name == "rules":
        run = generated("rules", anchors, place, model, {"k": 3 if model == SMALL else 2})
    else:
        recorded = {} if model == SMALL else {"calls": examples.recorded_calls("document-qa"), "calls_only": True}
        run = generated("document-qa", anchors, place, model, RECIPES["document-qa"], **recorded)
    rows = [(row["kept"], plain(row)) for row in run.rows()]
    return [row for kept, row in rows if kept], [row for _, row in rows]


def recorded(recipe: str, task: Task) -> list[Chat]:
    """What another recipe's rows say of the documents, as answers to its title."""
    run = generated(
        recipe,
        task.file("anchors"),
        RUNS / task.name / recipe,
        LARGE,
        RECIPES[recipe],
        without=LEFT_OUT[recipe],
        calls=examples.recorded_calls(recipe),
        calls_only=True,
    )
    titles = {one["text"]: one["title"] for one in task.anchors}
    kept = list(run.rows(kept=True))
    of = {id: a.text for id, a in run.parents([id for row in kept for id in row["anchor_ids"]]).items()}
    return [chat(f"Tell me about {titles[of[row['anchor_ids'][0]]]}.", row["text"]) for row in kept]


def plain(row: Mapping[str, Any]) -> Chat:
    """A row as a chat; of the documents' pairs ("About: …\nQuestion: …\nAnswer: …") what stands before the answer is the prompt."""
    if row["messages"]:
        return {"messages": [{"role": m["role"], "content": m["content"]} for m in row["messages"]]}
    asked, _, answer = row["text"].partition("\nAnswer: ")
    return chat(asked, answer)


def duplicated(rows: Sequence[Chat]) -> list[Chat]:
    return [row for row in rows[: ROWS // 4] for _ in range(4)]


def shuffled(rows: Sequence[Chat]) -> list[Chat]:
    """Every prompt with the answer of the row half a set further on."""
    half = len(rows) // 2
    return [
        {"messages": [*row["messages"][:-1], other["messages"][-1]]}
        for row, other in zip(rows, [*rows[half:], *rows[:half]])
    ]


def cut_off(rows: Sequence[Chat]) -> list[Chat]:
    """Every other answer ends after half of its words."""

    def half(row: Chat) -> Chat:
        *before, last = row["messages"]
        words = last["content"].split(" ")
        return {"messages": [*before, {**last, "content": " ".join(words[: max(len(words) // 2, 1)])}]}

    return [half(row) if place % 2 else row for place, row in enumerate(rows)]


def leaked(task: Task) -> list[Chat]:
    """Half of the test questions with their right answers."""
    asked = task.questions[::2]
    if task.name == "arithmetic":
        return [chat(one["question"], one["worked"]) for one in asked]
    return [chat(one["question"], one["options"][one["gold"]]) for one in asked]


def sets_of(task: Task, off_topic: Sequence[Chat]) -> dict[str, list[Chat]]:
    """The sets of a task, each of `ROWS` rows (fewer where a writer has fewer right)."""
    small, small_all = written(task, SMALL, "small")
    large, large_all = written(task, LARGE, "large")
    good = by_hash(large, ROWS)
    made = {
        "small-checked": by_hash(small, ROWS),
        "small-unchecked": by_hash(small_all, ROWS),
        "large-checked": good,
        "large-unchecked": by_hash(large_all, ROWS),
        "duplicated": duplicated(good),
        "shuffled": shuffled(good),
        "cut-off": cut_off(good),
        "off-topic": by_hash(off_topic, ROWS),
    }
    if task.name != "rules":  # nobody has written right answers to its test prompts
        leaks = leaked(task)
        made["contaminated"] = [*good[: ROWS - len(leaks)], *leaks]
    return made


def make_sets() -> None:
    shutil.rmtree(RUNS / "sets", ignore_errors=True)
    of, made = tasks(), {}
    qa = written(of["documents"], LARGE, "large")[0]
    sums = written(of["arithmetic"], LARGE, "large")[0]
    for task, off_topic in ((of["arithmetic"], qa), (of["documents"], sums), (of["rules"], qa)):
        made[task.name] = sets_of(task, off_topic)
    made["documents"]["rephrase"] = by_hash(recorded("rephrase", of["documents"]), ROWS)
    made["documents"]["entigraph"] = by_hash(recorded("entigraph", of["documents"]), ROWS)
    lines = [{"task": task, "set": name, "rows": rows} for task, sets in made.items() for name, rows in sets.items()]
    packed = gzip.compress("".join(json.dumps(one) + "\n" for one in lines).encode(), mtime=0)
    SETS.write_bytes(packed)
    print("\n".join(f"{one['task']} {one['set']}: {len(one['rows'])} rows" for one in lines))


def sets() -> dict[tuple[str, str], Path]:
    """The files of the sets, unpacked."""
    found = {}
    for line in gzip.decompress(SETS.read_bytes()).decode().splitlines():
        one = json.loads(line)
        found[one["task"], one["set"]] = write(RUNS / "sets" / one["task"] / f"{one['set']}.jsonl", one["rows"])
    return found


# ---------------------------------------------------------------------------------------------- students and readings


def train_all(minutes: float) -> None:
    """Pass by pass (a rate and a seed), every set; a pass is done before the next begins."""
    began, of, files = time.monotonic(), tasks(), sets()
    for name, task in of.items():
        RESULTS.each("base", name, partial(task.score, task, STUDENT, RUNS / "answers" / f"{name}-base"))
    for seed, rate, (name, of_set) in itertools.product(SEEDS, RATES, files):
        if time.monotonic() - began > 60 * minutes:
            return
        key = f"{name}/{of_set}/{rate:g}/{seed}"
        RESULTS.each("students", key, partial(gained, of[name], files[name, of_set], key, rate=rate, seed=seed))


def gained(task: Task, file: Path, key: str, *, rate: float, seed: int) -> list[float]:
    """What a student of a set scores, question by question."""
    place, steps = RUNS / "students" / key, STEPS[task.name]
    sg.train(file, out=place, base=STUDENT, seed=seed, learning_rate=rate, max_steps=steps, **TRAINING)
    scores = task.score(task, place, RUNS / "answers" / key)
    shutil.rmtree(place)
    return scores


def read_all() -> None:
    """What `synthgain measure` says of each set; values by name."""
    of = tasks()
    for (name, of_set), file in sets().items():
        RESULTS.each("readings", f"{name}/{of_set}", partial(read, of[name], file))


def read(task: Task, file: Path) -> dict[str, Any]:
    """All readings of a set that `measure` gives by itself, and the processor seconds that they took."""
    began, target = time.process_time(), task.file("target") if task.target else None
    readings = sg.measure(file, anchors=task.file("anchors"), target=target, student=STUDENT)
    return {r.name: r.value for r in readings} | {"cpu_seconds": time.process_time() - began}


def ask_all() -> None:
    """What `--also probe_gain --also context_gain` adds: the two that cost most, each for all sets before the next."""
    of = tasks()
    for which, ((name, of_set), file) in itertools.product(ASKED, sets().items()):
        RESULTS.each(which, f"{name}/{of_set}", partial(ask, of[name], file, which))


def ask(task: Task, file: Path, which: str) -> dict[str, Any]:
    began, target = time.process_time(), task.file("target") if task.target else None
    data = data_of(file, anchors=task.file("anchors"), target=target)
    learner = instruments_for(STUDENT, "", "", Reach(), learns=True).learner
    assert learner is not None
    readings = ASKED[which](data, aim_of(data, Grounds.of(data)), learner)
    return {r.name: r.value for r in readings} | {"cpu_seconds": time.process_time() - began}


# ---------------------------------------------------------------------------------------------- the readings against the gains


def analysed(found: Mapping[str, Any], resamples: int = 2_000) -> list[dict[str, Any]]:
    """Of each reading Spearman's rho within tasks, the mean over tasks, with an interval over sets and students; sign errors; regret."""
    students = sorted({key.split("/", 2)[2] for key in found["students"]})
    whole = [s for s in students if all(f"{key}/{s}" in found["students"] for key in found["readings"])]
    gains = {key: np.array([gain(found, key, s) for s in whole]) for key in found["readings"]}
    lines, every = [], list(range(len(whole)))
    for name in sorted({name for values in found["readings"].values() for name in values} - {"cpu_seconds"}):
        value = {key: one[name] for key, one in found["readings"].items() if one.get(name) is not None}
        known = {task: [key for key in value if key.startswith(f"{task}/")] for task in STEPS}
        known = {task: keys for task, keys in known.items() if len({value[key] for key in keys}) > 2}
        if not known:
            continue
        rng = np.random.default_rng(0)
        drawn = []
        for _ in range(resamples):
            redrawn = {task: [keys[i] for i in rng.integers(0, len(keys), len(keys))] for task, keys in known.items()}
            drawn.append(rho(value, gains, redrawn, rng.integers(0, len(whole), len(whole))))
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        line = {"name": name, "sets": sum(map(len, known.values())), "spearman": rho(value, gains, known, every)}
        line |= {"low": float(low), "high": float(high)}
        line["by_task"] = {task: rho(value, gains, {task: keys}, every) for task, keys in known.items()}
        line["regret"] = {task: regret(value, gains, keys) for task, keys in known.items()}
        if name in SIGNED:
            mean = {key: float(gains[key].mean()) for key in value}
            told = [key for keys in known.values() for key in keys if abs(mean[key]) > 2 * error(found, key, whole)]
            line["sign_errors"] = [sum((value[key] > 0) != (mean[key] > 0) for key in told), len(told)]
        lines.append(line)
    return sorted(lines, key=lambda one: -abs(one["spearman"]))


Keys = Mapping[str, Sequence[str]]


def gain(found: Mapping[str, Any], key: str, student: str) -> float:
    """What a set's student has more than the untrained one, mean over questions."""
    return float(np.mean(found["students"][f"{key}/{student}"]) - np.mean(found["base"][key.split("/")[0]]))


def rho(value: Mapping[str, float], gains: Mapping[str, np.ndarray], keys: Keys, students: Sequence[int]) -> float:
    """Spearman's rank correlation of a reading with the mean gain over students, mean over tasks."""
    each = []
    for some in keys.values():
        mine, truth = [value[key] for key in some], [gains[key][list(students)].mean() for key in some]
        each.append(spearman(np.array(mine, float), np.array(truth)))
    told = [one for one in each if not np.isnan(one)]
    return float(np.mean(told)) if told else float("nan")


def regret(value: Mapping[str, float], gains: Mapping[str, np.ndarray], keys: Sequence[str]) -> float:
    """By how much the set of the highest reading gains less than the best one."""
    chosen = max(keys, key=lambda key: value[key])
    return float(max(gains[key].mean() for key in keys) - gains[chosen].mean())


def error(found: Mapping[str, Any], key: str, students: Sequence[str]) -> float:
    """Standard error over questions of a set's gain, all its students together."""
    each = np.mean([found["students"][f"{key}/{s}"] for s in students], axis=0) - np.array(
        found["base"][key.split("/")[0]]
    )
    return float(each.std(ddof=1) / np.sqrt(len(each)))


def tables() -> None:
    """All sets, then without those that hold test questions."""
    found = RESULTS.read()
    for which in ASKED:
        for key, values in found.get(which, {}).items():
            found["readings"][key] |= {name: value for name, value in values.items() if name != "cpu_seconds"}
    clean = {key: values for key, values in found["readings"].items() if "contaminated" not in key}
    lines = {
        what: analysed({**found, "readings": some}) for what, some in (("all", found["readings"]), ("clean", clean))
    }
    for what, told in lines.items():
        RESULTS.put("analysis", what, told)
        print(table(told), end="\n\n")


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    told = [
        "| reading | tasks, sets | Spearman | arithmetic, documents, rules | regret | sign errors |",
        "|---" * 6 + "|",
    ]
    for one in lines:
        each = ", ".join(f"{one['by_task'][t]:+.2f}" if t in one["by_task"] else "–" for t in STEPS)
        lost = ", ".join(f"{one['regret'][t]:.2f}" if t in one["regret"] else "–" for t in STEPS)
        signs = "{} of {}".format(*one["sign_errors"]) if "sign_errors" in one else ""
        rank = f"{one['spearman']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]"
        told.append(f"| `{one['name']}` | {len(one['by_task'])}, {one['sets']} | {rank} | {each} | {lost} | {signs} |")
    return "\n".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("sets", "students", "readings", "asking", "tables"))
    parser.add_argument("--minutes", type=float, default=1e9, help="no student begins later")
    given = parser.parse_args()
    stages: dict[str, Callable[[], None]] = {
        "sets": make_sets,
        "students": lambda: train_all(given.minutes),
        "readings": read_all,
        "asking": ask_all,
        "tables": tables,
    }
    stages[given.stage]()


if __name__ == "__main__":
    main()
