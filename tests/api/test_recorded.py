"""Recorded calls through Python: whose they are, what they cost, what is bought beside them, what a preview says of both."""

import gzip
import json
from collections.abc import AsyncIterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from synthgain.api import preview
from synthgain.api.looping import RunMaker
from synthgain.models.known import KNOWN
from synthgain.models.prices import Price
from synthgain.types import Anchor, Call, ModelInfo, Models, Prompt, Recipe, Row, SynthgainError, user

TEXTS = [f"Mill {n} of Orrin has {n} wheels, and the town lies on a lake. " * (10 + n) for n in range(3)]
WORDS = "scripted/words?n=30"
HASH = "0" * 64


class Elsewhere(sg.Scripted):
    """A model whose weights lie on another machine."""

    def __init__(self, uri: str = "local/gone.gguf", identity: str = f"{HASH}/template-1") -> None:
        super().__init__(lambda prompt: f"An answer of {uri}.", identity=identity)
        self.named = uri

    @property
    def uri(self) -> str:
        return self.named


class Sold(sg.Scripted):
    """A model that costs a dollar a token."""

    price = Price(1e6, 1e6)

    async def __call__(self, prompt: Prompt) -> Call:
        from dataclasses import replace

        call = await super().__call__(prompt)
        return replace(call, cost=float(call.tokens_in + call.tokens_out))


def recorded(folder: Path, model: Any, texts: Sequence[str] = TEXTS, recipe: Any = "rephrase", **options: Any) -> Path:
    """A file with the calls of a run."""
    run = sg.generate(recipe, texts, model=model, out=folder / "first", **options)
    return sg.export(run, to="calls", out=folder / "first.jsonl.gz")[0]


def counts(run: sg.Run) -> tuple[int, int, int]:
    held = run.record["counts"]
    return held["calls_bought"], held["calls_reused"], held["calls_recorded"]


# ---------------------------------------------------------------------------------------------- what is in a file


def test_what_the_rows_were_made_with_is_written_or_all(tmp_path: Path) -> None:
    for styles in (("easy",), ("hard", "qa")):
        run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "run", knobs={"styles": styles}, replace=True)
    file, came = sg.export(run, to="calls", out=tmp_path / "some.jsonl.gz")
    assert (came.written, came.left_out) == (6, 3) and file == tmp_path / "some.jsonl.gz"
    file, came = sg.export(run, to="calls", all=True)
    assert (came.written, came.left_out) == (9, 0) and file.name == "calls.jsonl.gz"


def test_calls_that_no_row_names_are_written_too(tmp_path: Path) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        plan = await models(Prompt((user(f"Plan: {anchor.text[:20]}"),)))
        call = await models(Prompt((user(f"Write: {plan.text[:20]}"),)))
        yield Row(text=call.text, calls=(call,))

    planned = Recipe("planned", "1", draft)
    file = recorded(tmp_path, WORDS, recipe=planned)
    run = sg.generate(planned, TEXTS, model=WORDS, out=tmp_path / "again", calls=file, calls_only=True)
    assert counts(run) == (0, 0, 6)


# ---------------------------------------------------------------------------------------------- whose they are


def test_weights_that_are_not_here_are_known_by_the_recording(tmp_path: Path) -> None:
    file = recorded(tmp_path, Elsewhere())
    with gzip.open(file, "rt") as lines:
        (model,) = json.loads(next(lines))["models"]
    assert model == {"uri": "local/gone.gguf", "identity": f"{HASH}/template-1", "sha256": HASH}
    run = sg.generate("rephrase", TEXTS, model="local/gone.gguf", out=tmp_path / "again", calls=file, calls_only=True)
    assert counts(run) == (0, 0, 12) and run.record["identities"] == {"writer": f"{HASH}/template-1"}


