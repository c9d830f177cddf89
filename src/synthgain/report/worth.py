"""What the rows are worth for the task at hand, in one sentence: no more than the readings bear out, and with the record of the figure that says it.

Where the value lies in answers a figure of whole texts has no say, however large it is: what predicts questions better says nothing of answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from synthgain.meanings import record_of
from synthgain.numbers import count, interval
from synthgain.types import Reading

TEXT = (
    "mdm",
    "proxy_gain",
    "target_fit",
)  # of texts: the one with the best record first, then what looks at held-out text
OF_ANSWERS = "proxy_gain_answer"  # stands among the readings, with a value or without, where the value lies in answers
RIGHT = "right_share"
STUDENT = ("gain", "probe_gain", "context_gain")  # what a student showed outranks what was counted
NOTHING = "Nothing that was measured says what these rows are worth"
TRY = "whether a student gains has to be tried"


def target_is(readings: Sequence[Reading], task: str = "") -> str:
    """ "answer" or "text": where the value was taken to lie when these were measured. `task` is what the run says ("answers")."""
    return "answer" if task == "answers" or any(r.name == OF_ANSWERS for r in readings) else "text"


def worth(readings: Sequence[Reading], task: str = "") -> str:
    """The sentence; "" where no figure that says so was looked for."""
    return headline(readings, task)["says"]


def headline(readings: Sequence[Reading], task: str = "") -> dict[str, str]:
    """`name`: the figure that says most for the task; `says`: its sentence. Both are "" where no figure that says so was looked for."""
    answers = target_is(readings, task) == "answer"
    if not answers and not {r.name for r in readings} & set(fitting(readings)):
        return {"name": "", "says": ""}
    known = {r.name: r for r in readings if r.value is not None}
    for name, says in _said(known, answers):
        return {"name": name, "says": says}
    missing = {r.name: r.note for r in readings if r.value is None}
    why = missing.get(OF_ANSWERS if answers else "proxy_gain", "")
    return {"name": "", "says": f"{NOTHING}{f': {why}' if why else ''}."}


def fitting(readings: Sequence[Reading], task: str = "") -> list[str]:
    """The figures that fit the task, in the order in which they are to be read.

    Where a rule looked at the answers, the gains by counting are none of them: they read how answers are worded, and fell above students that had gained.
    """
    if target_is(readings, task) != "answer":
        return [*STUDENT, "grounded", *TEXT]
    verified = any(r.name == RIGHT and r.value is not None for r in readings)
    return [*STUDENT, RIGHT, "curation_nats", *(() if verified else (OF_ANSWERS, "target_fit_answer"))]


def _said(known: Mapping[str, Reading], answers: bool) -> Iterator[tuple[str, str]]:
    """What each figure says, with its name, the best witness first."""
    what = "held-out answers" if answers else "held-out real text"
    for name, how in (
        ("gain", "Trained on the rows, the student finds"),
        ("probe_gain", "After a few small steps on the rows the student finds"),
        ("context_gain", "With some of the rows before it the student finds"),
    ):
        if name in known:
            yield name, _moved(known[name], how, what)
    if answers:
        yield from _of_answers(known)
    else:
        yield from _of_texts(known)


def _moved(r: Reading, how: str, what: str) -> str:
    by = f"by {interval(abs(r.value or 0.0), *_ends(r))} nats a token"
    if r.low is None or r.high is None or r.low <= 0 <= r.high:
        return f"{how} {what} neither easier nor harder, as far as can be told ({_figure(r)})."
    return f"{how} {what} {'easier' if r.low > 0 else 'harder'} {by}{_record(r)}."


def _of_answers(known: Mapping[str, Reading]) -> Iterator[tuple[str, str]]:
    right, gain = known.get(RIGHT), known.get(OF_ANSWERS)
    if right is not None and not right.value:
        yield (
            RIGHT,
            "A rule found none right of the answers that were written: the checks kept nothing of the writer's.",
        )
    elif right is not None:
        nats = known.get("curation_nats")
        put = (
            f" and so put in {interval(nats.value or 0.0, nats.low, nats.high)} nats a row" if nats is not None else ""
        )
        yield (
            RIGHT,
            f"Of 100 answers that were written, a rule found about {count(100 * (right.value or 0.0))} right; the checks kept such ones{put}. "
            f"That is what the writer knows: {TRY}.",
        )
    if gain is not None:
        yield (
            OF_ANSWERS,
            f"{_counted(gain, 'held-out answers')} Whether answers are right it does not see: {TRY}, or the student asked (--also probe_gain).",
        )


def _of_texts(known: Mapping[str, Reading]) -> Iterator[tuple[str, str]]:
    for name in TEXT:
        r = known.get(name)
        if r is None:
            continue
        if name == "mdm":
            yield name, _varied(r, known.get("mdm_anchors"))
        else:
            yield name, _counted(r, "held-out real text")


def _varied(r: Reading, anchors: Reading | None) -> str:
    """Fewer texts lie a little nearer to their middles, so the side with fewer of them must be clear by its interval to be called the more varied."""
    mine = f"they lie {interval(r.value or 0.0, r.low, r.high)} from the middle of their kind"
    if anchors is None or anchors.value is None:  # there are none, or too few
        return f"How varied the rows are: {mine}{_record(r)}; of anchors there is no such figure to compare with."
    theirs = f"the anchors {interval(anchors.value, anchors.low, anchors.high)}"
    ends = (r.low, r.high, anchors.low, anchors.high)
    less = None not in ends and r.high < anchors.low  # type: ignore[operator]
    more = None not in ends and r.low > anchors.high  # type: ignore[operator]
    what = (
        "less varied than the anchors"
        if less
        else "more varied than the anchors"
        if more
        else "about as varied as the anchors, as far as can be told"
    )
    return f"The rows are {what}: {mine}, {theirs}{_record(r)}."


def _counted(r: Reading, what: str) -> str:
    """What a gain by counting says."""
    alone = r.name.startswith("target_fit")
    how = "The rows alone make" if alone else "Added to the anchors, the rows make"
    than = " than the anchors do" if alone else ""
    if r.low is None or r.high is None or r.low <= 0 <= r.high:
        return f"For a reader that counts words the rows make {what} neither easier nor harder to predict{than}, as far as can be told ({_figure(r)})."
    by = f"by {interval(abs(r.value or 0.0), *_ends(r))} nats a word"
    return f"{how} {what} {'easier' if r.low > 0 else 'harder'} to predict{than} for a reader that counts words, {by}{_record(r)}."


def _ends(r: Reading) -> tuple[float | None, float | None]:
    """The ends of the absolute value."""
    if r.low is None or r.high is None or r.low > 0:
        return r.low, r.high
    return -r.high, -r.low


def _figure(r: Reading) -> str:
    return f"{r.name} {interval(r.value or 0.0, r.low, r.high)}"


def _record(r: Reading) -> str:
    """What the figure has shown elsewhere, in brackets."""
    said = record_of(r.name)
    return f" ({r.name} {said})" if said else f" ({r.name}; held against no trained students yet)"
