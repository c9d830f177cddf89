"""Slices of several recipes, on the double with known worth: one recipe writes what the held-out text says, one echoes, one writes noise."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from synthgain import Run, Scripted, allocate
from synthgain.api.slices import Until
from synthgain.cli import app
from synthgain.types import AnotherRequest, BudgetReached, Call, Prompt, SynthgainError, assistant

RECIPE = """
from synthgain.types import *

async def draft(models, anchor):
    for part in range({draws}):
        call = await models(Prompt((user("{name}: " + anchor.text),), sampling=Sampling(max_tokens=60), draw=part))
        yield Row(text=call.text, calls=(call,))

RECIPE = Recipe("{name}", "1", draft)
"""
WORDS = [a + b for a in ("bra", "cle", "dro", "fli", "gnu", "pla") for b in ("ck", "st", "mp", "nd", "rt", "sh")]
SENTENCES = 6  # of a text


def world(seed: int, n: int) -> list[str]:
    """Texts of a small language: which word follows which is fixed, so that reading some helps to foretell others."""
    follows = {w: random.Random(w).sample(WORDS, 2) for w in WORDS}
    rng = random.Random(seed)

    def sentence() -> str:
        word, found = rng.choice(WORDS), []
        for _ in range(9):
            found.append(word)
            word = rng.choice(follows[word])
        return " ".join(found) + "."

    return [" ".join(sentence() for _ in range(SENTENCES)) for _ in range(n)]


def reply(prompt: Prompt) -> str:
    said = prompt.messages[-1]["content"]
    name, _, anchor = said.partition(": ")
    rng = random.Random(prompt.content)
    if name == "good":
        return world(rng.randrange(1 << 30) + 1000, 1)[0]
    if name == "noise":
        return " ".join(rng.choice(WORDS) for _ in range(54)) + "."
    return anchor  # the echo


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("good", "echo", "noise"):
        (tmp_path / f"{name}.py").write_text(RECIPE.format(name=name, draws=1), "utf-8")
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in world(1, 16)), "utf-8")
    (tmp_path / "held.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in world(2, 40)), "utf-8")
    return tmp_path


def asked(place: Path, **more: Any) -> dict[str, Any]:
    names = [str(place / f"{name}.py") for name in ("echo", "noise", "good")]
    how = {
        "out": place / "out",
        "until": "gain_per_token < 0.0001",
        "slice": 4,
        "target": place / "held.jsonl",
        "model": Scripted(reply),
    }
    return allocate(names, place / "docs.jsonl", **(how | more))


def test_further_slices_go_to_the_recipe_that_adds(place: Path) -> None:
    result = asked(place)
    bought = [Path(step["recipe"]).stem for step in result["slices"]]
    assert bought[:3] == ["echo", "noise", "good"]
    assert set(bought[3:]) == {"good"}
    found = {Path(step["recipe"]).stem: step for step in result["slices"]}
    assert found["echo"]["high"] <= 0 < result["slices"][2]["low"]
    assert found["noise"]["low"] < 0


def test_it_stops_where_no_slice_pays_and_sooner_at_a_higher_limit(place: Path) -> None:
    low, high = (asked(place, out=place / name, until=f"gain_per_token < {x}") for name, x in (("a", 0.0), ("b", 1e9)))
    assert len(high["slices"]) == 3 < len(low["slices"])
    assert "shown" in high["why"]


def test_it_ends_where_everything_is_made(place: Path) -> None:
    names = [str(place / "good.py"), str(place / "good2.py")]
    (place / "good2.py").write_text(RECIPE.format(name="good", draws=2), "utf-8")
    result = allocate(
        names,
        place / "docs.jsonl",
        out=place / "out",
        until="gain_per_row < 0",
        slice=12,
        target=place / "held.jsonl",
        model=Scripted(reply),
    )
    runs = [Run.at(path) for path in result["runs"].values()]
    made = [run.record["counts"]["groups"] for run in runs]
    assert max(made) == 16


def test_what_a_slice_adds_is_the_gain_with_it_less_the_gain_without(place: Path) -> None:
    """The first slice of the only recipe that adds, against the meter's own figure of a set without it and with it."""
    from synthgain.measure import Data, judged
    from synthgain.measure.proxy import held_out_gains

    result = asked(place, until="gain_per_token < 1e9")
    rows = {Path(n).stem: [r["text"] for r in Run.at(p).rows(kept=True)] for n, p in result["runs"].items()}
    anchors, held = world(1, 16), world(2, 40)

    def gain(texts: list[str]) -> float:
        per = held_out_gains(Data.of(texts, anchors, target=held), judged(Data.of(texts, anchors, target=held)))
        return float(per["proxy_gain"].nats.sum() / per["proxy_gain"].tokens.sum())

    every = rows["echo"] + rows["noise"] + rows["good"]
    step = next(s for s in result["slices"] if Path(s["recipe"]).stem == "good")
    assert step["gain"] == pytest.approx(gain(every) - gain(rows["echo"] + rows["noise"]), abs=1e-9)


