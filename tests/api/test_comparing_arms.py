"""`arms` through the public face: a folder of runs, a plan in a file, what is refused before anything is trained, and a kill in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from doubles.tiny import tiny_model
from synthgain.api.arms_plan import Settings, plan_of_runs
from synthgain.api.comparing_arms import arms
from synthgain.api.learning import write_rows
from synthgain.loop import BASE, Arm, Part
from synthgain.types import Prompt

TOWNS = ("Quell", "Varn", "Orrin", "Tolmar")
SETTINGS: dict[str, Any] = {
    "rates": (2e-3, 1e-3),
    "students": 2,
    "tokens": 256,
    "batch": 1,
    "length": 64,
    "headline": "answer_margin",
}


def anchors() -> list[dict[str, str]]:
    return [
        {
            "slug": town.lower(),
            "title": town,
            "text": f"The town of {town} has a bridge that widow {i} built in 14{i}7.",
        }
        for i, town in enumerate(TOWNS)
    ]


def lines(file: Path, records: list[Any]) -> Path:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def reply(prompt: Prompt) -> str:
    """Longer the further the draw, so that runs cost differently; one answer falls by a check."""
    said = prompt.messages[-1]["content"]
    return "" if "Orrin" in said else f"In {said[-60:]} there is a bridge. " * (1 + len(prompt.messages))


RECIPE = """
from synthgain.curate.empty import NotEmpty
from synthgain.types import Prompt, Recipe, Row, Sampling, user

async def draft(models, anchor):
    for draw in range({k}):
        call = await models(Prompt((user(anchor.text),) * {k}, sampling=Sampling(max_tokens=40), draw=draw))
        yield Row(text=call.text and f"{{anchor.text}} {{draw}} {{call.text}}", calls=(call,))

