"""The documents' demo, from writing to the table at its end, with a writer that follows a script and a very small student."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from doubles.tiny import tiny_model

RATES = (2e-3, 1e-3)
SETTINGS = {"tokens": 256, "batch": 1, "length": 64}


def shown(place: Path, **more: Any) -> dict[str, Any]:
    from synthgain.api import demo_documents

    tiny = place / "tiny"
    if not tiny.exists():
        config = tiny_model(tiny) / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 4096}))
    asked: dict[str, Any] = {
        "writer": "scripted/echo",
        "documents": ("quellmarrow", "tavrin-oskelle"),
        "recipes": {"rephrase": {}},
        "rates": RATES,
        "settings": SETTINGS,
        "student": f"hf/{tiny}",
        "say": lambda text: None,
    } | more
    return demo_documents(place / "demo", **asked)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    said: list[str] = []
    shown(folder, say=said.append)
    (folder / "said.txt").write_text("\n".join(said))
    return folder


def test_each_student_is_set_against_repetition_as_soon_as_it_is_examined(place: Path) -> None:
    said = (place / "said.txt").read_text()
    first, second = said.split("learning rate ")[1:]
    by_rate = json.loads((place / "demo" / "arms.json").read_text())["by_rate"]
    for told, at in zip((first, second), by_rate):
        margin = at["arms"][1]["less_reference"][1]
        assert f"rephrase less repeated: answer_margin {margin['value']:+.2f} [{margin['low']:+.2f}, " in told
        assert "repeated less repeated" not in told


def test_every_arm_reads_as_much_at_every_rate_and_is_set_against_repetition(place: Path) -> None:
    told = json.loads((place / "demo" / "arms.json").read_text())
    arms = {arm["name"]: arm for arm in told["arms"]}
    assert list(arms) == ["base", "open-book", "repeated", "rephrase"]
    trained = [arms["repeated"], arms["rephrase"]]
    assert len({(arm["steps"] > 0, round(arm["tokens"] / 64)) for arm in trained}) == 1
    names = [r["name"] for r in arms["rephrase"]["readings"]]
    assert {"accuracy", "accuracy/facts=2", "answer_margin", "answer_coverage"} <= set(names)
    pairs = [(d["a"], d["b"], d["name"]) for d in told["differences"]]
    assert pairs == [
        ("rephrase", "repeated", "accuracy difference"),
        ("rephrase", "repeated", "answer_margin difference"),
    ]
    assert [one["learning_rate"] for one in told["by_rate"]] == list(RATES)
    assert all([arm["name"] for arm in one["arms"]] == ["repeated", "rephrase"] for one in told["by_rate"])


def test_an_arm_is_the_mean_over_its_rates(place: Path) -> None:
    told = json.loads((place / "demo" / "arms.json").read_text())
    at = [
        next(r for r in arm["readings"] if r["name"] == "answer_margin")["value"]
        for one in told["by_rate"]
        for arm in one["arms"]
        if arm["name"] == "rephrase"
    ]
    whole = next(arm for arm in told["arms"] if arm["name"] == "rephrase")
    assert next(r for r in whole["readings"] if r["name"] == "answer_margin")["value"] == pytest.approx(sum(at) / 2)


def test_what_the_meter_said_stands_beside_what_was_learned(place: Path) -> None:
    told = json.loads((place / "demo" / "arms.json").read_text())["foretold"]
    arms = {arm["name"]: arm for arm in told["arms"]}
    assert list(arms) == ["repeated", "rephrase"] and arms["repeated"]["learned"] is None
    assert arms["rephrase"]["learned"]["unit"] == "nats"
    assert "grounded" in [r["name"] for r in arms["rephrase"]["before"]]
    page = (place / "demo" / "report.html").read_text()
    assert "open-book" in page and "Each learning rate by itself" in page and "What the meter said before" in page
    lead = page.partition("Of the test questions the students answer right: ")[2].partition("; the best untrained")[0]
    assert lead.startswith("repeated ") and ", rephrase " in lead and "open-book" not in lead


def test_again_trains_and_scores_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthgain.api import choosing

    def scored(*given: Any, **more: Any) -> Any:
        raise AssertionError("scored again")

    before = {file: file.stat().st_mtime_ns for file in (place / "demo" / "students").rglob("model.safetensors")}
    monkeypatch.setattr(choosing, "scored", scored)
    assert shown(place) == json.loads((place / "demo" / "arms.json").read_text())
    assert {file: file.stat().st_mtime_ns for file in before} == before and len(before) == 4


DRIVER = """
import sys
from synthgain.api import demo_documents
demo_documents(sys.argv[1] + "/demo", writer="scripted/echo", documents=("quellmarrow", "tavrin-oskelle"), recipes={"rephrase": {}},
               rates=(2e-3, 1e-3), settings={"tokens": 256, "batch": 1, "length": 64}, student="hf/" + sys.argv[2],
               say=lambda text: print(text, flush=True))
"""
STAGES = ("  base", "  training repeated", "  rephrase", "learning rate 0.001")


@pytest.mark.slow
def test_killed_at_any_stage_it_goes_on_and_ends_alike(place: Path, tmp_path: Path) -> None:
    for stage in STAGES:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path), str(place / "tiny")],
            start_new_session=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        assert any(line.startswith(stage) for line in process.stdout), f"{stage} never came"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    whole = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path), str(place / "tiny")], capture_output=True, text=True, timeout=600
    )
    assert whole.returncode == 0, whole.stderr
    assert (
        "training repeated" in whole.stdout
        and len(list((tmp_path / "demo" / "students").glob("*/*/student.json"))) == 4
    )
    told, calm = (json.loads((folder / "demo" / "arms.json").read_text()) for folder in (tmp_path, place))
    for held, other in zip(told["arms"], calm["arms"], strict=True):
        assert held["name"] == other["name"] and held["tokens"] == other["tokens"]
        ours, theirs = ({r["name"]: r["value"] for r in arm["readings"]} for arm in (held, other))
        assert ours == pytest.approx(theirs, abs=1e-3)


def test_recorded_calls_answer_all_that_the_demo_asks(tmp_path: Path) -> None:
    """What ships serves every call of every recipe; no weights, no server, nothing bought."""
    from synthgain import examples
    from synthgain.api import generate
    from synthgain.api.showing_documents import LEFT_OUT, RECIPES, SHORT, WRITER

    recorded = {recipe: examples.recorded_calls(recipe) for recipe in RECIPES}
    anchors = [one for one in examples.documents() if one["slug"] in SHORT]
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps(one) + "\n" for one in anchors))
    for recipe, file in recorded.items():
        run = generate(
            recipe,
            tmp_path / "documents.jsonl",
            out=tmp_path / recipe,
            model=WRITER,
            knobs=RECIPES[recipe],
            without=LEFT_OUT.get(recipe, ()),
            text_field="text",
            calls=file,
            calls_only=True,
        )
        counts = run.record["counts"]
        assert counts["calls_bought"] == counts["broken"] == 0 and counts["calls_recorded"] >= 4
        assert counts["kept"] > 10 and run.record["status"] == "complete"