def test_the_same_again_buys_nothing_and_says_the_same(place: Path) -> None:
    first = asked(place)
    model = Scripted(reply)
    assert asked(place, model=model)["slices"] == first["slices"]
    assert model.asked == 0


def test_a_killed_one_goes_on_where_it_was(place: Path) -> None:
    script = (
        "import sys; sys.path[:0] = [sys.argv[2], sys.argv[3]]\n"
        "import pathlib; from api.test_allocating import asked, Scripted, reply\n"
        "asked(pathlib.Path(sys.argv[1]), model=Scripted(reply, latency=0.02, width=2))\n"
    )
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", script, str(place), str(tests), str(tests / "doubles")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    running = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    slices = place / "out" / "slices.json"
    end = time.monotonic() + 60
    while time.monotonic() < end and not (slices.is_file() and len(json.loads(slices.read_text())["slices"]) >= 2):
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    there = sum(Run.at(run).record["counts"]["calls_bought"] for run in (place / "out").glob("*") if Run.is_at(run))
    model = Scripted(reply)
    result = asked(place, model=model)
    unhurt = asked(place, out=place / "unhurt")
    assert [s["recipe"] for s in result["slices"]] == [s["recipe"] for s in unhurt["slices"]]
    assert [s["gain"] for s in result["slices"]] == pytest.approx([s["gain"] for s in unhurt["slices"]])
    assert model.asked <= sum(s["kept"] for s in unhurt["slices"]) - there


def test_dollars_are_counted_and_the_budget_holds_for_all_recipes_together(place: Path) -> None:
    def priced(prompt: Prompt) -> Call:
        text = reply(prompt)
        turn = assistant(text)
        return Call(prompt.id("dear"), prompt, turn, "scripted/dear", tokens_in=20, tokens_out=54, cost=0.01)

    model = Scripted(priced, identity="dear")
    result = asked(place, model=model, until="gain_per_dollar < 0.000001", slice=4)
    assert result["cost_usd"] == pytest.approx(0.01 * model.asked)
    assert all(step["dollars"] == pytest.approx(0.04) for step in result["slices"])
    with pytest.raises(BudgetReached, match=r"the budget of \$0.1 is reached") as error:
        asked(
            place,
            model=Scripted(priced, identity="dear"),
            slice=4,
            max_cost=0.10,
            out=place / "poor",
            until="gain_per_dollar < 0",
        )
    bought = sum(Run.at(run).record["counts"]["calls_bought"] for run in (place / "poor").glob("*") if Run.is_at(run))
    assert 4 < bought <= 10
    assert "larger --max-cost" in error.value.next and error.value.where == str(place / "poor")


@pytest.mark.parametrize(
    "text", ["", "gain < 1", "gain_per_dollar > 1", "gain_per_hour < 1", "vendi_per_row < 1", "gain_per_row < x"]
)
def test_until_when_is_said_in_one_form(text: str) -> None:
    with pytest.raises(SynthgainError, match="gain_per_dollar"):
        Until.read(text)


def test_every_gain_of_the_meter_can_be_asked_for() -> None:
    assert Until.read("target_fit_per_token < 2e-3") == Until("target_fit", "token", 0.002)


def test_bad_input_is_said_before_anything_is_bought(place: Path) -> None:
    docs, out = str(place / "docs.jsonl"), str(place / "out")
    for given, named in [
        (["rephrase", docs, "--until", "gain_per_token < 1"], "two or more"),
        (["rephrase,entigraph", docs, "--until", "gain_per_dollar < 1", "-m", "scripted/echo"], "gain_per_token"),
        (["rephrase,entigraph", docs, "--until", "gain_per_token < 1", "--slice", "0"], "--slice"),
        (["rephrase,nothing", docs, "--until", "gain_per_token < 1"], "nothing"),
        (["rephrase,entigraph", docs, "--until", "gain_per_token < 1", "--set", "styles=qa"], "styles"),
        (["rephrase", docs, "--target", docs], "--until"),
    ]:
        result = CliRunner().invoke(app, ["generate", *given, "-o", out])
        assert isinstance(result.exception, SynthgainError), given
        assert named in str(result.exception), given
        assert not list(Path(out).glob("*/calls/*"))


