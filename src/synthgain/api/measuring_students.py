"""The meter after training: what students of the rows gained over students of the anchors alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthgain.api.places import kept_if_it_can_be
from synthgain.api.sources import real_texts
from synthgain.api.telling import Say
from synthgain.measure import (
    after_training,
    even_sample,
)
from synthgain.measure.after_training import StudentLosses
from synthgain.measure.aim import MOST, PARTS
from synthgain.measure.gain import Losses
from synthgain.measure.student_eye import Pair
from synthgain.models import open_scorer
from synthgain.store import write_readings
from synthgain.types import Reading, Scorer, SynthgainError, user

TEXTS = 200  # documents of a student's test and dev text
CHARS = 2_000  # of each


def measure_students(
    students: Sequence[str | Path],
    *,
    against: Sequence[str | Path] = (),
    target: str | Path | None = None,
    anchors: str | Path | None = None,
    target_is: str = "",
    seed: int = 0,
    say: Say | None = None,
) -> list[Reading]:
    """The readings after training of `students` (one a seed), against students trained on the anchors alone.

    `target` is held-out real text (200 documents of 2,000 characters are read); `anchors` is real text that the
    students were not trained on, for `faithfulness`. With `target_is` "answer" the loss is on the answers alone, given their prompts; without it that is so
    where all students learnt answers (sft) and most of the held-out texts have one. Also written to readings.json in the first student's folder.
    """
    if target_is not in ("", *PARTS):
        raise SynthgainError(f"the target is {target_is!r}", where="--target-is", next="give text or answer")
    room = min(_checked(Path(s)) for s in (*students, *against))
    if not target_is:
        target_is = "" if _learnt_answers((*students, *against)) else "text"
    test = None if target is None else _some(target, seed, room, target_is)
    dev = None if anchors is None else _some(anchors, seed, room, target_is)
    mine = [_losses(Path(s), test, dev, say) for s in students]
    theirs = [_losses(Path(s), test, None, say) for s in against]
    readings = after_training(mine, theirs, seed=seed)
    readings = [replace(r, note=_of_what(r, test, dev)) for r in readings]
    with kept_if_it_can_be("the figures", Path(students[0])):
        write_readings(Path(students[0]), readings)
    return readings


def _checked(student: Path) -> int:
    """The characters of a text that surely fit the student's context; SynthgainError where it is no student."""
    from synthgain.train import student_record

    student_record(student)
    context = json.loads((student / "config.json").read_text("utf-8")).get("max_position_embeddings") or CHARS
    return min(CHARS, int(context) - 8)


def _learnt_answers(students: Sequence[str | Path]) -> bool:
    from synthgain.train import student_record

    return all(student_record(Path(s)).get("method") == "sft" for s in students)


def _some(source: str | Path, seed: int, chars: int, target_is: str) -> list[Pair]:
    """Held-out pairs: texts after nothing, or answers after their prompts as a user's turn; without a word which, where most have an answer."""
    batches, n = real_texts(source)
    table = even_sample(batches, ("text", "asked", "answered"), n, TEXTS, seed)
    texts, asked, answered = (table.column(name).to_pylist() for name in ("text", "asked", "answered"))
    pairs: list[Pair] = [
        ([user(a[: chars // 2])], b[: chars // 2]) for a, b in zip(asked, answered) if a is not None and b is not None
    ]
    if target_is == "text" or (not target_is and len(pairs) < MOST * len(texts)):
        return [("", text[:chars]) for text in texts]
    if not pairs:
        raise SynthgainError(
            "the held-out texts have no answers",
            where=str(source),
            next="give chats, or a column `worked`, `solution`, `output` or `answer`, or --target-is text",
        )
    return pairs


def _of_what(reading: Reading, test: Sequence[Pair] | None, dev: Sequence[Pair] | None) -> str:
    """The note of a reading with what its loss is of, where it is of answers."""
    pairs = {"gain": test, "held_out_loss": test, "held_out_loss_anchors": test, "faithfulness": dev}.get(reading.name)
    of_answers = reading.value is not None and bool(pairs) and bool(pairs and pairs[0][0])
    return "; ".join(
        filter(None, ("loss on the answers alone, given their prompts" if of_answers else "", reading.note))
    )


def _losses(student: Path, test: Sequence[Pair] | None, dev: Sequence[Pair] | None, say: Say | None) -> StudentLosses:
    from synthgain.train import read_pairs, student_record

    record = student_record(student)
    if say is not None:
        say(f"scoring with {student}")
    scorer = open_scorer(student)
    pairs = read_pairs(student)
    known = record["base"] != "scratch"  # random weights are on no disk
    base = open_scorer(str(record["base"])) if known and (pairs is not None or dev) else None

    def losses(by: Scorer | None, asked: Sequence[Any] | None) -> Losses | None:
        return None if by is None or not asked else Losses.of(by.logprobs(list(asked)))

    members, siblings = (pairs.members, pairs.siblings) if pairs is not None else (None, None)
    return StudentLosses(
        record=record,
        test=losses(scorer, test),
        dev=losses(scorer, dev),
        dev_before=losses(base, dev),
        members=losses(scorer, members),
        siblings=losses(scorer, siblings),
        members_before=losses(base, members),
        siblings_before=losses(base, siblings),
    )
