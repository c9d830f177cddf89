"""The curation ledger of a run: the order of its checks, and what its rows say of prompts."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

import synthgain as sg
from synthgain import api
from synthgain.api import sources
from synthgain.api.sources import by_prompt, ledger
from synthgain.curate.longest import Longest
from synthgain.intervals import effective_size
from synthgain.measure.curation import curation, kept_share
from synthgain.measure.data import Data, Step
from synthgain.report.verdict import Known, advise, verifiers
from synthgain.types import Anchor, Row, Verdict, drop, keep


def record(dropped_by: dict[str, int], *checks: str, rows: int = 100) -> dict[str, Any]:
    told = [{"name": name, "settings": {}} for name in checks]
    return {"counts": {"rows": rows}, "dropped_by": dropped_by, "recipe": {"checks": told}}


def lines(*steps: tuple[str, int, int]) -> tuple[Step, ...]:
    return tuple(Step(*step) for step in steps)


def test_checks_stand_in_the_order_in_which_they_judged() -> None:
    held = record({"too-short": 30, "equations": 20}, "equations", "empty", "too-short")
    assert ledger(held) == lines(("equations", 100, 80), ("too-short", 80, 50))


def test_drafts_own_refusals_come_first_and_accept_last() -> None:
    held = record({"accept": 5, "near-duplicate": 10, "language": 20, "parse": 3}, "language", "near-duplicate")
    assert [step.check for step in ledger(held)] == ["parse", "language", "near-duplicate", "accept"]
    assert [step.kept for step in ledger(held)] == [97, 77, 67, 62]


def test_names_are_names_and_not_what_looks_like_them() -> None:
    held = record({"too_short": 1, "TooShort": 2, "too-short": 3}, "too-short", "too_short")
    assert [step.check for step in ledger(held)] == ["TooShort", "too-short", "too_short"]


def test_where_nothing_fell_there_is_one_line() -> None:
    assert ledger(record({}, "language")) == lines(("none", 100, 100))
    assert by_prompt(ledger(record({})), written([(f"q{i % 10}", "") for i in range(100)]))[1].prompts == 10


def written(rows: list[tuple[str, str]]) -> list[tuple[str, str, bool]]:
    return [(*row, True) for row in rows]


def test_what_no_model_wrote_is_no_candidate() -> None:
    steps = ledger(record({"final-answer": 3}, "final-answer", rows=5))
    rows = [("q", "final-answer", True)] * 3 + [("q", "", False)] * 2
    found, judged = by_prompt(steps, rows)
    assert (found[0].seen, found[0].kept, judged.seen, judged.kept) == (3, 0, 3, 0)
    given = by_prompt(steps, [(unit, check, False) for unit, check, _ in rows])[1]  # nobody's calls are known
    assert (given.seen, given.kept) == (5, 2)


def test_human_solutions_are_not_counted_as_the_writers(tmp_path: Path) -> None:
    """rft adds the human solution of each question; a writer that is never right has none right."""
    problems = [
        {"question": f"What is {i} and {i}?", "answer": str(2 * i), "worked": f"{i} + {i} = {2 * i}\nAnswer: {2 * i}"}
        for i in range(2, 8)
    ]
    run = sg.generate("rft", problems, model="scripted/echo", out=tmp_path / "r", knobs={"k": 3}, text_field="question")
    assert (run.record["counts"]["kept"], run.record["counts"]["rows"]) == (6, 24)
    found = {r.name: r for r in sg.measure(run)}
    assert found["right_share"].value == 0 and found["kept_share"].value == 0
    assert found["curation_nats"].value is None and found["curation_nats"].note


@dataclass(frozen=True)
class Odd:
    """Somebody's own check: an answer is right where its number is odd."""

    lenient: bool = False
    name: ClassVar[str] = "odd"
    verifies: ClassVar[bool] = True

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        return keep() if self.lenient or row.answer[-1] in "13579" else drop("even")


NUMBERS = [{"question": f"Which number follows {i}?", "answer": str(i + 1)} for i in range(20)]


def follower(prompt: sg.Prompt) -> str:
    number = int(prompt.messages[-1]["content"].split("follows ")[1].split("?")[0])
    return f"It follows at once.\nAnswer: {number + 1}"


@pytest.mark.parametrize(("lenient", "share"), [(False, 0.5), (True, 1.0)])
def test_a_check_says_itself_that_it_verifies_answers(tmp_path: Path, lenient: bool, share: float) -> None:
    """Only two names were known; and a verifier that found every answer right was taken for none."""
    how = {"knobs": {"k": 1, "gold": False}, "without": ["all"], "text_field": "question"}
    made = sg.generate(
        "rft", NUMBERS, model=sg.Scripted(follower), out=tmp_path / "r", with_=[Odd(lenient), Longest()], **how
    )
    checks = {check["name"]: check.get("verifies") for check in made.record["recipe"]["checks"]}
    assert checks == {"odd": True, "longest": False}
    found = {r.name: r for r in sg.measure(made)}["right_share"]
    assert found.value == share and found.n == 20 and "by the check odd" in found.note
    assert found.low is not None and found.low < share


def test_what_was_recorded_before_checks_said_so_is_known_of_shipped_ones() -> None:
    steps = ledger(record({"final-answer": 40, "equations": 20}, "equations", "final-answer", "mine"))
    assert [step.check for step in steps if step.verifies] == ["final-answer"]
    assert [step.check for step in ledger(record({"equations": 20}, "equations", "unit-tests"))] == [
        "equations",
        "unit-tests",
    ]


@dataclass(frozen=True)
class Sql:
    """Somebody's own check by the name of a shipped one: it verifies nothing."""

    name: ClassVar[str] = "sql"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        return keep()