@pytest.mark.parametrize("calls_only", [True, False])
def test_known_weights_are_not_fetched_for_what_is_recorded(
    calls_only: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    name = "qwen2.5-coder-1.5b"
    file = recorded(tmp_path, Elsewhere(f"local/{name}", KNOWN[name].identity))
    run = sg.generate("rephrase", TEXTS, model=f"local/{name}", out=tmp_path / "b", calls=file, calls_only=calls_only)
    assert counts(run) == (0, 0, 12) and run.record["licences"] == {f"local/{name}": KNOWN[name].licence}
    assert not [path for path in (tmp_path / "cache").glob("**/*") if path.suffix in (".gguf", ".bin")]


def test_what_a_recorded_models_licence_asks_of_the_data_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Bound(Elsewhere):
        async def info(self) -> ModelInfo:
            return ModelInfo(self.uri, licence="gemma")

    file = recorded(tmp_path, Bound("mine/bound", "bound"))
    model = Elsewhere("mine/bound", "bound")
    run = sg.generate("rephrase", TEXTS, model=model, out=tmp_path / "b", calls=file, calls_only=True)
    assert "gemma" in capsys.readouterr().err.lower()
    assert "Gemma" in (run.data / "README.md").read_text("utf-8").split("## Models and licences")[1]


def test_a_model_is_called_in_a_file_as_it_is_now(tmp_path: Path) -> None:
    """Bought from a file by its path, and asked for by its name when the recording is written."""
    sg.generate("rephrase", TEXTS, model=Elsewhere("local//tmp/some.gguf"), out=tmp_path / "first")
    file = recorded(tmp_path, Elsewhere("local/known"))
    with gzip.open(file, "rt") as lines:
        assert [model["uri"] for model in json.loads(next(lines))["models"]] == ["local/known"]


@pytest.mark.parametrize("calls_only", [True, False])
def test_a_recording_of_another_model_is_refused_before_anything(calls_only: bool, tmp_path: Path) -> None:
    file = recorded(tmp_path, Elsewhere())
    with pytest.raises(SynthgainError, match=r"no answer of scripted/echo .*answers of local/gone\.gguf") as error:
        sg.generate("rephrase", TEXTS, model="scripted/echo", out=tmp_path / "b", calls=file, calls_only=calls_only)
    assert str(file) in error.value.where and "-m local/gone.gguf" in error.value.next
    assert not (tmp_path / "b").exists()


def test_other_weights_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    file = recorded(tmp_path, Elsewhere())
    with pytest.raises(SynthgainError, match=r"gone\.gguf \(other.*gone\.gguf \(0000"):
        sg.generate("rephrase", TEXTS, model=Elsewhere(identity="other"), out=tmp_path / "b", calls=file)


def test_a_role_that_nobody_recorded_is_said_and_bought(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(Prompt((user(anchor.text),)))
        judged = await models(Prompt((user(f"Good? {anchor.text[:9]}"),), to="judge"))
        yield Row(text=call.text, calls=(call, judged))

    judged = Recipe("judged", "1", draft, roles=("writer", "judge"))
    file = recorded(tmp_path, {"writer": Elsewhere(), "judge": Elsewhere("local/judge.gguf", "judge")}, recipe=judged)
    roles: dict[str, Any] = {"writer": Elsewhere(), "judge": sg.Scripted(lambda prompt: "yes")}
    run = sg.generate(judged, TEXTS, model=roles, out=tmp_path / "again", calls=file)
    assert counts(run) == (3, 0, 3) and "judge: no answer of scripted/python is recorded" in capsys.readouterr().err


def test_where_there_is_nothing_to_serve_from_it_is_said(tmp_path: Path) -> None:
    file = recorded(tmp_path, WORDS)
    with pytest.raises(SynthgainError, match="no calls are recorded here"):
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "b", calls_only=True)
    for own in (tmp_path / "first", tmp_path / "first" / "calls"):
        with pytest.raises(SynthgainError, match="own calls"):
            sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "first", calls=[file, own])


