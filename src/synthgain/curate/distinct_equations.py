"""Solutions of one question that reason alike (a fold)."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synthgain.curate.arithmetic import equations
from synthgain.curate.hashed import Seen
from synthgain.types import Judge, Verdict, digest, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

READ = 2_048  # characters of a solution that its edit distances see
OTHERS = 100  # solutions of a question that another one is compared with: RFT draws 100


@dataclass(frozen=True)
class DistinctEquations:
    """Keeps one solution for every distinct list of equations of a question (the rows with the same anchors).

    Which one: a question's solutions come from one draft, so they are judged together. As in RFT's code, the first stays until one with
    the same equations comes whose summed edit distance to the question's other solutions kept so far is larger; it then takes the
    place. What was decided stays decided: where a question is drawn again later (another pass of `--accept`), a solution with new
    equations stays, and one whose equations are known falls, however far it is. Solutions without any
    equation share the empty list. Rows marked `human` in their fields are the gold solutions, which RFT adds beside the sampled ones:
    they always stay and are not compared.

    A distance sees 2,048 characters, and a solution is compared with the first 100 that stay (RFT draws 100, so there it is all of them):
    a question with thousands of solutions costs in proportion to their number. A kept row takes 23 to 34 bytes of memory.
    """

    @property
    def name(self) -> str:
        return "distinct-equations"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("answer", "anchor_ids", "fields")

    def begin(self) -> Judge:
        """A judge that remembers which equations each question has."""
        known, again = Seen(), drop("same equations as another solution")

        def judge(table: pa.Table) -> Sequence[Verdict]:
            answers = [text or "" for text in table.column("answer").to_pylist()]
            paths = _paths(table, answers)
            shown = list(dict.fromkeys(path for _, path in paths.values()))
            new = dict(zip(shown, known.first(shown)))
            verdicts = [keep() if row not in paths else again for row in range(len(answers))]
            for rows in _questions({row: question for row, (question, path) in paths.items() if new[path]}):
                for i in farthest_apart([answers[row] for row in rows], [paths[row][1] for row in rows]):
                    verdicts[rows[i]] = keep()
            return verdicts

        return judge


def _paths(table: pa.Table, answers: Sequence[str]) -> dict[int, tuple[str, bytes]]:
    """Row → (its question, a digest of question and equations), for the rows that are compared."""
    found: dict[int, tuple[str, bytes]] = {}
    asked, told = table.column("anchor_ids").to_pylist(), table.column("fields").to_pylist()
    for row, (ids, fields) in enumerate(zip(asked, told)):
        if '"human"' in (fields or "") and json.loads(fields).get("human"):
            continue
        question = json.dumps(ids or [])
        found[row] = question, bytes.fromhex(digest(question, *equations(answers[row]))[:32])
    return found


def _questions(asked: dict[int, str]) -> list[list[int]]:
    """The rows of each question, in order."""
    rows: dict[str, list[int]] = {}
    for row, question in asked.items():
        rows.setdefault(question, []).append(row)
    return list(rows.values())


def farthest_apart(solutions: Sequence[str], paths: Sequence[Hashable]) -> list[int]:
    """Positions of the solutions that stay: one for each distinct path, in order of the paths' first appearance."""
    places: dict[Hashable, int] = {}
    kept: list[int] = []
    for i, path in enumerate(paths):
        if path not in places:
            places[path] = len(kept)
            kept.append(i)
            continue
        now = kept[places[path]]
        if solutions[i] == solutions[now]:
            continue
        others = [solutions[k] for k in kept[:OTHERS] if solutions[k] != solutions[now]]
        if _summed(solutions[i], others) > _summed(solutions[now], others):
            kept[places[path]] = i
    return kept


def _summed(solution: str, others: Sequence[str]) -> int:
    """The edit distances (characters put in, taken out, replaced) to the others, together."""
    from rapidfuzz.distance import Levenshtein

    return sum(Levenshtein.distance(solution[:READ], other[:READ]) for other in others)


CHECK = DistinctEquations
