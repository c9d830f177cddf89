"""The verdict on a data set in one sentence with its reasons: use it, read these rows first, do not.

It says no more than what was measured bears out. What a trained student showed outranks everything; then what is wrong with the rows;
`proxy_gain` decides nothing, because nonsense can raise it and a faithful restatement lower it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from synthgain.numbers import count, counted, interval, number, share
from synthgain.types import Reading

FEW = 100  # kept rows: fewer teach a student little, and bear no figure
INVENTED, GROUNDED = (
    0.5,
    0.8,
)  # of names and numbers that stand in the source: fewer than the first, more than the second
REPEATED, REPEATING = 0.5, 0.2  # of rows that nearly repeat another
COPIED = 0.5  # of 8-grams that stand in the row's own source
LEAKED, LEAKING = 0.05, 0.005  # of 8-grams that stand in the held-out test
BROKEN = 0.05  # of drafts or calls that gave nothing
OWN = 0.5  # of kept rows that no model wrote
STRICT = 0.1  # share kept, under which the fallen are worth reading
VERIFIED = ("final-answer", "unit-tests", "sql", "instructions")  # before records said which checks verify

Call = Literal["use", "read", "no"]
WORDS: dict[Call, str] = {"use": "Use it", "read": "Read these rows first", "no": "Do not use it as it is"}


@dataclass(frozen=True)
class Known:
    """What is known of a data set: its readings, and of a run its record and what changed since it was measured.

    `task` is "answers" where rows answer their anchors, "restates" where they say them again, "" where that is not known. `doubts` are rows to be read
    first: (id, why). `differences` are paired differences of a student trained on the rows less another arm, as arms.json has them.
    """

    readings: Mapping[str, Reading]
    record: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None
    kept: int | None = None
    task: str = ""
    stale: bool = False
    unwritten: int = 0  # kept rows that no model wrote
    doubts: Sequence[tuple[str, str]] = ()
    differences: Sequence[Mapping[str, Any]] = ()

    def reading(self, name: str) -> Reading | None:
        """The reading, where it has a value and is of these rows."""
        found = None if self.stale else self.readings.get(name)
        return found if found is not None and found.value is not None else None


@dataclass(frozen=True)
class Advice:
    """What to do with the rows, why, and what was not looked at."""

    call: Call
    why: str
    against: Sequence[str]
    favour: Sequence[str]
    unknown: Sequence[str]
    rows: Sequence[tuple[str, str]] = ()

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        words = WORDS[self.call]
        if self.call == "read" and not self.rows:
            words = "Read some rows first"
        return f"{words}: {self.why}."

    def __str__(self) -> str:
        """The sentence, then reasons against (−) and for (+), rows to be read first, and what was not looked at (?)."""
        said = [f"  {'-' if reason in self.against else '+'} {reason}" for reason in self.reasons]
        rows = [f"  read {id[:12]}: {why}" for id, why in self.rows[:3]]
        return "\n".join([self.sentence, *said, *rows, *(f"  ? {line}" for line in self.unknown)])

    @property
    def reasons(self) -> list[str]:
        """The other reasons, those against it first."""
        return [reason for reason in (*self.against, *self.favour) if reason != self.why]


def advise(known: Known) -> Advice:
    """The verdict: faults forbid, doubts ask for eyes, and a student that was seen to gain outranks doubts."""
    faults, doubts = list(_faults(known)), list(_doubts(known))
    proofs, merits = list(_proofs(known)), list(_merits(known))
    unknown = list(_unknown(known, bool(proofs)))
    against, favour = [*faults, *doubts], [*proofs, *merits, *_harmless(known)]
    if faults:
        return Advice("no", faults[0], against, favour, unknown, known.doubts)
    if proofs:
        return Advice("use", proofs[0], against, favour, unknown, known.doubts if doubts else ())
    if doubts or not merits:
        why = doubts[0] if doubts else "nothing that was measured says that the rows are right"
        return Advice("read", why, against, favour, unknown, known.doubts)
    return Advice("use", f"{merits[0]}, as far as was measured", against, favour, unknown)


# ---------------------------------------------------------------------------------------------- what speaks against it


def _faults(known: Known) -> Iterator[str]:
    if known.kept == 0:
        fell = sorted(_counts(known.record.get("dropped_by")).items(), key=lambda cn: (-cn[1], cn[0]))
        most = f" (most fell by {fell[0][0]}: {count(fell[0][1])} of {count(known.rows)})" if fell else ""
        yield f"no row was kept{most}"
        return
    for d in known.differences:
        if (high := number(d.get("high"))) is not None and high < 0 and _untrained(d):
            yield f"the student trained on it answers fewer of the test questions than {d.get('b')} ({_difference(d)})"
    gain = known.reading("gain")
    if gain is not None and gain.high is not None and gain.high < 0:
        yield f"held-out text became harder to predict for the student trained on it ({_said(gain)} nats a token)"
    for name, limit, words in (
        ("dup_rate", REPEATED, "of its rows nearly repeat another"),
        ("test_overlap", LEAKED, "of its 8-word runs stand in the held-out test"),
    ):
        r = known.reading(name)
        if r is not None and r.low is not None and r.low > limit:
            yield f"{_said(r)} {words}"
    r = known.reading("grounded")
    if r is not None and r.high is not None and r.high < INVENTED:
        yield f"of its names and numbers only {_said(r)} stand in what the rows were made from"


def _doubts(known: Known) -> Iterator[str]:
    if known.kept == 0:
        return
    if known.stale:
        yield "its rows have changed since it was measured"
    elif not any(r.value is not None for r in known.readings.values()) and not known.differences:
        yield "nothing of it has been measured"
    r = known.reading("grounded")
    if r is not None and not (r.high is not None and r.high < INVENTED) and (r.value or 0.0) < GROUNDED:
        yield f"of its names and numbers {_said(r)} stand in what the rows were made from; the rest was invented, or comes from elsewhere"
    r = known.reading("dup_rate")
    if r is not None and not (r.low is not None and r.low > REPEATED) and (r.value or 0.0) > REPEATING:
        yield f"{_said(r)} of its rows nearly repeat another"
    r = known.reading("copy_rate")
    if r is not None and known.task != "answers" and (r.value or 0.0) > COPIED:
        yield f"{_said(r)} of its 8-word runs are copied from the row's own source"
    r = known.reading("test_overlap")
    if r is not None and (r.value or 0.0) > LEAKING and not (r.low is not None and r.low > LEAKED):
        yield f"{_said(r)} of its 8-word runs stand in the held-out test"
    if why := _no_test(known):
        yield f"whether a test leaks could not be seen: {why}"
    if known.kept is not None and 0 < known.kept < FEW:
        yield f"{counted(known.kept, 'row is', 'rows are')} few"
    if known.kept and known.unwritten > OWN * known.kept and not known.record.get("given"):
        yield f"{count(known.unwritten)} of its {counted(known.kept, 'row')} were written by no model: they are the anchors' own"
    for d in known.differences:
        if not _untrained(d) and _behind(d):
            yield f"the student trained on it answers fewer of the test questions than {d.get('b')} ({_difference(d)})"
    yield from _of_the_run(known)
    if known.task == "answers" and not _verified(known) and not known.differences:
        yield "no rule looked at whether its answers are right"


def _behind(difference: Mapping[str, Any]) -> bool:
    """Whether the student answers fewer of the test questions than the other."""
    high = number(difference.get("high"))
    return high is not None and high < 0


def _of_the_run(known: Known) -> Iterator[str]:
    """Doubts that the record of a run gives."""
    status = known.record.get("status")
    if status in ("running", "stopped"):
        why = f" ({str(known.record['why'])[:160]})" if known.record.get("why") else ""
        yield f"the run {'stopped before its end' if status == 'stopped' else 'has not ended'}{why}"
    counts = _counts(known.record.get("counts"))
    broken = counts.get("broken", 0)
    tried = broken + sum(counts.get(f"calls_{name}", 0) for name in ("bought", "reused", "recorded"))
    if broken > BROKEN * tried:
        yield f"{count(broken)} of {counted(tried, 'call or draft', 'calls or drafts')} broke"
    if known.rows and known.kept and known.kept < STRICT * known.rows:
        yield f"the checks let only {share(known.kept, known.rows)} of the candidates pass"


# ---------------------------------------------------------------------------------------------- what speaks for it


def _proofs(known: Known) -> Iterator[str]:
    """What a trained student showed."""
    told = [d for d in known.differences if _untrained(d) and number(d.get("low")) is not None]
    if told and all((number(d.get("low")) or 0.0) > 0 for d in told):
        least = min(told, key=lambda d: number(d.get("value")) or 0.0)
        yield f"the student trained on it answers more of the test questions than {least.get('b')} ({_difference(least)})"
        for d in known.differences:
            if not _untrained(d) and not _behind(d) and (low := number(d.get("low"))) is not None:
                yield (
                    f"more than {d.get('b')} too ({_difference(d)})"
                    if low > 0
                    else f"it cannot be told from {d.get('b')} ({_difference(d)})"
                )
    gain = known.reading("gain")
    if gain is not None and gain.low is not None and gain.low > 0:
        yield f"held-out text became easier to predict for the student trained on it ({_said(gain)} nats a token)"


def _merits(known: Known) -> Iterator[str]:
    if not known.kept and known.kept is not None:
        return
    r = known.reading("grounded")
    if r is not None and (r.value or 0.0) >= GROUNDED:
        yield f"{_said(r)} of its names and numbers stand in what the rows were made from"
    if known.task == "answers" and _verified(known):
        by = f" ({', '.join(names)})" if (names := verifiers(known.record)) else ""
        yield f"a rule looked at its answers{by} and kept the right ones"


def _harmless(known: Known) -> Iterator[str]:
    """What is not wrong with it: no reason to use it by itself."""
    for name, limit, words in (
        ("dup_rate", REPEATING, "of its rows nearly repeat another"),
        ("copy_rate", COPIED, "of its 8-word runs are copied from the row's own source or prompt"),
        ("test_overlap", LEAKING, "of its 8-word runs stand in the held-out test"),
    ):
        r = known.reading(name)
        if r is not None and known.kept != 0 and (r.value or 0.0) <= limit:
            yield f"only {_said(r)} {words}" if r.value else f"none {words} ({_said(r)})"


def _unknown(known: Known, proven: bool) -> Iterator[str]:
    """What was not looked at, and what looks. Where no row was kept there is nothing to look at."""
    if known.kept == 0:
        return
    if not proven and not known.differences and known.reading("gain") is None:
        yield "Whether a student gains by it was not tried: `synthgain loop` or `synthgain train` and `evaluate` try it."
    if known.stale or not known.readings:
        yield "`synthgain measure RUN` measures it."
    elif known.reading("test_overlap") is None and not _no_test(known):
        yield "Leaks into a test were not looked for: `--target TEST` looks."
    if known.readings and not known.stale and known.task != "answers" and known.reading("grounded") is None:
        yield "Whether the rows say what their sources say was not looked at: rows name no sources, or the sources were not given."


def _no_test(known: Known) -> str:
    """Why the held-out texts that were given are no test; "" where they are one, or none were given."""
    found = None if known.stale else known.readings.get("test_overlap")
    return found.note if found is not None and found.value is None and found.n else ""


def _untrained(d: Mapping[str, Any]) -> bool:
    return str(d.get("b") or "").startswith("base")


def _verified(known: Known) -> bool:
    """Whether a check that verifies answers judged the rows: the record says so, or a share right was measured."""
    return bool(verifiers(known.record)) or known.reading("right_share") is not None


def verifiers(record: Mapping[str, Any]) -> list[str]:
    """The checks of a run's record that verify answers. Where one is left unsaid, as in records of before, it is known of shipped ones (`VERIFIED`)."""
    own = {c.get("name") for c in _checks(record.get("request")) if c.get("file") or c.get("python")}
    told = [(str(c.get("name")), c.get("verifies")) for c in _checks(record.get("recipe"))]
    return [name for name, said in told if said is True or (said is None and name in VERIFIED and name not in own)]


def _checks(held: object) -> list[Mapping[str, Any]]:
    """What a part of a record says of its checks."""
    checks = held.get("checks") if isinstance(held, Mapping) else None
    return [c for c in checks if isinstance(c, Mapping)] if isinstance(checks, list) else []


def _counts(value: object) -> dict[str, int]:
    given = value if isinstance(value, Mapping) else {}
    return {str(name): int(n) for name, n in given.items() if number(n) is not None}


def _said(r: Reading) -> str:
    return interval(r.value or 0.0, r.low, r.high)


def _difference(d: Mapping[str, Any]) -> str:
    return interval(number(d.get("value")) or 0.0, number(d.get("low")), number(d.get("high")), signed=True)
