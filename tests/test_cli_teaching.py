"""Training, evaluation and rounds from the command line, with a very small model: what is typed, printed and refused."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from doubles.tiny import tiny_model
from synthgain import cli

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"hf/{tiny_model(tmp_path_factory.mktemp('base') / 'tiny')}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for n in range(4):
        (tmp_path / "docs" / f"{n}.txt").write_text(f"The river Tolmar flows past the town of Quell {n} times.")
    lines(
        "choices.jsonl", [{"question": f"Which river {n}?", "options": ["Tolmar", "Ada"], "gold": 0} for n in range(3)]
    )
    lines("pairs.jsonl", [{"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."} for n in range(4)])
    Path("config.json").write_text(json.dumps({"model_type": "llama", **SIZES}))
    return tmp_path


def lines(file: str, records: Sequence[object]) -> None:
    Path(file).write_text("".join(json.dumps(record) + "\n" for record in records))


def typed(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["synthgain", *words])
        try:
            cli.main()
        except SystemExit as done:
            return int(done.code or 0)
    return 0


def test_documents_are_taught_and_examined_by_choices(
    place: Path, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["loop", "rephrase", "docs", "-o", "loop", "--on", "choices.jsonl", "-m", "scripted/echo", "--base", tiny]
    assert typed(*words, "--max-steps", "1", "--length", "48", "--without", "all", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    arms = {arm["name"]: arm for arm in told["arms"]}
    assert list(arms) == ["base", "unfiltered", "filtered"] and arms["filtered"]["method"] == "cpt"
    assert all(next(r for r in arm["readings"] if r["name"] == "accuracy")["n"] == 3 for arm in arms.values())


def test_pairs_say_how_they_are_learnt_and_a_student_starts_from_nothing(
    place: Path, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        typed("train", "pairs.jsonl", "-o", "dpo", "--base", tiny, "--max-steps", "1", "--learning-rate", "1e-3") == 0
    )
    said = capsys.readouterr()
    assert "dpo: 4 rows read, 4 to learn" in said.err and "dpo: 4 rows read" in said.out
    scratch = ["train", "docs", "-o", "new", "--config", "config.json", "--tokenizer", tiny, "--max-steps", "1"]
    assert typed(*scratch, "--replay", "pairs.jsonl", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["base"], record["method"], record["replay"]["rows"]) == ("scratch", "cpt", 4)
    assert typed("evaluate", "new", "--on", "choices.jsonl", "--json") == 0
    assert json.loads(capsys.readouterr().out)["readings"][0]["n"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "docs", "--config", "none.json"], "configuration cannot be read"),
        (["train", "docs", "--learn", "everything"], "--learn reasoning"),
        (["train", "docs", "--method", "dpo"], "no row is a preference pair"),
        (["train", "docs", "--method", "ppo"], "sft, cpt or dpo"),
        (["train", "docs", "--config", "config.json", "--replay", "self"], "no text of their own"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_what_to_type(
    words: list[str], said: str, place: Path, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(*words, "-o", "s", "--base", tiny) == 2
    assert said in capsys.readouterr().err and not Path("s").exists()


def script(name: str, *answers: str) -> str:
    """A model that answers the questions 1, 2, … with these, and otherwise thinks."""
    lines(name, [{"match": f"Number {n}", "answer": answer} for n, answer in enumerate(answers, 1)])
    return f"scripted/{name}"


def test_two_models_are_set_against_each_other_on_questions(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines("asked.jsonl", [{"question": f"Number {n}?", "answer": "7"} for n in (1, 2, 3)])
    good, poor = script("good.jsonl", *["Answer: 7"] * 3), script("poor.jsonl", "Answer: 7", *["Answer: 8"] * 2)
    assert typed("evaluate", good, "--on", "asked.jsonl", "--against", poor, "--json") == 0
    found = {r["name"]: r for r in json.loads(capsys.readouterr().out)["readings"]}
    for name in ("accuracy difference", "pass_at_2 difference", "pass_at_4 difference"):
        assert found[name]["value"] == pytest.approx(2 / 3) and found[name]["n"] == 3
        assert found[name]["low"] < 2 / 3 < found[name]["high"] and f"less {poor}" in found[name]["note"]
    assert typed("evaluate", good, "--on", "asked.jsonl", "--against", poor, "--think", "0,4") == 2
    assert "by itself" in capsys.readouterr().err


def test_accuracy_against_thinking_tokens_is_printed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines("asked.jsonl", [{"question": f"Number {n}?", "answer": "7"} for n in (1, 2)])
    lines("thinks.jsonl", [{"match": "</t>", "answer": "Answer: 7"}, {"answer": "so so so"}])
    words = ["evaluate", "scripted/thinks.jsonl", "--on", "asked.jsonl", "--think", "0,2, 8", "--think-again", "1"]
    assert typed(*words, "--think-marks", "<t>", "</t>", "--json") == 0
    found = {r["name"]: r["value"] for r in json.loads(capsys.readouterr().out)["readings"]}
    assert [found[f"thinking_tokens/think={n}"] for n in (0, 2, 8)] == [
        0,
        2,
        5,
    ]  # the script writes three words, of which two count at first
    assert found["accuracy/think=8"] == 1 and found["accuracy difference/think=8"] == 0
    assert typed(*words, "--think-marks", "<t>", "</t>") == 0
    assert "accuracy/think=2" in capsys.readouterr().out
    for wrong in ("a", "5,5", "-1", ","):
        assert typed("evaluate", "scripted/echo", "--on", "asked.jsonl", "--think", wrong) == 2
        assert "--think" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("--on", "asked.jsonl", "--also", "letter"), ("--held-out", "asked.jsonl", "--against", "scripted/echo")]
)
def test_options_that_nobody_would_read_are_refused_before_anything_is_asked(
    words: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines("asked.jsonl", [{"question": "3 + 4?", "answer": "7"}])
    assert typed("evaluate", "scripted/echo", *words) == 2
    assert words[2] in capsys.readouterr().err and not Path("runs").exists()


def test_a_model_that_is_none_is_told_before_the_other_answers(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines("asked.jsonl", [{"question": "3 + 4?", "answer": "7"}])
    assert typed("evaluate", "scripted/echo", "--on", "asked.jsonl", "--against", "none/such") == 2
    assert "none/such" in capsys.readouterr().err and not Path("runs").exists()


@pytest.mark.parametrize("words", [("--think-again", "2"), ("--think-marks", "<think>", "</think>")])
def test_how_to_think_without_a_budget_is_refused(
    words: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines("asked.jsonl", [{"question": "Number 1?", "answer": "7"}])
    assert typed("evaluate", "scripted/echo", "--on", "asked.jsonl", *words) == 2
    said = capsys.readouterr().err
    assert f"{words[0]} says how to think" in said and "0,64,256" in said


@pytest.mark.parametrize("after", [(), ("--think", "0,4"), ("--json",)], ids=["last", "an option", "a flag"])
def test_one_mark_of_thinking_is_too_few(
    after: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("evaluate", "scripted/echo", "--on", "asked.jsonl", "--think-marks", "<t>", *after) == 2
    said = capsys.readouterr().err
    assert said.startswith("synthgain: --think-marks: it takes 2 words") and "--think-marks BEGIN END" in said


PLAN = """
from synthgain.loop import Arm, Part

