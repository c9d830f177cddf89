"""What is looked at before any arm is trained: exams that can be held, texts that fit the student, questions that stand in training text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthgain.api.choosing import Context
from synthgain.api.evals import Evals, Item
from synthgain.api.tokenizers import open_tokenizer
from synthgain.evaluate import Question
from synthgain.loop import Arm, Rows
from synthgain.store.rows import spoken
from synthgain.train import TrainingRow, read_rows
from synthgain.train.weights import load_tokenizer
from synthgain.types import Row, SynthgainError

UNKNOWN = 0.01  # of a text's tokens that a tokenizer does not know, from which on it does not fit
SAMPLE = 200  # rows of each arm that are looked at for that
AT_ONCE = 512  # rows that are looked up at once
SHOWN = 3


# ---------------------------------------------------------------------------------------------- fitting


def check_fit(
    folder: Path, length: int, rows: Mapping[str, Rows], exams: Mapping[str, Context], questions: Sequence[Question]
) -> None:
    """SynthgainError where the student's tokenizer and its weights, the arms' texts or the exams do not go together.

    `exams` are the contexts of multiple choice by arm; verifiable questions are answered in whatever room there is.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    tokenizer = load_tokenizer(folder)
    size, room = config.get("vocab_size"), config.get("max_position_embeddings")
    if size is not None and len(tokenizer) > size:
        raise SynthgainError(
            f"the tokenizer has {len(tokenizer):,} tokens and the model's table {size:,}",
            where=str(folder),
            next="give a base whose folder holds its own tokenizer",
        )
    if room is not None and length > room:
        raise SynthgainError(
            f"a block of {length} tokens is longer than the context of {room}",
            where="settings of the arms",
            next=f"give --length {room} or less",
        )
    for name, one in rows.items():
        _check_spelling(tokenizer, name, one.path)
    if room is not None and questions and questions[0].options:
        count = open_tokenizer(str(folder))
        assert count is not None  # a folder was named
        for name, context in exams.items():
            _check_room(count, room, name, context, questions)


def _check_spelling(tokenizer: Any, arm: str, file: Path) -> None:
    unknown = tokenizer.unk_token_id
    if unknown is None:
        return
    texts = [_text(row) for row in islice(iter(read_rows(file)), SAMPLE)]
    ids = [id for found in tokenizer(texts, add_special_tokens=False)["input_ids"] for id in found]
    share = ids.count(unknown) / max(1, len(ids))
    if share > UNKNOWN:
        raise SynthgainError(
            f"the student's tokenizer does not know {share:.0%} of the tokens of these texts",
            where=f"arm {arm}",
            next="give a base whose tokenizer knows this script",
        )


def _check_room(
    count: Callable[[Sequence[str]], list[int]], room: int, arm: str, context: Context, questions: Sequence[Question]
) -> None:
    for q in questions:
        before, *options = count([context(q), *(f" {option}" for option in q.options)])
        if before + max(options) > room:
            raise SynthgainError(
                f"what stands before the question has with it {before + max(options):,} tokens, and the context {room:,}",
                where=f"arm {arm}, question {q.id}",
                next=f"leave the arm out (--without {arm}), or take a base with a longer context",
            )


# ---------------------------------------------------------------------------------------------- leaks


@dataclass(frozen=True)
class Leaks:
    """Questions that stand in what arms learn: how many of each arm's rows, and some of them in words; `too_short` were not looked for."""

    by_arm: Mapping[str, int]
    examples: Sequence[str]
    too_short: int

    def refuse(self) -> None:
        """SynthgainError where there are some."""
        found = {arm: n for arm, n in self.by_arm.items() if n}
        if not found:
            return
        counts = ", ".join(f"{arm} ({n:,} rows)" for arm, n in found.items())
        raise SynthgainError(
            f"questions of the exam stand in what arms learn: {counts}; {'; '.join(self.examples[:SHOWN])}",
            where="questions",
            next="take other questions, leave these rows out (synthgain curate RUN --against QUESTIONS), or compare all the same: --allow-leaks",
        )

    def json(self) -> dict[str, Any]:
        return {"rows": dict(self.by_arm), "examples": list(self.examples), "questions_too_short": self.too_short}


def leaks(questions: Sequence[Question], rows: Mapping[str, Rows]) -> Leaks:
    """Rows of each arm in which a question stands, by runs of words and by nearness (`evals.Evals`)."""
    evals = Evals([Item("questions", q.id, q.question, _whole(q)) for q in questions])
    by_arm: dict[str, int] = {}
    examples: list[str] = []
    for name, one in rows.items():
        found = 0
        for start, table in _tables(one.path):
            told, _ = evals.look(table, range(start, start + len(table)))
            hits = [(start + at, line.splitlines()[0]) for at, line in enumerate(told) if line]
            found += len(hits)
            examples += [f"row {at} of {name} {line}" for at, line in hits[: max(0, SHOWN - len(examples))]]
        by_arm[name] = found
    return Leaks(by_arm, examples, sum(one.too_short for one in evals.found.values()))


def _whole(q: Question) -> str:
    right = q.answer if q.gold is None else q.options[q.gold]
    return f"{q.question}\n{right}"


def _tables(file: Path) -> Iterator[tuple[int, pa.Table]]:
    rows = iter(read_rows(file))
    start = 0
    while some := list(islice(rows, AT_ONCE)):
        held = [Row(messages=row.messages, text=row.text) for row in some]
        columns = {
            "text": [_text(row) for row in some],
            "prompt": [_asked(row) for row in held],
            "answer": [row.answer for row in held],
        }
        yield start, pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        start += len(some)


def _text(row: TrainingRow) -> str:
    return spoken(row.messages, row.text)


def _asked(row: Row) -> str:
    """The last user turn; of a text nothing."""
    return next((turn["content"] for turn in reversed(row.messages or ()) if turn["role"] == "user"), "")


def exams_of(arms: Sequence[Arm], context: Callable[[Arm], Context]) -> dict[str, Context]:
    """What stands before the questions of each arm, one arm for each exam. SynthgainError: an exam that cannot be held."""
    found: dict[str, tuple[str, Context]] = {}
    for arm in arms:
        found.setdefault(arm.exam, (arm.name, context(arm)))
    return dict(found.values())
