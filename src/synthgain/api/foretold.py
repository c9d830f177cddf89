"""What was known of each arm's texts before any student was trained, beside what students learned from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgain.evaluate import Solved, margin_difference
from synthgain.intervals import wilson
from synthgain.store import Run, read_readings
from synthgain.types import Reading

BETTER: Mapping[str, int] = {"answer_coverage": 1, "grounded": 1, "copy_rate": -1, "proxy_gain": 1, "delta_I": 1}
# readings that are set beside what was learned, and whether more (1) or less (−1) of it is said to be better


@dataclass(frozen=True)
class Foretold:
    """Readings by arm, made before training: of what it reads besides the documents; of the one that repeats them, of the documents."""

    read: Mapping[str, tuple[Reading, ...]]

    @classmethod
    def of(
        cls,
        runs: Mapping[str, Run],
        documents: Sequence[str],
        questions: Sequence[Mapping[str, Any]],
        repeated: str = "repeated",
    ) -> Foretold:
        """Of runs that were measured."""
        found: dict[str, tuple[Reading, ...]] = {repeated: (coverage(documents, questions),)}
        for name, run in runs.items():
            texts = [text for shard in run.kept(["text"]) for text in shard.column("text").to_pylist()]
            known = {r.name: r for r in read_readings(run.path)}
            found[name] = (coverage(texts, questions), *(known[one] for one in BETTER if one in known))
        return cls(found)

    def line(self, arm: str, rows: int) -> str:
        """What is said of an arm before it is trained."""
        said = [f"{r.name} {r.value:.2f}" for r in self.read[arm] if r.value is not None]
        return f"{arm}: {rows} texts; {', '.join(said)}"


def coverage(texts: Sequence[str], questions: Sequence[Mapping[str, Any]]) -> Reading:
    """Share of questions whose right option stands, word for word, in the texts.

    Exact, and no more than a hint: a fact may be there in other words, and the right words may stand in a wrong sentence.
    """
    whole = "\n".join(texts).lower()
    found = sum(str(q["options"][q["gold"]]).lower() in whole for q in questions)
    low, high = wilson(found, len(questions))
    return Reading(
        "answer_coverage",
        found / len(questions),
        low,
        high,
        unit="prob",
        n=len(questions),
        estimator="right option found verbatim; Wilson",
        kind="exact",
    )


def foretold_json(before: Foretold, learned: Mapping[str, Solved], repeated: str) -> dict[str, Any]:
    """{"arms": what was said of each arm and what its students gained over repetition, "said": sentences that hold one against the other}."""
    base = learned.get(repeated)
    arms = []
    gained: dict[str, Reading] = {}
    for name, read in before.read.items():
        gain = margin_difference(learned[name], base) if base and name in learned and name != repeated else None
        if gain is not None:
            gained[name] = gain
        arms.append({"name": name, "before": [r.json() for r in read], "learned": gain.json() if gain else None})
    return {"arms": arms, "said": _sentences(before, gained)}


def _sentences(before: Foretold, gained: Mapping[str, Reading]) -> list[str]:
    """Which arm each reading put first, against the one that students learned most from."""
    if len(gained) < 2:
        return []
    most = max(gained, key=lambda name: gained[name].value or 0.0)
    apart = [name for name, gain in gained.items() if gain.low is not None and gain.low > 0]
    if not apart:
        return [
            f"No arm taught more than repetition with an interval above zero (most: {most}, {gained[most].value:+.2f} nats): "
            "what the meter said before has nothing to be held against."
        ]
    said = [
        f"Students learned more than from repetition, with an interval above zero, from {', '.join(apart)}; most from {most} "
        f"({gained[most].value:+.2f} nats)."
    ]
    agree: list[tuple[str, str]] = []
    differ: list[tuple[str, str]] = []
    for reading, sign in BETTER.items():
        values = {
            name: sign * r.value
            for name in gained
            for r in before.read[name]
            if r.name == reading and r.value is not None
        }
        if len(values) < 2:
            continue
        first = max(values, key=values.__getitem__)
        (agree if first == most else differ).append((reading, first))
    if agree:
        said.append(f"Before training {', '.join(r for r, _ in agree)} put it first too.")
    if differ:
        said.append(
            "Before training "
            + ", ".join(f"{r} put {first} first" for r, first in differ)
            + ": there the meter and the students disagree."
        )
    return said