def test_the_command_line_prints_the_slices(place: Path) -> None:
    given = f"{place / 'good.py'},{place / 'noise.py'}"
    result = CliRunner().invoke(
        app,
        [
            *(
                "generate",
                given,
                str(place / "docs.jsonl"),
                "-o",
                str(place / "cli"),
                "--until",
                "gain_per_token < 0.1",
            ),
            *("-m", "scripted/words?n=30", "--target", str(place / "held.jsonl"), "--slice", "5", "--json"),
        ],
        catch_exceptions=False,
    )
    told = json.loads(result.stdout)
    assert [s["groups"] for s in told["slices"]] == [5, 5]
    assert {r["name"] for r in told["readings"]} == {"proxy_gain_per_token"}


def test_what_the_figure_rests_on_is_held_out_documents_not_rows(place: Path) -> None:
    result = asked(place, until="gain_per_token < 1e9")
    assert {reading["n"] for reading in result["readings"]} == {40}


def test_a_slice_that_kept_no_row_has_no_gain_and_is_not_bought_again(place: Path) -> None:
    (place / "noise.py").write_text(RECIPE.format(name="noise", draws=0), "utf-8")
    result = asked(place, until="gain_per_token < 0")
    steps = [step for step in result["slices"] if Path(step["recipe"]).stem == "noise"]
    assert len(steps) == 1 and steps[0]["gain"] is None and steps[0]["note"]
    reading = next(r for r in result["readings"] if "noise" in r["note"])
    assert reading["value"] is reading["low"] is reading["high"] is None and "no row" in reading["note"]


def test_two_recipe_files_of_one_name_do_not_share_a_folder(place: Path) -> None:
    (place / "other").mkdir()
    (place / "other" / "good.py").write_text(RECIPE.format(name="other", draws=1), "utf-8")
    names = [str(place / "good.py"), str(place / "other" / "good.py")]
    with pytest.raises(SynthgainError, match="one folder"):
        allocate(names, place / "docs.jsonl", out=place / "out", until="gain_per_token < 1", model=Scripted(reply))
    assert not (place / "out").exists()


@pytest.mark.parametrize("cost", [-1.0, float("nan")])
def test_a_budget_that_is_none_is_bad_usage_not_a_stop(place: Path, cost: float) -> None:
    with pytest.raises(SynthgainError) as error:
        asked(place, max_cost=cost)
    assert error.value.code == 2 and not (place / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--accept=3",
        "--max-candidates=3",
        "--limit=3",
        "--collapse=near_dup=0.1",
        "--stop-on-collapse",
        "--ask-again",
    ],
)
def test_an_option_that_slices_do_not_have_is_refused_rather_than_left_out(place: Path, option: str) -> None:
    names = ",".join(str(place / f"{name}.py") for name in ("echo", "good"))
    given = ["generate", names, str(place / "docs.jsonl"), "-o", str(place / "out"), "-m", "scripted/echo"]
    result = CliRunner().invoke(app, [*given, "--until", "gain_per_token < 1", option])
    assert isinstance(result.exception, SynthgainError) and option.split("=")[0] in str(result.exception)
    assert not (place / "out").exists()


def made(place: Path, name: str) -> int:
    return int(Run.at(place / "out" / name).record["counts"]["groups"])


def kept_of(place: Path) -> dict[str, list[str]]:
    return {name: [row["id"] for row in Run.at(place / "out" / name).rows()] for name in ("echo", "noise", "good")}


def test_another_slice_limit_or_budget_goes_on_and_cuts_no_run_down(place: Path) -> None:
    """A smaller slice began anew: each run was cut down to it without a word."""
    first = asked(place)
    before = kept_of(place)
    model = Scripted(reply)
    more = asked(place, model=model, slice=1, until="gain_per_token < 1e9")
    assert more["slices"] == first["slices"] and kept_of(place) == before and model.asked == 0
    on = asked(place, slice=2, until="gain_per_row < 0", model=Scripted(reply))
    assert [s["groups"] for s in on["slices"][: len(first["slices"])]] == [s["groups"] for s in first["slices"]]
    assert all(set(before[name]) <= set(ids) for name, ids in kept_of(place).items())
    assert made(place, "good") == 16 and on["asked"]["slice"] == 2


