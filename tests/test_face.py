"""What a person at a prompt or in a notebook meets: names, options, and what a run offers."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import synthgain as sg
from doubles.server import served
from synthgain import cli

TEXTS = ["The pump of 1611 has 130 scoops.", "The mill of Orrin has two wheels."]
WORDS = "scripted/words?n=30"


def test_completion_finds_every_public_name() -> None:
    code = "import synthgain as sg; print(sorted(n for n in dir(sg) if not n.startswith('_')))"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(sg.__all__) <= set(eval(listed))
    assert all(inspect.getdoc(getattr(sg, name)) for name in sg.__all__)


def test_no_docstring_speaks_of_papers_that_users_do_not_have() -> None:
    parts = [getattr(sg, name) for name in sg.__all__]
    parts += [member for part in parts if inspect.isclass(part) for _, member in inspect.getmembers(part)]
    told = [inspect.getdoc(part) or "" for part in parts]
    assert not [doc for doc in told if "CONTRACT" in doc or "HOUSE" in doc or "the contract" in doc.lower()]


SETTINGS = ("rate", "students", "tokens", "batch", "length", "reference", "documents", "also", "headline", "equal")
SETTINGS += ("cost_in", "train_price")  # of arms, which Python gives together
PYTHON = {  # the command's function in Python, and options that are said otherwise there
    "generate": (
        sg.generate,
        {
            **{"set_": "knobs", "header": "headers", "engine": None, "dry_run": None},
            **{"until": None, "slice": None, "target": None},  # sg.allocate's
        },
    ),
    "plan": (sg.plan, {"share": "shares", "run": "runs", "out": None}),
    "preview": (sg.preview, {"set_": "knobs", "header": "headers", "show": "shown"}),
    "check": (sg.check, {"header": "headers"}),
    "curate": (sg.curate, {"set_": "knobs", "run": "source", "show_misses": None}),
    "score": (sg.score, {}),
    "measure": (sg.measure, {"explain": None}),
    "compare": (sg.compare, {"out": None}),
    "evaluate": (
        sg.evaluate,
        {"draws": None, "temperature": None, "max_tokens": None, "think_again": "think", "think_marks": "think"},
    ),
    "arms": (sg.arms, dict.fromkeys(SETTINGS, "settings")),
    "loop": (sg.loop, {"set_": "knobs", "arm": "arms", "draws": None}),
    "train": (sg.train, {}),
    "export": (sg.export, {}),
    "push": (sg.push, {"public": "private"}),
    "trace": (sg.trace, {}),
    "report": (sg.report, {}),
    "show": (sg.Run.rows, {"run": "self", "n": None}),
    "recipes": (sg.list_recipes, {}),
    "checks": (sg.list_checks, {}),
    "models": (sg.list_models, {}),
}


@pytest.mark.parametrize("command", sorted(PYTHON))
def test_what_the_command_line_can_do_can_be_done_from_python(command: str) -> None:
    made, otherwise = PYTHON[command]
    known = inspect.signature(made).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
    params = typer.main.get_command(cli.app).commands[command].params  # type: ignore[attr-defined]
    asked = [otherwise.get(p.name, p.name) for p in params if p.name not in ("as_json", "help")]
    assert [name for name in asked if name is not None and name not in known and not open_ended] == []


def test_a_server_is_named_without_another_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with served() as server:
        reached: dict[str, Any] = {"base_url": server.base_url}
        run = sg.generate("rephrase", TEXTS[:1], model="openai/m", out=tmp_path / "r", price="1,2", **reached)
        assert run.record["counts"]["kept"] == 4 and run.record["cost_usd"] > 0
        assert run.record["request"]["models"]["writer"]["base_url"] == server.base_url
        seen = sg.preview("rephrase", TEXTS[:1], model="openai/m", out=tmp_path / "r", **reached)
        assert (seen.bought, seen.reused) == (0, 4)
        assert sg.check("openai/m", **reached)[1].text
    with pytest.raises(sg.SynthgainError, match="concurrency must be 1 or more"):
        sg.generate("rephrase", TEXTS, model="openai/m", out=tmp_path / "q", concurrency=0, **reached)


def test_a_run_gives_its_rows(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    run = sg.generate("rephrase", [*TEXTS, "<b>The mill</b> & \x1b[31m"], model="scripted/echo", out=tmp_path / "r")
    every, kept, fallen = list(run.rows()), list(run.rows(kept=True)), list(run.rows(kept=False))
    assert len(run) == len(every) == len(kept) + len(fallen) == 12 and bool(sg.Run(tmp_path / "nothing"))
    assert [r["id"] for r in kept] == [r["id"] for r in every if r["kept"]]
    assert every[0]["fields"]["style"] == "easy" and every[0]["messages"] is None
    assert all(r["check"] == fallen[0]["check"] for r in run.rows(check=fallen[0]["check"])) if fallen else True
    frame = run.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame["id"]) == [r["id"] for r in every]
    assert len(run.to_pandas(kept=True)) == len(kept)


def test_a_run_shows_itself_in_one_line_and_as_a_table(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script> & \x1b[31m \u202etxt"
    run = sg.generate("rephrase", [nasty], model="scripted/echo", out=tmp_path / "r", without=["all"])
    assert repr(run) == f"<Run {tmp_path / 'r'}: 4 rows kept of 4, complete>"
    page = run._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "\x1b" not in page and "\u202e" not in page and "rephrase 1" in page
    assert "not made yet" in repr(sg.Run(tmp_path / "none")) and sg.Run(tmp_path / "none")._repr_html_()
    (tmp_path / "r" / "run.json").write_text("{", "utf-8")
    assert "damaged" in repr(run) and "damaged" in run._repr_html_()


def test_one_check_may_be_given_alone(tmp_path: Path) -> None:
    run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "run", with_="length=3", without="all")
    assert "length" in {check["name"] for check in run.record["request"]["checks"]}
    assert len(sg.curate(run.path, without="length")) == len(run)


def test_a_folder_without_a_run_is_no_empty_run(tmp_path: Path) -> None:
    with pytest.raises(sg.SynthgainError, match="not a run"):
        list(sg.Run(tmp_path / "nosuch").rows())


@pytest.mark.parametrize(
    ("call", "option", "meant"),
    [
        (sg.generate, "max_cots", "max_cost"),
        (sg.generate, "base_urll", "base_url"),
        (sg.measure, "anchor", "anchors"),
        (sg.evaluate, "nonsense", ""),
        (sg.check, "prices", "price"),
        (sg.compare, "seeds", "seed"),
    ],
)
def test_an_option_that_is_none_is_refused(call: Callable[..., object], option: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"{option}.*{meant}"):
        call(**{option: 1})