RECIPE = Recipe("said-{k}", "1", draft, checks=(NotEmpty(),))
"""


def questions(place: Path, n: int = 4) -> Path:
    asked = [
        {"id": f"{town}-{i}", "question": f"Which thing is number {i} of {town}?", "options": ["bridge", "mill", "bell"],
         "gold": i % 3, "document": town.lower(), "title": town}
        for town in TOWNS
        for i in range(n)
    ]  # fmt: skip
    return lines(place / "questions.jsonl", asked)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arms")
    tiny_model(folder / "tiny")
    documents = lines(folder / "documents.jsonl", anchors())
    for name, k in (("short", 1), ("long", 3)):
        (folder / f"{name}.py").write_text(RECIPE.format(k=k))
        sg.generate(
            str(folder / f"{name}.py"),
            documents,
            out=folder / "runs" / name,
            model=sg.Scripted(reply),
            text_field="text",
        )
    questions(folder)
    return folder


def compared(place: Path, plan: Any = None, out: str = "out", **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "on": place / "questions.jsonl",
        "base": f"hf/{place / 'tiny'}",
        "settings": SETTINGS,
        "say": lambda text: None,
    } | more
    return arms(place / "runs" if plan is None else plan, out=place / out, **asked)


@pytest.fixture(scope="module")
def told(place: Path) -> dict[str, Any]:
    """Two students of three arms at two rates, at equal tokens."""
    return compared(place, settings={**SETTINGS, "equal": "tokens"}, without=("mixture", "random"))


def by_name(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {arm["name"]: arm for arm in table["arms"]}


def value(arm: dict[str, Any], name: str) -> float:
    return float(next(r["value"] for r in arm["readings"] if r["name"] == name))


def test_a_folder_of_runs_gives_every_arm_at_equal_tokens(place: Path, told: dict[str, Any]) -> None:
    found = by_name(told)
    assert list(found) == ["base", "open-book", "retrieval", "repeated", "long", "short"]
    trained = [found[name] for name in ("repeated", "long", "short")]
    assert all(256 <= arm["tokens"] < 256 + 64 for arm in trained) and all(arm["seeds"] == [0, 1] for arm in trained)
    assert [arm["rows"] for arm in trained] == [4, 9, 3]
    assert told["reference"] == "repeated" and found["base"]["rows"] == 0
    assert json.loads((place / "out" / "arms.json").read_text()) == told
    accuracy = next(r for r in found["long"]["readings"] if r["name"] == "accuracy")
    assert "4 documents and 2 students" in accuracy["note"] and accuracy["n"] == 16


def test_a_mixture_has_equal_shares_and_as_many_candidates_stand_beside_it(place: Path) -> None:
    runs = [sg.Run.at(place / "runs" / name) for name in ("long", "short")]
    plan = plan_of_runs(runs, Settings())
    rows = write_rows(plan.arms, None, place / "rows-of-a-plan")
    assert {name: one.n for name, one in rows.items()} == {
        "repeated": 4,
        "long": 9,
        "short": 3,
        "mixture": 6,
        "random": 6,
    }
    alone = plan_of_runs(runs[:1], Settings())
    assert [arm.name for arm in alone.arms] == ["base", "open-book", "retrieval", "repeated", "long", "random"]


def test_figures_are_means_over_rates_and_students(told: dict[str, Any]) -> None:
    at = [value(arm, "answer_margin") for one in told["by_rate"] for arm in one["arms"] if arm["name"] == "long"]
    assert [one["learning_rate"] for one in told["by_rate"]] == [2e-3, 1e-3] and len(at) == 2
    assert value(by_name(told)["long"], "answer_margin") == pytest.approx(sum(at) / 2)
    gap = next(d for d in told["differences"] if (d["a"], d["b"], d["unit"]) == ("long", "repeated", "nats"))
    mine, theirs = (value(by_name(told)[name], "answer_margin") for name in ("long", "repeated"))
    assert gap["value"] == pytest.approx(mine - theirs)


def test_the_verdict_says_whether_the_order_holds(told: dict[str, Any]) -> None:
    verdict = told["verdict"]
    assert verdict["figure"] == "answer_margin" and "repeated" in (verdict["a"], verdict["b"])
    assert verdict["level"] == pytest.approx(1 - 0.05 / 2) and verdict["pairs"] == 3
    signs = {}
    for one in told["by_rate"]:
        for arm in one["arms"]:
            for r in arm["less_reference"]:
                signs.setdefault((arm["name"], r["name"]), []).append(r["value"] > 0)
    for order in told["orders"]:
        if "repeated" in (order["a"], order["b"]):
            other = order["b"] if order["a"] == "repeated" else order["a"]
            mine = signs[other, "answer_margin difference"]
            assert (order["holds"] == "flips") == (len(set(mine)) == 2)


def test_at_equal_cost_dear_rows_are_fewer_and_repetition_reads_longer(place: Path, told: dict[str, Any]) -> None:
    shutil.copytree(place / "out" / "students", place / "cost" / "students")  # the first table stands
    settings = {**SETTINGS, "students": 1, "rates": (2e-3,)}
    both = compared(place, out="cost", settings=settings, without=("mixture", "random"))
    equal = both["equal_cost"]
    found = by_name(equal)
    assert equal["unit"] == "tokens" and any("have no prices" in note for note in equal["notes"])
    assert all(found[name]["cost"] <= equal["budget"] * 1.001 for name in ("repeated", "long", "short"))
    assert found["repeated"]["cost"] == pytest.approx(equal["budget"], rel=0.01)
    assert found["short"]["cost"] == pytest.approx(equal["budget"]) and found["short"]["rows"] == 3
    assert found["long"]["rows"] < by_name(told)["long"]["rows"] and found["base"]["cost"] is None
    assert found["repeated"]["tokens"] > 256 + 64 > found["long"]["tokens"]
    assert found["short"]["readings"] == by_name(both)["short"]["readings"]
    assert "At equal cost" in (place / "cost" / "report.html").read_text()
    assert not any("open-book" in (one["a"], one["b"]) for one in equal["differences"])


def test_again_trains_and_scores_nothing(place: Path, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from synthgain.api import choosing

    def scored(*given: Any, **more: Any) -> Any:
        raise AssertionError("scored again")

    before = {file: file.stat().st_mtime_ns for file in (place / "out").rglob("model.safetensors")}
    monkeypatch.setattr(choosing, "scored", scored)
    again = compared(place, settings={**SETTINGS, "equal": "tokens"}, without=("mixture", "random"))
    assert again == told
    assert {file: file.stat().st_mtime_ns for file in (place / "out").rglob("model.safetensors")} == before


def test_the_page_holds_the_verdict_and_each_rate(place: Path, told: dict[str, Any]) -> None:
    page = (place / "out" / "report.html").read_text()
    assert "At equal training tokens" in page and "Each learning rate by itself" in page
    assert told["verdict"]["sentence"][:40] in page and "<script src" not in page


# ---------------------------------------------------------------------------------------------- plans in files


PLAN = """
from synthgain.loop import Arm, Part