def test_a_recipe_more_gets_its_slice_beside_those_that_are_there(place: Path) -> None:
    names = [str(place / f"{name}.py") for name in ("noise", "good")]
    how = {"out": place / "out", "slice": 4, "target": place / "held.jsonl", "model": Scripted(reply)}
    first = allocate(names, place / "docs.jsonl", until="gain_per_token < 1e9", **how)
    both = asked(place, until="gain_per_token < 1e9")
    assert [Path(s["recipe"]).stem for s in both["slices"]] == ["noise", "good", "echo"]
    assert [s["kept"] for s in both["slices"][:2]] == [s["kept"] for s in first["slices"]]


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1}, "seed 0, now 1"),
    ({"target": None}, "another held-out text"),
    ({"model": "scripted/echo"}, "model of writer="),
    ({"with_": ["length:least=2"]}, "its checks were none"),
    ({"text_field": "text"}, "--text-field None, now text"),
]


@pytest.mark.parametrize(("other", "words"), OTHERS, ids=[words for _, words in OTHERS])
def test_other_settings_are_said_before_anything_changes(place: Path, other: dict[str, Any], words: str) -> None:
    """The same folder went on with another target, model or check, silently."""
    asked(place, until="gain_per_token < 1e9")
    before, file = kept_of(place), (place / "out" / "slices.json").read_text()
    with pytest.raises(AnotherRequest) as error:
        asked(place, until="gain_per_token < 1e9", **other)
    assert words in str(error.value) and "3 slices of another request" in str(error.value) and error.value.code == 2
    assert kept_of(place) == before and (place / "out" / "slices.json").read_text() == file


def test_a_recipe_less_is_another_request(place: Path) -> None:
    asked(place, until="gain_per_token < 1e9")
    names = [str(place / f"{name}.py") for name in ("noise", "good")]
    with pytest.raises(AnotherRequest, match=r"without .*echo\.py"):
        allocate(names, place / "docs.jsonl", out=place / "out", until="gain_per_token < 1", model=Scripted(reply))


def test_slices_that_may_go_begin_anew_and_what_was_paid_for_serves_again(place: Path) -> None:
    asked(place, until="gain_per_row < 0")
    assert made(place, "good") == 16
    model = Scripted(reply)
    again = asked(place, slice=2, until="gain_per_token < 1e9", with_=["length:least=1"], replace=True, model=model)
    assert [s["groups"] for s in again["slices"]] == [2, 2, 2] and made(place, "good") == 2 and model.asked == 0


def test_with_fewer_anchors_no_recipe_loses_its_slice_to_another(place: Path) -> None:
    """Where nothing more could be made, the slice of another recipe was overwritten, and a bare ValueError ended it."""
    names = [str(place / f"{name}.py") for name in ("good", "noise")]
    how: dict[str, Any] = {"out": place / "out", "target": place / "held.jsonl", "model": Scripted(reply)}
    first = allocate(names, place / "docs.jsonl", slice=6, until="gain_per_row < 0", **how)
    assert [Path(s["recipe"]).stem for s in first["slices"]] == ["good", "noise", "good", "good"]
    lines = (place / "docs.jsonl").read_text("utf-8").splitlines(keepends=True)
    (place / "docs.jsonl").write_text("".join(lines[:5]), "utf-8")
    less = allocate(names, place / "docs.jsonl", slice=6, until="gain_per_row < 0", replace=True, **how)
    told = [(Path(s["recipe"]).stem, s["groups"], s["kept"]) for s in less["slices"]]
    assert told == [("good", 5, 5), ("noise", 5, 5)] and made(place, "good") == made(place, "noise") == 5


def test_a_recipe_without_groups_is_left_out(place: Path) -> None:
    """It ended in a bare ValueError."""
    none = RECIPE.format(name="none", draws=1).replace('"1", draft)', '"1", draft, pick=nobody)')
    none = none.replace("RECIPE =", "def nobody(corpus, pool, seed):\n    return iter(())\n\nRECIPE =")
    (place / "none.py").write_text(none, "utf-8")
    names = [str(place / f"{name}.py") for name in ("good", "none")]
    how: dict[str, Any] = {"out": place / "out", "target": place / "held.jsonl", "model": Scripted(reply)}
    told = allocate(names, place / "docs.jsonl", slice=4, until="gain_per_row < 1e9", **how)
    assert [Path(s["recipe"]).stem for s in told["slices"]] == ["good"]
    assert [Path(r["note"]).stem for r in told["readings"]] == ["good"]