ARMS = [Arm("base"), Arm("one", (Part("texts.jsonl"),)), Arm("two", (Part("texts.jsonl", rows=2),))]
SETTINGS = {"tokens": 64, "students": 1, "rates": (1e-3,), "batch": 1, "length": 64}
"""


def test_arms_end_with_one_table_and_one_verdict(place: Path, tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines("texts.jsonl", [{"text": f"The river Tolmar flows past Quell {n} times."} for n in range(4)])
    Path("plan.py").write_text(PLAN)
    words = ["arms", "plan.py", "-o", "arms", "--on", "choices.jsonl", "--base", tiny]
    assert typed(*words) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[:4]] == ["arm", "base", "one", "two"]
    assert "at the one learning rate that was tried" in said[4] and said[5].startswith("At equal cost")
    assert typed(*words, "--json", "--equal", "tokens") == 0
    told = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in told["arms"]] == ["base", "one", "two"] and told["reference"] == "one"
    assert typed(*words, "--without", "three") == 2
    assert "no arm 'three'" in capsys.readouterr().err


def test_evaluate_wants_something_to_ask(place: Path, tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("evaluate", tiny) == 2 and "--task" in capsys.readouterr().err
    Path("held.txt").write_text("The salt widow built the bridge in 1417.")
    words = ["evaluate", tiny, "--on", "choices.jsonl", "--also", "letter", "--held-out", "held.txt", "--json"]
    assert typed(*words) == 0
    names = {r["name"] for r in json.loads(capsys.readouterr().out)["readings"]}
    assert {"accuracy", "accuracy_letter", "perplexity", "loss_at/0-15"} <= names
    assert typed(*words, "--also", "shouting") == 2 and "letter or generation" in capsys.readouterr().err
