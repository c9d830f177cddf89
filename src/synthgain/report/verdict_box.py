"""The verdict as a page shows it, and what it knows of a run or of a folder of rounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthgain.report.markup import Safe, el
from synthgain.report.read import Json, RunPart, run_part
from synthgain.report.read_loop import LoopPart, loop_part
from synthgain.report.verdict import Advice, Known, advise

SHOWN = 5  # rows to be read first
MARGINS = "answer_margin difference"  # what arms.json calls a difference in nats: no count of right answers


def known_of(run: RunPart) -> Known:
    """What a run's folder says."""
    return Known(
        readings={r.name: r for r in run.readings},
        record=run.record,
        rows=run.rows,
        kept=run.kept if run.rows else None,
        task=run.task,
        stale=run.stale,
        unwritten=run.unwritten,
        doubts=run.doubts,
    )


def known_of_loop(loop: LoopPart) -> Known:
    """What the reported round says: its rows, and the students that were compared. Less the one-shot control a difference says what rounds
    are worth, and nothing of the rows."""
    last = loop.reported
    own = {r.name: r for r in loop.readings}
    answered = [d for d in loop.differences if not _other_than_answers(d) and d.get("b") != "one-shot"]
    if last is None or last.run is None:
        return Known(own, differences=answered)
    of_run = known_of(last.run)
    trained = [d for d in answered if not str(d.get("a") or "").startswith(("base", "unfiltered"))]
    return replace(of_run, readings={**of_run.readings, **own}, differences=trained)


def _other_than_answers(difference: Json) -> bool:
    """Whether a difference is none of how many answers are right: of margins, or of one right among k."""
    name = str(difference.get("name") or "")
    return name == MARGINS or name.startswith("pass_at_")


def advice_on(folder: Path) -> Advice:
    """The verdict on a run's folder, or on a folder of rounds."""
    rounds = (folder / "loop.json").is_file()
    return advise(known_of_loop(loop_part(folder)) if rounds else known_of(run_part(folder, points=0)))


def verdict_box(advice: Advice, where: str = "") -> Safe:
    """The sentence, its reasons, rows to be read first, and what was not looked at. `where` is the samples' place on the page."""
    reasons = [
        el("li", el("span", mark, class_="sign"), reason, class_=kind)
        for mark, kind, some in (("−", "against", advice.against), ("+", "favour", advice.favour))
        for reason in some
        if reason != advice.why
    ]
    rows = [
        el("li", el("code", id[:12]), " ", el("span", why, dir="auto"))
        for id, why in (advice.rows[:SHOWN] if advice.call != "use" or advice.against else ())
    ]
    return el(
        "div",
        el("p", advice.sentence, class_="verdict-says", dir="auto"),
        el("ul", reasons, class_="verdict-reasons") if reasons else None,
        el("p", "Rows to read first (", el("a", "with their lineage", href=f"#{where}"), "):", class_="note")
        if rows and where
        else None,
        el("ul", rows, class_="verdict-rows") if rows else None,
        el("p", _with_code(" ".join(advice.unknown)), class_="note") if advice.unknown else None,
        class_=f"verdict verdict-{advice.call}",
    )


def _with_code(text: str) -> list[object]:
    """Text with what stands between backticks as code."""
    return [el("code", part) if i % 2 else part for i, part in enumerate(text.split("`"))]
