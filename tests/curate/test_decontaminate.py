"""Decontamination: a shared run of words, or Indel similarity; against slow references, and on the planted leaks of the shared data."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from synthgain import curate
from synthgain.api.as_typed import typed_check
from synthgain.chain import Named
from synthgain.curate import load
from synthgain.curate.decontaminate import Decontaminate
from synthgain.settings import settings_of
from synthgain.types import SynthgainError, Verdict

EVALS = [
    ("evals.jsonl#1", "A baker makes twelve loaves in each hour of the morning and sells nine of them before noon comes. How many stay?"),
    ("evals.jsonl#2", "What is 17 * 3?"),
    ("evals.jsonl#3", ""),
]  # fmt: skip


def asked(*prompts: str) -> pa.Table:
    return pa.table({"prompt": pa.array(prompts, pa.string()), "text": pa.array(prompts, pa.string())})


def judged(check: Decontaminate, *prompts: str) -> list[Verdict]:
    return list(check.primed(lambda: EVALS).begin()(asked(*prompts)))


def test_the_two_tests_and_what_each_alone_finds() -> None:
    inside = "Read this. " + "And then more of it. " * 9 + EVALS[0][1].rsplit(".", 1)[0] + " " + "So think well. " * 20
    changed = EVALS[0][1].replace("baker", "miller").replace("each", "every").replace("nine", "eight").replace("How", "Now how")  # fmt: skip
    short = "What is 17 * 4?"
    rows = [
        inside,
        changed,
        short,
        "Name three rivers of the old province and say where each of them reaches the sea.",
        "",
    ]
    assert [v.keeps for v in judged(Decontaminate(("evals",)), *rows)] == [False, False, False, True, True]
    assert [v.keeps for v in judged(Decontaminate(("evals",), indel=0), *rows)] == [False, True, True, True, True]
    assert [v.keeps for v in judged(Decontaminate(("evals",), n=0), *rows)] == [True, False, False, True, True]
    found = judged(Decontaminate(("evals",)), *rows)
    assert found[0].reason == "shares 13 words with evals.jsonl#1"
    assert found[2].reason == "close to evals.jsonl#2" and found[2].score == pytest.approx(100 * (1 - 2 / 30), abs=0.01)


def indel(a: str, b: str) -> float:
    """100 (1 − insertions and deletions / both lengths), by the textbook's table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], before if x == y else 1 + min(row[j], row[j - 1])
    return 100 * (1 - row[-1] / (len(a) + len(b))) if a or b else 100


def test_against_textbook_distances_and_sets_of_runs() -> None:
    rng = random.Random(0)
    held = [
        " ".join(rng.choice("abcdef") * rng.randrange(1, 3) for _ in range(rng.randrange(3, 20))) for _ in range(30)
    ]
    rows = [
        " ".join(rng.choice("abcdef") * rng.randrange(1, 3) for _ in range(rng.randrange(3, 20))) for _ in range(60)
    ]
    check = Decontaminate(("s",), n=4, indel=70)
    judge = check.primed(lambda: [(str(i), text) for i, text in enumerate(held)]).begin()

    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[i : i + 4]) for i in range(len(words) - 3)}

    for text, verdict in zip(rows, judge(asked(*rows)), strict=True):
        shared = any(runs(text) & runs(item) for item in held)
        best = max(indel(text, item) for item in held)
        assert verdict.keeps == (not shared and best < 70), text
        if verdict.score is not None:
            assert verdict.score == pytest.approx(best, abs=0.01)


def test_it_refuses_without_its_sets_and_without_a_test() -> None:
    with pytest.raises(SynthgainError, match="not read"):
        Decontaminate(("a",)).begin()
    for settings in ({"n": 0, "indel": 0.0}, {"n": -1}, {"indel": 101.0}):
        with pytest.raises(SynthgainError):
            Decontaminate(("a",), **settings)  # type: ignore[arg-type]


def test_from_the_command_as_typed_and_judged_again(tmp_path: Path) -> None:
    evals, rows = tmp_path / "evals.jsonl", tmp_path / "rows.jsonl"
    evals.write_text(json.dumps({"question": EVALS[0][1], "answer": "3"}) + "\n", "utf-8")
    said = [
        {"question": EVALS[0][1] + " Say it.", "answer": "3"},
        {"question": "Which lake is deepest?", "answer": "Tarn"},
    ]
    rows.write_text("".join(json.dumps(row) + "\n" for row in said), "utf-8")
    run = curate(rows, out=tmp_path / "run", with_=[f"decontaminate={evals}"])
    assert run.record["dropped_by"] == {"decontaminate": 1}
    assert curate(run).record["dropped_by"] == {"decontaminate": 1}
    with pytest.raises(SynthgainError, match="no set is named"):
        curate(rows, out=tmp_path / "other", with_=["decontaminate"])
    evals.write_text(json.dumps({"question": "Another?", "answer": "3"}) + "\n", "utf-8")
    with pytest.raises(SynthgainError, match="has changed since"):
        curate(run)


SHARED = Path("/work/shared/data")
PLANTED = SHARED / "dedup/planted_contamination.jsonl.gz"


def read(file: Path) -> list[dict[str, object]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.skipif(not PLANTED.is_file(), reason="the shared planted leaks are not here")
def test_planted_leaks_as_questions_are_found_and_clean_ones_stay() -> None:
    """Questions of three evaluation sets, verbatim and changed; and questions that are in none of them."""
    planted = [row for row in read(PLANTED) if row["contaminated"]]
    sets = ("reasoning/gsm8k_test_first_half", "qa/arc_easy_test", "qa/mmlu_test")
    items = [(name, str(row["question"])) for name in sets for row in read(SHARED / f"{name}.jsonl.gz")]
    clean = [str(row["question"]) for row in read(SHARED / "reasoning/gsm8k_train.jsonl.gz")[:500]]
    judge = Decontaminate(("s",)).primed(lambda: items).begin()
    found: dict[str, list[bool]] = {}
    for row, verdict in zip(planted, judge(asked(*(str(row["inserted"]) for row in planted))), strict=True):
        found.setdefault(str(row["kind"]), []).append(not verdict.keeps)
    share = {kind: sum(one) / len(one) for kind, one in found.items()}
    assert share["verbatim_question"] == 1.0
    assert min(share["edit10"], share["format_changed"], share["numbers_changed"]) > 0.9
    alarms = [verdict.reason for verdict in judge(asked(*clean)) if not verdict.keeps]
    assert len(alarms) <= 5, alarms


@pytest.mark.parametrize("spec", ["decontaminate=a.jsonl,b.jsonl:n=8,indel=0", "against:sets=a.jsonl,threshold=0.8", "broken-question", "random=5"])  # fmt: skip
def test_a_check_is_typed_so_that_it_is_read_back(spec: str) -> None:
    check = load(spec)
    option, typed = typed_check(Named(check.name, settings_of(check)))
    assert option == "--with" and load(typed) == check