def test_a_check_of_ones_own_by_the_name_of_a_verifier_is_none(tmp_path: Path) -> None:
    """The ledger went by the shipped check of that name, the verdict by the record."""
    how = {"knobs": {"k": 1, "gold": False}, "without": ["all"], "text_field": "question"}
    made = sg.generate("rft", NUMBERS, model=sg.Scripted(follower), out=tmp_path / "r", with_=[Sql()], **how)
    told = {r.name: r for r in sg.measure(made)}
    assert told["right_share"].value is None and verifiers(made.record) == []
    (check,) = made.record["recipe"]["checks"]
    before = {**made.record, "recipe": {"checks": [{k: v for k, v in check.items() if k != "verifies"}]}}
    assert verifiers(before) == [] and not any(step.verifies for step in ledger(before))  # the request says whose it is


def test_the_ledger_and_the_verdict_read_one_answer() -> None:
    """Of a run of before `final-answer` counted for the ledger, and the verdict said that no rule looked."""
    held = record({"final-answer": 40}, "equations", "final-answer", "mine", "sql")
    assert verifiers(held) == ["final-answer", "sql"] == [step.check for step in ledger(held) if step.verifies]
    doubts = advise(Known({}, {**held, "status": "complete"}, 100, 60, task="answers")).against
    assert "no rule looked at whether its answers are right" not in doubts
    for check in held["recipe"]["checks"]:
        check["verifies"] = check["name"] == "mine"
    assert verifiers(held) == ["mine"] == [step.check for step in ledger(held) if step.verifies]


def test_a_majority_or_a_form_verifies_nothing() -> None:
    assert {c["name"] for c in api.list_checks() if c["verifies"]} == {
        "final-answer",
        "instructions",
        "sql",
        "unit-tests",
    }


def test_without_a_verifier_it_is_said_how_to_have_one(tmp_path: Path) -> None:
    made = sg.generate(
        "rft",
        NUMBERS,
        model=sg.Scripted(follower),
        out=tmp_path / "r",
        without=["all"],
        text_field="question",
        knobs={"gold": False, "k": 1},
    )
    found = {r.name: r for r in sg.measure(made)}["right_share"]
    assert found.value is None and "synthgain curate RUN --with CHECK" in found.note
    judged = {r.name: r for r in sg.measure(sg.curate(made, with_=["final-answer"]))}["right_share"]
    assert judged.value == 1.0 and judged.n == 20


def run(prompts: int, draws: tuple[int, ...], seed: int = 0) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    rows = []
    for i in range(prompts):
        hard = rng.betavariate(0.3, 1.1)
        for _ in range(rng.choice(draws)):
            fell = "parse" if rng.random() < 0.2 else "" if rng.random() < hard else "final-answer"
            rows.append((f"q{i}", "accept" if not fell and rng.random() < 0.1 else fell))
    rng.shuffle(rows)  # a question's rows need not lie side by side
    return rows


@pytest.mark.parametrize("draws", [(8,), (1, 3, 8)])
def test_counts_by_prompt_are_those_of_a_plain_count(draws: tuple[int, ...]) -> None:
    rows = run(60, draws)
    steps = ledger(record(dict(Counter(c for _, c in rows if c)), "final-answer", rows=len(rows)))
    found, judged = by_prompt(steps, written(rows))
    order = ["parse", "final-answer", "accept"]
    for at, step in enumerate(found):
        seen = Counter(unit for unit, check in rows if check not in order[:at])
        kept = Counter(unit for unit, check in rows if check not in order[: at + 1])
        size = effective_size([kept[unit] for unit in seen], list(seen.values()))
        assert (step.check, step.seen, step.kept) == (order[at], sum(seen.values()), sum(kept.values()))
        assert (step.prompts, step.size) == (len(seen), pytest.approx(size))
    all_of, through = Counter(u for u, _ in rows), Counter(u for u, c in rows if c in ("", "accept"))
    size = effective_size([through[unit] for unit in all_of], list(all_of.values()))
    assert (judged.seen, judged.kept, judged.prompts) == (len(rows), sum(through.values()), 60)
    assert judged.size == pytest.approx(size) and size < len(rows) / 2
    data = Data.of(["x"], ledger=found)
    share = kept_share(Data(data.rows, 1, data.anchors, 0, ledger=found, judged=judged))
    assert share.n == 60 and share.value == judged.kept / judged.seen
    assert all(
        "not known" not in r.note for r in curation(Data(data.rows, 1, data.anchors, 0, ledger=found, judged=judged))
    )


def test_more_prompts_than_are_told_apart_give_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run(6_000, (8,))
    steps = ledger(record(dict(Counter(c for _, c in rows if c)), "final-answer", rows=len(rows)))
    one_by_one = by_prompt(steps, written(rows))[1]
    monkeypatch.setattr(sources, "PROMPTS", 1_000)
    summed = by_prompt(steps, written(rows))[1]
    assert (summed.seen, summed.kept) == (one_by_one.seen, one_by_one.kept) and summed.prompts == 1_000
    assert summed.size == pytest.approx(one_by_one.size, rel=0.15)


def test_rows_that_are_not_the_ledgers_are_refused() -> None:
    steps = ledger(record({"a": 1}, "a", rows=2))
    by_prompt(steps, written([("q", "a"), ("q", "")]))
    for rows in ([("q", ""), ("q", "")], [("q", "a")], [("q", "a"), ("q", ""), ("q", "")]):
        with pytest.raises(ValueError, match="not those of the ledger"):
            by_prompt(steps, written(rows))