def test_an_empty_slice_is_refused_with_what_to_type_next(place: Path) -> None:
    with pytest.raises(SynthgainError) as error:
        asked(place, slice=0)
    assert error.value.next and error.value.where == "--slice"


def test_a_run_that_no_slice_tells_of_is_not_cut_down(place: Path) -> None:
    asked(place, until="gain_per_row < 0")
    (place / "out" / "slices.json").unlink()
    before = kept_of(place)
    with pytest.raises(AnotherRequest, match=r"no slices\.json tells of"):
        asked(place, slice=2)
    assert kept_of(place) == before
    (place / "out" / "slices.json").write_text("{", "utf-8")
    with pytest.raises(SynthgainError, match="cannot be read"):
        asked(place, replace=True)


def test_a_budget_that_is_used_up_leaves_what_is_written_down(place: Path) -> None:
    """The record of the slices was cut to none, and the next call would have begun anew."""

    def priced(prompt: Prompt) -> Call:
        return Call(
            prompt.id("dear"), prompt, assistant(reply(prompt)), "scripted/dear", tokens_in=20, tokens_out=54, cost=0.01
        )

    def dear(**more: Any) -> dict[str, Any]:
        return asked(place, model=Scripted(priced, identity="dear"), until="gain_per_dollar < 1e9", **more)

    first = dear()
    with pytest.raises(BudgetReached):
        dear(max_cost=0.01)
    assert json.loads((place / "out" / "slices.json").read_text())["slices"] == first["slices"]
    assert dear()["slices"] == first["slices"]


def test_a_budget_that_was_overdrawn_stops_as_a_budget_does(place: Path) -> None:
    """Two runs of three are gone. What their answers cost is known only after the first: with it more is spent than there was, and the next run has less
    than nothing left."""

    def priced(prompt: Prompt) -> Call:
        return Call(prompt.id("dear"), prompt, assistant(reply(prompt)), "scripted/dear", tokens_in=20, cost=0.01)

    def dear(**more: Any) -> dict[str, Any]:
        model = Scripted(priced, identity="dear")
        return asked(place, model=model, until="gain_per_dollar < 1e9", slice=1, **more)

    first = dear()
    runs = first["runs"]
    for name, folder in runs.items():
        if Path(name).stem != "good":
            shutil.rmtree(folder)
    with pytest.raises(BudgetReached, match=r"the budget of \$0.015 is reached") as error:
        dear(max_cost=0.015)
    assert error.value.code == 3 and "larger --max-cost" in error.value.next
    costs = [Run.at(folder).record["cost_usd"] for folder in runs.values() if Run.is_at(folder)]
    assert sum(costs) == pytest.approx(0.02)  # one answer more than there was money for, not one for each run
    assert json.loads((place / "out" / "slices.json").read_text())["slices"] == first["slices"]


def test_gains_by_another_figure_are_not_kept_under_its_name(place: Path) -> None:
    asked(place)
    other = asked(place, until="target_fit_per_token < 1e9")
    last = {s["recipe"]: i for i, s in enumerate(other["slices"])}
    for i, step in enumerate(other["slices"]):
        assert (step["gain"] is None) == (i not in last.values()) and (
            i in last.values() or "proxy_gain" in step["note"]
        )


def test_the_command_line_refuses_other_settings_unless_they_may_replace(place: Path) -> None:
    given = [
        *("generate", f"{place / 'good.py'},{place / 'noise.py'}", str(place / "docs.jsonl"), "-o", str(place / "cli")),
        *("--until", "gain_per_token < 1e9", "-m", "scripted/words?n=30", "--slice", "3"),
        *("--target", str(place / "held.jsonl")),
    ]
    assert CliRunner().invoke(app, given).exit_code == 0
    result = CliRunner().invoke(app, [*given, "--seed", "1"])
    assert isinstance(result.exception, AnotherRequest) and "--replace" in str(result.exception)
    assert CliRunner().invoke(app, [*given, "--seed", "1", "--replace"], catch_exceptions=False).exit_code == 0
