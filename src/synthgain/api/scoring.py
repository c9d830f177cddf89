"""What selections read, written into the rows of a data set: losses of a scorer (for `ifd`), rewards of a training run (for `limr`).

Selections are pure, so whatever has to be computed with a model, or read from a log, is written into rows' fields first.

A log of a training run has JSON lines, one for each time that a row was seen:

    {"id": "q17", "epoch": 3, "reward": 1}        `id` is the row's field of that name
    {"prompt": "What is …?", "epoch": 3, "reward": 0.5}    or what was asked, as it stands

Lines of one row and epoch are averaged (LIMR draws 8 samples); epochs are any numbers, in their order. An epoch at which a row was not seen is null.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from synthgain.api.given import Given
from synthgain.chain.given import asked_of
from synthgain.curate.chosen import number
from synthgain.measure.student_eye import Pair, scores
from synthgain.models import open_scorer
from synthgain.types import Row, Scorer, SynthgainError

BATCH = 256  # rows that a scorer is handed at once
GIVEN, ALONE, REWARDS = "loss_given_question", "loss_alone", "rewards"


@dataclass
class Scored:
    """What `score` came to: rows written, how many of them have the figures, why the others have not, and what was not read."""

    out: Path
    rows: int = 0
    scored: int = 0
    unscored: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    log_without_rows: int = 0  # names of the log that no row has

    def json(self) -> dict[str, Any]:
        return {
            "out": str(self.out),
            "rows": self.rows,
            "scored": self.scored,
            "unscored": dict(self.unscored.most_common()),
            "skipped": dict(self.skipped.most_common()),
            "log_without_rows": self.log_without_rows,
        }


def score(
    source: str | Path,
    out: str | Path,
    *,
    scorer: str | Path | Scorer = "",
    log: str | Path = "",
    text_field: str | None = None,
    strict: bool = False,
    say: Callable[[str], None] | None = None,
) -> Scored:
    """Write the rows of a data set to the .jsonl file `out`, with more fields. Nothing is bought.

    With a `scorer` (a URI of weights, a folder, a student): `loss_given_question` and `loss_alone`, its mean losses in nats a token of the last answer, given
    what was asked and given nothing. With a `log` of a training run: `rewards`, one number an epoch, null where the row was not seen in it. Its lines are
    {"id": "q17", "epoch": 3, "reward": 1}, or with "prompt" (what was asked) in place of "id"; those of one row and epoch are averaged. A row for which there is
    no figure is written without it, and counted: the `Scored` that comes back has `out`, `rows`, `scored`, `unscored` and `skipped` (why: rows) and
    `log_without_rows` (names of the log that no row has); `.json()` is what `--json` prints. SynthgainError where nothing says how rows are scored, `out` is no
    .jsonl file, or something cannot be read.
    """
    place = Path(out)
    if not scorer and not log:
        raise SynthgainError("nothing says how rows are scored", next="give --scorer URI, or --log FILE")
    if place.suffix != ".jsonl":
        raise SynthgainError("the file must end in .jsonl", where=str(place), next=f"-o {place.with_suffix('.jsonl')}")
    reads = open_scorer(scorer) if isinstance(scorer, str | Path) and scorer else scorer
    curves = _curves(Path(log).expanduser()) if log else None
    given, done = Given(str(source), text_field, strict), Scored(place)
    new = place.with_name(f".{place.name}.new")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with new.open("w", encoding="utf-8", errors="replace") as lines:
            for record in _records((row.row for row in given), reads or None, curves, done):
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
                done.rows += 1
                if say and done.rows % BATCH == 0:
                    say(f"{done.rows:,} rows")
        os.replace(new, place)
    finally:
        new.unlink(missing_ok=True)
    done.skipped = given.skipped
    done.log_without_rows = 0 if curves is None else len(curves.names - curves.met)
    return done


def _records(rows: Iterable[Row], scorer: Any, curves: Curves | None, done: Scored) -> Iterator[dict[str, Any]]:
    """The rows with their figures, as records that `Given` reads back."""
    source = iter(rows)
    while some := list(islice(source, BATCH)):
        found = _losses(some, scorer, done) if scorer else [{} for _ in some]
        for row, figures in zip(some, found):
            if curves is not None:
                rewards = curves.of(row)
                figures |= {} if rewards is None else {REWARDS: rewards}
                done.unscored["the log does not name it"] += rewards is None
            done.scored += bool(figures)
            yield _record(row) | figures
    done.unscored = +done.unscored


def _record(row: Row) -> dict[str, Any]:
    """A row as a line of our own form."""
    said: dict[str, Any] = {"text": row.text} if row.messages is None else {"messages": list(row.messages)}
    if row.rejected is not None:
        said["rejected"] = list(row.rejected)
    if row.tools:
        said["tools"] = list(row.tools)
    if row.anchors:
        said["anchor_ids"] = list(row.anchors)
    return said | {name: value for name, value in row.fields.items() if name != "source_row" and name not in said}


# ---------------------------------------------------------------------------------------------- losses


def _losses(rows: list[Row], scorer: Scorer, done: Scored) -> list[dict[str, Any]]:
    """For each row the two mean losses; nothing where there are none."""
    found: list[dict[str, Any]] = [{} for _ in rows]
    asked: list[int] = []
    pairs: list[Pair] = []
    for at, row in enumerate(rows):
        turns = row.messages or ()
        before = turns[:-1]
        if not before or turns[-1]["role"] != "assistant" or not row.answer.strip():
            done.unscored["it has no question with an answer"] += 1
            continue
        asked.append(at)
        pairs += [(before, row.answer), ("", row.answer)]
    values, refused = scores(scorer, pairs)
    for n, at in enumerate(asked):
        given, alone = (_mean_loss(values[2 * n + part]) for part in (0, 1))
        if given is not None and alone is not None:
            found[at] = {GIVEN: given, ALONE: alone}
        else:
            done.unscored[next(iter(refused), "the scorer gives no finite loss")] += 1
    return found


def _mean_loss(logprobs: list[float] | None) -> float | None:
    """The mean of -ln p in nats a token; None where there is none."""
    if not logprobs:
        return None
    loss = -math.fsum(logprobs) / len(logprobs)
    return loss if math.isfinite(loss) else None


# ---------------------------------------------------------------------------------------------- logs


@dataclass
class Curves:
    """Rewards by row and epoch."""

    epochs: list[float]
    rewards: Mapping[tuple[str, str], Mapping[float, list[float]]]
    met: set[tuple[str, str]] = field(default_factory=set)

    @property
    def names(self) -> set[tuple[str, str]]:
        return set(self.rewards)

    def of(self, row: Row) -> list[float | None] | None:
        """A row's mean reward at each epoch, null where it was not seen; None where the log does not name it."""
        names = [("id", str(row.fields["id"]))] if "id" in row.fields else []
        for name in (*names, ("prompt", asked_of(row).strip())):
            if (seen := self.rewards.get(name)) is not None:
                self.met.add(name)
                return [math.fsum(seen[epoch]) / len(seen[epoch]) if epoch in seen else None for epoch in self.epochs]
        return None