ARMS = [
    Arm("base"),
    Arm("repeated", (Part("runs/short", take="anchors"),)),
    Arm("both", (Part("runs/short", share=0.5), Part("runs/long", share=0.5))),
]
SETTINGS = {"tried": (4e-3, 1e-3), "students": 1, "tokens": 64, "batch": 1, "length": 64, "equal": "tokens"}
"""


def test_a_plan_in_a_file_finds_its_learning_rate_on_a_development_split(place: Path) -> None:
    (place / "plan.py").write_text(PLAN)
    wide = questions(place, 10)
    try:
        found = compared(place, place / "plan.py", "planned", settings={})
    finally:
        questions(place)
    assert set(found["rates_tried"]) == {"0.004", "0.001"} and wide.exists()
    rates = [one["learning_rate"] for one in found["by_rate"]]
    assert rates[0] == max((4e-3, 1e-3), key=lambda rate: (found["rates_tried"][f"{rate:g}"], -rate))
    assert rates[1:] == pytest.approx([rates[0] / 3, rates[0] / 10], rel=1e-2)
    accuracy = next(r for r in by_name(found)["both"]["readings"] if r["name"] == "accuracy")
    assert accuracy["n"] < 40 and "equal_cost" not in found and "other trainings are not in it" in accuracy["note"]


def test_texts_say_what_was_forgotten(place: Path) -> None:
    general = place / "general.txt"
    general.write_text("A mill stands on the river.")
    plan = [BASE, Arm("repeated", (Part(str(place / "runs/short"), take="anchors"),))]
    settings = {**SETTINGS, "students": 1, "rates": (1e-3,), "equal": "tokens", "also": ("letter", "generation")}
    found = by_name(compared(place, plan, "texts", settings=settings, general=general, held_out=general))
    names = {r["name"] for r in found["repeated"]["readings"]}
    assert {"forgetting", "perplexity", "loss_at/0-15", "accuracy_letter", "accuracy_generation"} <= names
    assert "forgetting" not in {r["name"] for r in found["base"]["readings"]} and "perplexity" in {
        r["name"] for r in found["base"]["readings"]
    }


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("ARMS = 3", "no list of arms"),
        ("from synthgain.loop import Arm, Part\nARMS = [Arm('a', (Part('runs/none'),))]", "no such run"),
        ("from synthgain.loop import Arm\nARMS = [Arm('base')]", "no arm learns"),
        ("from synthgain.loop import Arm, Part\nARMS = [Arm('a', (Part('runs/short', tke=1),))]", "plan.py:2"),
        ("ARMS = [", "plan.py:1"),
        ("arms = []", "no ARMS"),
        (PLAN + "SETTINGS = {'token': 3}", "does not know a setting"),
        (PLAN + "SETTINGS = {'learning_rate': 1e-3}", "rates"),
        (PLAN + "SETTINGS = {'reference': 'none'}", "no arm 'none'"),
        (PLAN.replace('Arm("base")', 'Arm("base", exam="viva")') + "SETTINGS['rates'] = (1e-3,)", "no exam 'viva'"),
        (PLAN + "SETTINGS |= {'length': 4096, 'rates': (1e-3,)}", "longer than the context"),
    ],
)
def test_a_plan_with_a_mistake_is_refused_before_anything_is_trained(place: Path, plan: str, said: str) -> None:
    (place / "plan.py").write_text(plan)
    with pytest.raises(sg.SynthgainError) as error:
        compared(place, place / "plan.py", "wrong", settings={})
    assert said in str(error.value) and not (place / "wrong" / "students").exists()


def test_too_few_questions_for_a_development_split(place: Path) -> None:
    with pytest.raises(sg.SynthgainError, match="each needs 8") as error:
        compared(place, out="few", settings={**SETTINGS, "rates": ()})
    assert "--rate" in error.value.next and not (place / "few" / "students").exists()


def test_runs_of_other_documents_are_refused(place: Path) -> None:
    other = lines(place / "other.jsonl", anchors()[:2])
    sg.generate(
        str(place / "short.py"), other, out=place / "others" / "fewer", model=sg.Scripted(reply), text_field="text"
    )
    plan = [
        Arm("one", (Part(str(place / "runs/short")),)),
        Arm("two", (Part(str(place / "others/fewer")),)),
    ]
    with pytest.raises(sg.SynthgainError, match="of which 2 are the same"):
        compared(place, plan, "unlike")


LEAKED = "Which of the seven old bridges over the river did widow number three build by herself?"


def test_a_question_in_what_an_arm_learns_is_refused_unless_told(place: Path) -> None:
    asked = [json.loads(line) for line in (place / "questions.jsonl").read_text().splitlines()]
    leaking = lines(place / "leaking.jsonl", [*asked, asked[0] | {"id": "new", "question": LEAKED}])
    lines(place / "rows.jsonl", [{"text": f"People ask: {LEAKED} Nobody knows."}, {"text": "The mill has two wheels."}])
    plan = [
        Arm("repeated", (Part(str(place / "runs/short"), take="anchors"),)),
        Arm("rows", (Part(str(place / "rows.jsonl")),)),
    ]
    settings = {**SETTINGS, "students": 1, "rates": (1e-3,), "tokens": 64}
    with pytest.raises(sg.SynthgainError, match=r"rows \(1 rows\); row 0 of rows") as error:
        compared(place, plan, "leaks", on=leaking, settings=settings)
    assert "--allow-leaks" in error.value.next and not (place / "leaks" / "students").exists()
    told = compared(place, plan, "leaks", on=leaking, settings=settings, allow_leaks=True)
    assert told["leaks"]["rows"] == {"repeated": 0, "rows": 1}
    assert "nobody knows what making it cost" in " ".join(told["equal_cost"]["notes"])


def test_a_book_that_is_longer_than_the_context_is_refused_by_name(place: Path) -> None:
    long = [one | {"text": one["text"] + " The widow built on." * 120} for one in anchors()]
    documents = lines(place / "long.jsonl", long)
    with pytest.raises(sg.SynthgainError, match=r"arm open-book, question Quell-0.*context 512") as error:
        compared(place, out="book", settings={**SETTINGS, "documents": str(documents)})
    assert "--without open-book" in error.value.next and not (place / "book" / "students").exists()


def test_a_tokenizer_that_is_larger_than_the_table_is_refused(place: Path) -> None:
    other = tiny_model(place / "narrow")
    config = other / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vocab_size": 100}))
    with pytest.raises(sg.SynthgainError, match="the model's table 100"):
        compared(place, out="narrowed", base=f"hf/{other}")


def test_questions_that_name_no_document_have_no_open_book(place: Path) -> None:
    asked = [json.loads(line) for line in (place / "questions.jsonl").read_text().splitlines()]
    free = lines(place / "free.jsonl", [{name: one[name] for name in one if name != "document"} for one in asked])
    settings = {**SETTINGS, "students": 1, "rates": (1e-3,), "tokens": 64, "equal": "tokens"}
    told = compared(place, out="free", on=free, settings=settings, without=("long", "mixture", "random"))
    assert list(by_name(told)) == ["base", "retrieval", "repeated", "short"]
    assert any("no arm open-book" in note for note in told["notes"])


# ---------------------------------------------------------------------------------------------- killed


DRIVER = """
import sys
from synthgain.api import arms
place, settings = sys.argv[1], eval(sys.argv[2])
arms(place + "/runs", out=place + "/killed", on=place + "/questions.jsonl", base="hf/" + place + "/tiny", settings=settings,
     without=("mixture", "random"), say=lambda text: print(text, flush=True))
"""


@pytest.mark.slow
def test_killed_in_the_middle_of_an_arm_it_goes_on_and_ends_alike(place: Path, told: dict[str, Any]) -> None:
    command = [sys.executable, "-c", DRIVER, str(place), repr({**SETTINGS, "equal": "tokens"})]
    for stage in ("    step 1/", "  long", "learning rate 0.001"):
        process = subprocess.Popen(
            command, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        assert any(line.startswith(stage) for line in process.stdout), f"{stage} never came"
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    whole = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert whole.returncode == 0, whole.stderr
    found = json.loads((place / "killed" / "arms.json").read_text())
    for mine, calm in zip(found["arms"], told["arms"], strict=True):
        assert mine["name"] == calm["name"] and mine["tokens"] == calm["tokens"]
        ours, theirs = ({r["name"]: r["value"] for r in arm["readings"]} for arm in (mine, calm))
        assert ours == pytest.approx(theirs, abs=1e-3)
