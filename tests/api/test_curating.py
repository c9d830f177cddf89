"""Judging again: nothing asked changes nothing, on every kind of run; a run folder executes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from synthgain import Run, Scripted, curate, generate, report
from synthgain.cli.printing import print_close
from synthgain.recipes import load
from synthgain.types import (
    Anchor,
    CallFailed,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    Verdict,
    drop,
    keep,
    user,
)

DOCUMENTS = [f"Document number {i} says that mill {i} has {i} wheels and no lamp." for i in range(60)]
RARE = """
from synthgain.types import *

class Rare:
    name = "rare"
    def __call__(self, row, anchors):
        return keep() if int(row.fields["n"]) % 10 == 0 else drop("common")

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),)))
    yield Row(text=call.text, calls=(call,), fields={"n": int(anchor.text.split()[-1])})

RECIPE = Recipe("rare-ones", "1", draft, checks=(Rare(),))
"""


@dataclass(frozen=True)
class Odd:
    """A check of the test's own, with a setting."""

    least: int = 1
    name: str = "odd"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        return keep() if len(row.answer.split()) % 2 == self.least else drop("even")


def seen(run: Run) -> dict[str, Any]:
    """All that is said of a run, and all of its rows, without what a clock says."""
    record = {k: v for k, v in run.record.items() if k not in ("curated", "finished", "python")}
    record["counts"] = {
        k: v for k, v in record["counts"].items() if not k.startswith("calls_")
    }  # what this command bought
    rows = [row for shard in run.shards() for row in shard.to_pylist()]
    data = sorted(file.read_bytes() for file in run.data.glob("*.parquet"))
    return {"record": record, "rows": rows, "data": data, "broken": list(run.broken())}


def complete(out: Path) -> Run:
    return generate("rephrase", DOCUMENTS, model="scripted/words?n=30", out=out, knobs={"styles": ("easy", "qa")})


def with_other_checks(out: Path) -> Run:
    return generate(
        "rephrase",
        DOCUMENTS,
        model="scripted/words?n=30",
        out=out,
        with_=["length=31", "near-duplicate:threshold=0.4"],
        without=["preamble"],
    )


def accepted(out: Path) -> Run:
    return generate("rephrase", DOCUMENTS, model="scripted/words?n=30", out=out, accept=35)


def stopped_at_a_budget(out: Path) -> Run:
    with pytest.raises(SynthgainError) as error:
        generate("rephrase", DOCUMENTS, model="scripted/words?n=30", out=out, max_tokens=9_000)
    assert error.value.code == 3
    return Run(out)


def with_failed_calls(out: Path) -> Run:
    def reply(prompt: Prompt) -> str:
        if "mill 7 " in prompt.content and "scholar" in prompt.content:
            raise CallFailed("the server refused it")
        return " ".join(prompt.messages[-1]["content"].split()[:12])

    return generate("rephrase", DOCUMENTS, model=Scripted(reply), out=out)


def with_human_rows(out: Path) -> Run:
    questions = [
        {"text": f"What is {i} + 1?", "answer": str(i + 1), "worked": f"{i} + 1 = {i + 1}\nAnswer: {i + 1}"}
        for i in range(40)
    ]
    with pytest.raises(SynthgainError):
        generate(
            "rft", questions, model=Scripted(lambda p: "Answer: 3", width=2), out=out, knobs={"k": 8}, max_tokens=8_000
        )
    return Run(out)