def _curves(log: Path) -> Curves:
    """The curves of a log. SynthgainError names the first line that says nothing of that kind."""
    found: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        with log.open(encoding="utf-8") as lines:
            for n, line in enumerate(lines, 1):
                if line.strip():
                    name, epoch, reward = _line(line, f"{log}:{n}")
                    found[name][epoch].append(reward)
    except (OSError, UnicodeDecodeError) as error:
        raise SynthgainError(f"the log cannot be read ({error})", where=str(log), next="give a .jsonl file") from error
    if not found:
        raise SynthgainError("the log is empty", where=str(log), next=FORM)
    return Curves(sorted({epoch for seen in found.values() for epoch in seen}), found)


FORM = 'its lines are {"id": …, "epoch": 3, "reward": 1}, or with "prompt" in place of "id"'


def _line(line: str, where: str) -> tuple[tuple[str, str], float, float]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    kind = next((name for name in ("id", "prompt") if isinstance(said, dict) and said.get(name) is not None), "")
    epoch, reward = (number(said.get(name)) if kind else math.nan for name in ("epoch", "reward"))
    if not kind or math.isnan(epoch) or math.isnan(reward):
        raise SynthgainError("this line of the log says no reward of a row at an epoch", where=where, next=FORM)
    return (kind, str(said[kind]).strip()), epoch, reward