def test_a_damaged_recording_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    file = recorded(tmp_path, WORDS)
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(SynthgainError, match="damaged") as error:
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "b", calls=file)
    assert error.value.where.startswith(f"{file}:") and not (tmp_path / "b").exists()


# ---------------------------------------------------------------------------------------------- what they cost


def test_recorded_calls_spend_nothing_of_a_budget(tmp_path: Path) -> None:
    model = Sold(lambda prompt: "It is written.", width=4)
    file = recorded(tmp_path, model, TEXTS[:2])
    first = sg.Run(tmp_path / "first").record["cost_usd"]
    run = sg.generate(
        "rephrase", TEXTS, model=model, out=tmp_path / "again", calls=file, max_cost=4000, max_tokens=4000
    )
    new = run.record["cost_usd"] - first
    assert counts(run) == (4, 0, 8) and new > 0 and run.record["cost_recorded_usd"] == pytest.approx(first)
    with pytest.raises(sg.BudgetReached):
        sg.generate("rephrase", TEXTS, model=model, out=tmp_path / "c", calls=file, max_cost=new / 2)
    again = sg.generate("rephrase", TEXTS, model=model, out=tmp_path / "again", max_cost=4000)
    assert counts(again) == (0, 4, 8) and again.record["cost_usd"] == pytest.approx(first + new)


# ---------------------------------------------------------------------------------------------- previews and loops


def test_a_preview_says_what_it_takes_beyond_the_recording(tmp_path: Path) -> None:
    file = recorded(tmp_path, WORDS, TEXTS[:2])
    seen = preview("rephrase", TEXTS, model=WORDS, out=tmp_path / "p", calls=file, limit=1)
    assert (seen.bought, seen.reused, seen.recorded) == (0, 0, 4)
    assert seen.there == 8 and seen.estimate["calls"].value == 12
    assert seen.beyond is not None and seen.beyond["calls"].value == 4
    took = seen.estimate["tokens_out"].value
    assert took is not None and 0 < (seen.beyond["tokens_out"].value or 0) < took
    made = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "p", calls=file)
    assert counts(made) == (4, 0, 8)


def test_where_a_model_decides_how_many_calls_there_are_a_recording_tells(tmp_path: Path) -> None:
    names = [f"Ferry{n}" for n in range(5)]

    def entities(prompt: Prompt) -> str:
        inside = [name for name in names if f"{name} " in prompt.messages[-1]["content"]]
        return json.dumps({"title": "t", "summary": "A summary.", "entities": inside}) if prompt.schema else "Together."

    texts = [" ".join(f"{name} is a boat. " * 3 for name in names[:n]) for n in (5, 4, 3)]
    calls = [1 + sum(1 for k in (2, 3) for _ in combinations(range(n), k)) for n in (5, 4, 3)]
    model = sg.Scripted(entities)
    file = recorded(tmp_path, model, texts, "entigraph")
    seen = preview("entigraph", texts, model=model, out=tmp_path / "p", calls=file, limit=1)
    assert seen.there == seen.estimate["calls"].low == seen.estimate["calls"].high == sum(calls)
    assert seen.beyond is not None and seen.beyond["calls"].value == 0


def test_a_loop_takes_recorded_calls_for_what_is_no_students(tmp_path: Path) -> None:
    file = recorded(tmp_path, WORDS)
    make = RunMaker("rephrase", TEXTS, WORDS, {"calls": file, "calls_only": True}, say=lambda line: None)
    make(0, None, tmp_path / "round-0")
    assert counts(sg.Run(tmp_path / "round-0")) == (0, 0, 12)
    on = tmp_path / "on.jsonl"
    on.write_text('{"id": "1", "question": "2 + 2?", "answer": "4"}\n', "utf-8")
    with pytest.raises(SynthgainError, match="a student writes"):
        sg.loop(
            "rephrase",
            TEXTS,
            out=tmp_path / "l",
            on=on,
            rounds=2,
            model=WORDS,
            base="hf/nowhere",
            calls=file,
            calls_only=True,
            development=0,
        )