KINDS: list[Callable[[Path], Run]] = [
    complete,
    with_other_checks,
    accepted,
    stopped_at_a_budget,
    with_failed_calls,
    with_human_rows,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_curate_without_options_changes_nothing(kind: Callable[[Path], Run], tmp_path: Path) -> None:
    before = seen(kind(tmp_path / "run"))
    after = seen(curate(tmp_path / "run"))
    assert before["rows"] and after["rows"] == before["rows"]
    assert after["record"] == before["record"]
    assert after["data"] == before["data"] and after["broken"] == before["broken"]


def test_another_judgement_is_in_the_record_and_in_the_command(tmp_path: Path) -> None:
    run = generate("rephrase", _texts(tmp_path), model="scripted/words?n=30", out=tmp_path / "run", with_=["length=31"])
    assert run.record["counts"]["kept"] == 0 and "--with length:" in run.record["command"]
    again = curate(run, without=["length"])
    assert again.record["counts"]["kept"] == len(DOCUMENTS) * 4
    assert [c["name"] for c in again.record["recipe"]["checks"]] == [
        "empty",
        "truncated",
        "preamble",
    ] or "length" not in str(again.record["recipe"]["checks"])
    assert "--with" not in again.record["command"]
    assert seen(curate(again))["rows"] == seen(again)["rows"]


def test_fewer_are_chosen_from_all_that_was_bought(tmp_path: Path) -> None:
    run = complete(tmp_path / "run")
    few = curate(run, accept=5)
    assert few.record["counts"]["rows"] == 120 and few.record["counts"]["kept"] == 5
    assert few.record["dropped_by"]["accept"] == 115
    assert few.record["status"] == "complete"


@pytest.mark.parametrize("kind", [complete, accepted], ids=lambda kind: kind.__name__)
def test_nothing_asked_after_fewer_were_asked_for_changes_nothing(kind: Callable[[Path], Run], tmp_path: Path) -> None:
    before = kind(tmp_path / "run").record["counts"]
    few = seen(curate(tmp_path / "run", accept=2))
    assert few["record"]["counts"]["rows"] == before["rows"] and few["record"]["counts"]["kept"] == 2
    assert seen(curate(tmp_path / "run")) == few == seen(curate(tmp_path / "run"))
    assert curate(tmp_path / "run", accept=1000).record["counts"]["rows"] == before["rows"]


def test_a_run_with_a_limit_of_candidates_keeps_its_rows(tmp_path: Path) -> None:
    (tmp_path / "rare.py").write_text(RARE)
    run = generate(
        tmp_path / "rare.py",
        [f"anchor {i}" for i in range(1000)],
        model="scripted/echo",
        out=tmp_path / "run",
        accept=20,
        max_candidates=400,
    )
    before = seen(run)
    assert run.record["counts"]["kept"] == 20
    assert seen(curate(run, recipe=tmp_path / "rare.py"))["rows"] == before["rows"]


def test_a_run_folder_executes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that is a file must be given again, and must be the same; a path in a record is never opened."""
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "executed"
    run = generate("rephrase", DOCUMENTS[:2], model="scripted/echo", out="got/run")
    evil = Path("got/run/data/recipe.py")
    evil.write_text(f"open({str(marker)!r}, 'w')\nfrom synthgain.recipes.rephrase import RECIPE\n")
    record = run.record
    record["request"]["recipe"] |= {"file": str(evil), "sha256": "0" * 64}
    run.write_record(record)
    with pytest.raises(SynthgainError, match="executes nothing") as error:
        curate("got/run")
    assert error.value.code == 2 and not marker.exists()
    record["request"]["recipe"] = {"name": "rephrase", "settings": record["recipe"]["knobs"]}
    record["request"]["checks"] = [{"name": "mine", "file": str(evil), "sha256": "0" * 64}]
    run.write_record(record)
    with pytest.raises(SynthgainError, match="executes nothing"):
        curate("got/run")
    assert not marker.exists()


def test_a_recipe_that_is_given_is_the_only_one_that_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a name that is a path, nor the path of a file beside the one that was given, is opened."""
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "executed"
    Path("text.txt").write_text(DOCUMENTS[0])
    Path("mine.py").write_text("from synthgain.recipes.rephrase import RECIPE\n")
    run = generate("./mine.py", "text.txt", model="scripted/echo", out="got/run")
    evil = Path("got/run/data/recipe.py")
    evil.write_text(f"open({str(marker)!r}, 'w')\nfrom synthgain.recipes.rephrase import RECIPE\n")
    record = run.record
    record["request"]["recipe"] |= {"file": str(evil)}
    run.write_record(record)
    assert curate("got/run", recipe="./mine.py").record["counts"]["kept"] == 4
    assert curate("got/run", recipe=load("rephrase")).record["counts"]["kept"] == 4
    assert not marker.exists()
    record["request"]["recipe"] = {"name": str(evil), "settings": record["recipe"]["knobs"]}
    run.write_record(record)
    with pytest.raises(SynthgainError, match="executes nothing") as error:
        curate("got/run")
    assert error.value.code == 2 and not marker.exists()


@dataclass(frozen=True)
class Reading:
    """A fold that reads vectors."""

    name: str = "reading"
    columns: tuple[str, ...] = ("vector",)

    def begin(self) -> Any:
        return lambda table: [keep()] * len(table)


def test_a_record_reaches_no_server(tmp_path: Path) -> None:
    """An embedder that a run folder names would get its texts, and the key."""
    run = generate("rephrase", DOCUMENTS[:2], model="scripted/echo", out=tmp_path / "run")
    record = run.record
    record["request"]["embedder"] = "openai/e@http://127.0.0.1:9/v1"
    run.write_record(record)
    with pytest.raises(SynthgainError, match="reaches no server") as error:
        curate(run, with_=[Reading()])
    assert error.value.code == 2


def test_a_recipe_that_is_a_file_is_given_again_and_compared(tmp_path: Path) -> None:
    file = tmp_path / "rare.py"
    file.write_text(RARE)
    run = generate(file, [f"anchor {i}" for i in range(30)], model="scripted/echo", out=tmp_path / "run")
    with pytest.raises(SynthgainError, match="executes nothing") as error:
        curate(run)
    assert f"--recipe {file}" in error.value.next
    assert curate(run, recipe=file).record["counts"]["kept"] == 3
    file.write_text(RARE.replace("10 == 0", "5 == 0"))
    with pytest.raises(SynthgainError, match="has changed"):
        curate(run, recipe=file)


HOSTILE: list[tuple[str, Any]] = [
    ("request.recipe.settings", 5),
    ("request.recipe.settings", "x"),
    ("request.recipe.settings", {"evil": 1}),
    ("request.recipe.name", ["a"]),
    ("request.checks.0.name", "../../x"),
    ("request.checks.0.name", {}),
    ("request.checks.0.settings", []),
    ("request.checks.0.settings", None),
    ("request.models.writer.uri", 5),
    ("request.accept", "x"),
    ("request.accept", -1),
    ("request.accept", 1e308),
    ("request.collapse", 5),
    ("request.seed", None),
    ("request.surprise", 1),
    ("models", 5),
    ("models.writer", 5),
    ("models", {"a": "b"}),
    ("identities", {}),
    ("counts", []),
    ("counts.rows", "many"),
    ("tokens.in", 10**400),
    ("cost_usd", 10**400),
    ("seconds", {}),
    ("recipe", None),
]


@pytest.mark.parametrize(("place", "value"), HOSTILE, ids=str)
def test_a_record_that_says_what_no_run_writes_is_refused_in_words(place: str, value: Any, tmp_path: Path) -> None:
    run = generate("rephrase", DOCUMENTS[:2], model="scripted/echo", out=tmp_path / "run")
    record = run.record
    *path, last = place.split(".")
    within: Any = record
    for name in path:
        within = within[int(name) if name.isdigit() else name]
    within[last] = value
    run.write_record(record)
    if place == "recipe":  # what `request` says is enough
        assert curate(run).record["recipe"]["name"] == "rephrase"
        return
    with pytest.raises(SynthgainError) as error:
        curate(run)
    assert error.value.code == 2 and error.value.next and run.record == record


def test_a_path_that_is_no_text_is_in_the_record(tmp_path: Path) -> None:
    """Linux has file names that are not UTF-8; Python holds them as half surrogate pairs."""
    try:
        place = tmp_path / os.fsdecode(b"texts-\xff.txt")
        place.write_text(DOCUMENTS[0])
    except OSError:
        pytest.skip("this disk has no such names")
    run = generate("rephrase", place, model="scripted/echo", out=tmp_path / "run")
    assert run.record["request"]["anchors"] == str(place)
    assert seen(curate(run))["rows"] == seen(run)["rows"]


def test_checks_and_knobs_of_ones_own_are_named_and_asked_for_again(tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(Prompt((user(anchor.text),), sampling=Sampling(temperature=0.5)))
        yield Row(text=call.text, calls=(call,))

    own = Recipe("own", "1", draft)
    run = generate(own, ["one two", "one two three"], model="scripted/echo", out=tmp_path / "run", with_=[Odd(least=0)])
    assert run.record["recipe"]["checks"] == [
        {"name": "odd", "settings": {"least": 0, "name": "odd"}, "verifies": False}
    ]
    assert run.record["counts"]["kept"] == 1 and json.loads(json.dumps(run.record)) == run.record
    with pytest.raises(SynthgainError, match="object of Python"):
        curate(run, recipe=own)
    assert curate(run, recipe=own, with_=[Odd(least=1)]).record["request"]["checks"][0]["settings"]["least"] == 1
    assert curate(run, recipe=own, without=["odd"]).record["counts"]["kept"] == 2


def _texts(folder: Path) -> Path:
    place = folder / "texts.jsonl"
    place.write_text("".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS))
    return place


def test_what_fewer_calls_took_stands_beside_what_the_run_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = complete(tmp_path / "run")
    whole = dict(run.record)
    less = curate(run, knobs={"styles": ("easy",)}).record
    assert less["tokens"] == whole["tokens"] and less["replayed"]["tokens"]["out"] * 2 == whole["tokens"]["out"]
    print_close(less, run.path, False)
    told = capsys.readouterr().out
    for tokens in (whole["tokens"], less["replayed"]["tokens"]):
        assert f"{tokens['out']:,} out" in told
    for text in ((run.data / "README.md").read_text("utf-8"), report(run).read_text("utf-8")):
        assert "for the calls that these rows need" in text
    assert "nothing was bought" in told and "these rows need 60 of its calls" in told
    assert curate(run).record["replayed"] == less["replayed"]
    assert "replayed" not in curate(run, knobs={"styles": ("easy", "qa")}).record


def test_an_interrupted_run_that_is_judged_again_is_so_far_of_all_its_groups(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="budget"):
        few = Scripted(lambda prompt: "The mill stands.", width=2)
        generate("rephrase", DOCUMENTS, model=few, out=tmp_path / "run", max_tokens=4_000)
    run = Run(tmp_path / "run")
    seen = []
    curate(run, watch=lambda tally: seen.append((tally.groups_done, tally.groups_total)))
    assert run.record["status"] == "stopped" and run.count("groups") < 60
    assert {total for _, total in seen} == {60} and seen[-1][0] < 60
