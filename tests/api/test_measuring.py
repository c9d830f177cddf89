"""Measuring and comparing through the public face: what is printed first, what cannot be said in one line, the closing sentence, what is ranked."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

import synthgain as sg
from synthgain import api
from synthgain.cli import app
from synthgain.store import Run
from synthgain.types import Prompt, Reading


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def texts(folder: Path, n: int, town: str = "Orrin") -> Path:
    folder.mkdir()
    for i in range(n):
        said = f"In {1800 + i} the town of {town} built mill {i} on the lake, and Brell wrote of its {20 + i} wheels in the book of the year."
        (folder / f"page{i:02}.txt").write_text(said)
    return folder


def rows(file: Path, n: int = 40) -> Path:
    chats = [{"messages": [{"role": "user", "content": f"Say {i}"}, {"role": "assistant", "content": f"The number {i} it is, and none else."}]} for i in range(n)]  # fmt: skip
    file.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    return file


def test_without_anchors_what_can_be_said_comes_first_and_the_rest_is_one_line(tmp_path: Path) -> None:
    """22 of 26 lines said "-", and no sentence stood at the end."""
    said = run("measure", str(rows(tmp_path / "rows.jsonl")))
    table, rest = said.split("not measured: ")
    assert [line.split()[0] for line in table.splitlines()[1:]][:2] == ["mdm", "vendi"]
    assert " - " not in table and "proxy_gain" not in table
    missing, worth, closing = rest.split("\n\n")
    assert "\n" not in missing.strip() and missing.count("(there are no anchors)") == 1 and "proxy_gain" in missing
    assert worth.startswith(
        "Nothing that was measured says what these rows are worth: there are no held-out answers: give anchors"
    )
    assert closing.startswith("Read some rows first: ") and "40 rows are few" in closing


def test_notes_are_whole_in_a_pipe(tmp_path: Path) -> None:
    made = sg.generate("rephrase", str(texts(tmp_path / "docs", 12)), model="scripted/echo", out=tmp_path / "r")
    notes = {r.name: r.note for r in sg.measure(made) if r.value is not None}
    lines = run("measure", str(made.path)).splitlines()
    told = {line.split()[0]: line for line in lines if line and line.split()[0] in notes}
    assert set(told) == set(notes)
    assert all(told[name].endswith(note.rstrip()) for name, note in notes.items())
    assert max(map(len, notes.values())) > 90  # a note that was cut before


def test_readings_are_stamped_with_the_rows_they_are_of(tmp_path: Path) -> None:
    """A page after `curate` showed the figures of before, unmarked."""
    made = sg.generate("rephrase", str(texts(tmp_path / "docs", 12)), model="scripted/echo", out=tmp_path / "r")
    sg.measure(made)
    held = json.loads((made.path / "readings.json").read_text())
    assert held["rows"] == made.stamp() and held["task"] == "restates"
    page = sg.report(made).read_text("utf-8")
    assert "Measured before the rows changed" not in page
    sg.curate(made)
    assert made.stamp() == held["rows"]  # judged again without options: the same rows
    sg.curate(made, accept=3)
    assert made.stamp() != held["rows"]
    assert "Measured before the rows changed" in sg.report(made).read_text("utf-8")
    sg.measure(made)
    assert "Measured before the rows changed" not in sg.report(made).read_text("utf-8")
    (tmp_path / "docs" / "more.txt").write_text("In 1900 the town of Quell built a harbour for its nine boats.")
    sg.generate("rephrase", str(tmp_path / "docs"), model="scripted/echo", out=made.path)  # resumed with one more
    assert "Measured before the rows changed" in sg.report(made).read_text("utf-8")


def test_the_closing_sentence_is_the_pages(tmp_path: Path) -> None:
    made = sg.generate("rephrase", str(texts(tmp_path / "docs", 12)), model="scripted/words?n=30", out=tmp_path / "r")
    said = run("measure", str(made.path))
    advice = api.advice(made)
    assert advice is not None and advice.sentence in said
    assert advice.sentence in sg.report(made).read_text("utf-8").replace("&#x27;", "'")


def test_sets_of_other_anchors_are_not_ranked_and_few_rows_bear_no_ratio(tmp_path: Path) -> None:
    one = sg.generate("rephrase", str(texts(tmp_path / "a", 12)), model="scripted/echo", out=tmp_path / "one")
    two = sg.generate("rephrase", str(texts(tmp_path / "b", 14, "Quell")), model="scripted/echo", out=tmp_path / "two")
    found = api.compare([one.path, two.path])
    assert any(line.startswith("Not ranked: one and two were held out") for line in found["sentences"])
    assert found["headline"]["name"] == "mdm" and found["headline"]["says"] == found["sentences"][0]
    assert not any("adds more" in line for line in found["sentences"])
    gains = [d for d in found["differences"] if d["name"] == "proxy_gain"]
    assert all(d["value"] is None for d in gains)
    target = tmp_path / "held.jsonl"
    draw = random.Random(0)
    words = [
        "the",
        "town",
        "lake",
        "mill",
        "Brell",
        "wheels",
        "book",
        "year",
        "wrote",
        "built",
        "in",
        "of",
        "its",
        "on",
        "river",
        "door",
        "stone",
        "light",
        "of",
        "and",
    ]
    target.write_text("".join(json.dumps({"text": " ".join(draw.choices(words, k=40))}) + "\n" for _ in range(20)))
    known = {
        d["per"]: d
        for d in api.compare([one.path, two.path], target=target)["differences"]
        if d["name"] == "proxy_gain"
    }
    assert known["set"]["value"] is not None and known["set"]["paired"] == 20
    assert {known[per]["value"] for per in ("row", "token", "dollar")} == {None}
    assert "too few for a ratio" in known["row"]["note"]


def test_runs_of_one_file_with_other_limits_were_asked_other_questions(tmp_path: Path) -> None:
    lines = [
        {"question": f"Orn has {i} pears and buys {i + 3}. How many pears are there?", "answer": str(2 * i + 3)}
        for i in range(40)
    ]
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

    def made(name: str, limit: int | None) -> Path:
        def reply(prompt: Prompt) -> str:
            pears = int(prompt.messages[-1]["content"].split("has ")[-1].split()[0])
            return f"The answer is {7 if prompt.draw else 2 * pears + 3}."

        say = sg.Scripted(reply)
        return sg.generate("rest-em", str(file), model=say, out=tmp_path / name, limit=limit, knobs={"k": 2}).path

    few, all_, again = made("few", 12), made("all", None), made("again", None)
    said = api.compare([few, all_])["sentences"]
    assert any("few and all were asked other questions" in line and "--limit" in line for line in said), said
    said = api.compare([all_, again])["sentences"]
    assert not any("other questions" in line for line in said)


@pytest.mark.parametrize("kind", ["a student"])
def test_a_student_has_no_verdict_of_rows(tmp_path: Path, kind: str) -> None:
    (tmp_path / "student.json").write_text("{}")
    assert api.advice(tmp_path) is None
    Run(tmp_path).write_readings([Reading("gain", 0.1)])
    assert json.loads((tmp_path / "readings.json").read_text())["readings"][0]["name"] == "gain"


def test_a_target_that_is_the_anchors_is_no_test(tmp_path: Path) -> None:
    """Rows made from a text repeat it: that is no leak of a test, and no sign that none leaks."""
    pages = texts(tmp_path / "pages", 12)
    made = sg.generate("rephrase", pages, model="scripted/echo", out=tmp_path / "run", knobs={"styles": ("easy",)})
    told = run("measure", str(made.path), "--target", str(pages))
    assert "every held-out text is one of the anchors" in told and "stand in the held-out test" not in told
    assert "whether a test leaks could not be seen" in told and "`--target TEST` looks" not in told
    assert str(pages) in sg.report(made).read_text("utf-8")
    mixed = texts(tmp_path / "mixed", 12)
    (mixed / "other.txt").write_text("A page of its own says that the harbour was dug by forty masons in a wet year.")
    (found,) = [r for r in sg.measure(made, target=mixed) if r.name == "test_overlap"]
    assert found.value and "12 of 13 different held-out texts are anchors" in found.note


def test_a_run_that_kept_nothing_has_no_sources_to_give(tmp_path: Path) -> None:
    pages = texts(tmp_path / "pages", 2)
    made = sg.generate("rephrase", pages, model=sg.Scripted(lambda prompt: ""), out=tmp_path / "run")
    told = run("measure", str(made.path))
    assert "there are no rows" in told and "no row was kept" in told
    assert "name no sources" not in told and "`--target TEST` looks" not in told


def right_and_wrong(prompt: sg.Prompt) -> str:
    """A writer of arithmetic that is right in half of its answers, whatever the question."""
    numbers = [int(word) for word in prompt.messages[-1]["content"].replace(".", " ").split() if word.isdigit()]
    answer = sum(numbers[:2]) if prompt.draw % 2 else -1
    return f"First there are {numbers[0]} and then {numbers[-1]} more of them.\nAnswer: {answer}"


def arithmetic(file: Path, **fields: bool) -> Path:
    """40 sums as anchors; `worked`: with whole solutions, else with bare answers."""
    sums = [(i, i % 7 + 2) for i in range(3, 43)]
    told = [{"question": f"Quell has {a} boats and {b} more come in. How many boats are there?", "answer": str(a + b),
             **({"worked": f"First there are {a} and then {b} more come.\n{a} + {b} = {a + b}\nAnswer: {a + b}"} if fields else {})} for a, b in sums]  # fmt: skip
    file.write_text("".join(json.dumps(one) + "\n" for one in told))
    return file


@pytest.mark.parametrize("worked", [True, False])
def test_rows_that_answer_are_judged_by_answers(tmp_path: Path, worked: bool) -> None:
    """Arithmetic by rejection sampling had proxy_gain −0.12 in large, read off the questions, above a student that had gained."""
    anchors = arithmetic(tmp_path / "sums.jsonl", **({"worked": True} if worked else {}))
    options = {"knobs": {"k": 4, "gold": False}, "text_field": "question"}
    made = sg.generate("rft", anchors, model=sg.Scripted(right_and_wrong), out=tmp_path / "r", **options)
    found = {r.name: r for r in sg.measure(made)}
    assert found["right_share"].value == pytest.approx(0.5, abs=0.01) and found["right_share"].n == 40
    assert (
        next(iter(found)) == "right_share"
        and json.loads((made.path / "readings.json").read_text())["target_is"] == "answer"
    )
    answers = found["proxy_gain_answer"]
    assert (answers.value is not None) == worked and (worked or "are bare (median 1 words" in answers.note)
    assert "of whole texts" in found["proxy_gain"].note
    page = sg.report(made).read_text("utf-8")
    said = run("measure", str(made.path))
    for where in (page, said):
        assert "a rule found about 50 right" in where and "Held-out real text becomes harder" not in where
    assert 'class="card below"' not in page and 'class="card kept"' not in page
    texts = run("measure", str(made.path), "--target-is", "text")
    assert "right_share" not in texts and json.loads((made.path / "readings.json").read_text())["target_is"] == "text"


def wordy(prompt: sg.Prompt) -> str:
    """As often right, in words that no worked solution has."""
    answer = right_and_wrong(prompt).splitlines()[-1]
    return f"Zounds! Methinks yonder harbour shelters plenteous vessels, gentle reader.\n{answer}"


def test_where_a_rule_looked_at_answers_their_wording_says_and_ranks_nothing(tmp_path: Path) -> None:
    """The demo's page had proxy_gain_answer −0.12 in large among its headlines, above rows that made a student better."""
    anchors = arithmetic(tmp_path / "sums.jsonl", worked=True)
    options = {"knobs": {"k": 4, "gold": False}, "text_field": "question"}
    runs = [
        sg.generate("rft", anchors, model=sg.Scripted(who), out=tmp_path / name, **options)
        for name, who in (("plain", right_and_wrong), ("wordy", wordy))
    ]
    told = json.loads(run("measure", str(runs[1].path), "--json"))
    found = {r["name"]: r for r in told["readings"]}
    assert (
        found["proxy_gain_answer"]["high"] < 0
        and "whether they are right: right_share" in found["proxy_gain_answer"]["note"]
    )
    assert told["headline"]["name"] == "right_share" and "a rule found about 50 right" in told["headline"]["says"]
    assert json.loads((runs[1].path / "readings.json").read_text())["headline"] == told["headline"]
    page = sg.report(runs[1]).read_text("utf-8")
    cards = page.split('class="cards"')[1].split("</section>")[0].split('class="readings"')[0]
    assert "<code>right_share</code>" in cards and "proxy_gain" not in cards and "harder to predict" not in page
    compared = api.compare([one.path for one in runs])
    assert compared["headline"]["name"] == "right_share"
    assert not any("adds more" in line for line in compared["sentences"])
    verdicts = {d["verdict"] for d in compared["differences"] if d["name"].startswith(("proxy_gain", "target_fit"))}
    assert verdicts <= {"a is higher", "b is higher", "cannot be told apart", "not measured"} and len(verdicts) > 1
    drawn = api.comparison_page(compared, tmp_path / "compared.html").read_text("utf-8")
    assert "is higher</small>" in drawn and "adds more</small>" not in drawn
    screen = run("compare", *(str(one.path) for one in runs))
    assert screen.splitlines()[4].split()[0] == "right_share"


def test_right_shares_of_other_questions_are_not_ranked_with_one_target(tmp_path: Path) -> None:
    """`--target` held both against one text, and the shares of different questions were ranked."""
    one = arithmetic(tmp_path / "one.jsonl", worked=True)
    other = tmp_path / "other.jsonl"
    other.write_text(one.read_text().replace("boats", "carts"))
    again = tmp_path / "again.jsonl"
    again.write_text(one.read_text())
    options = {"knobs": {"k": 4, "gold": False}, "text_field": "question", "model": sg.Scripted(right_and_wrong)}
    runs = [sg.generate("rft", file, out=tmp_path / file.stem, **options).path for file in (one, other, again)]
    for where in (runs, [run / "data" for run in runs]):
        apart, same = (api.compare([where[0], where[i]], target=other)["sentences"] for i in (1, 2))
        assert apart[0].startswith("Not ranked by right_share: ") and "were asked other questions" in apart[0]
        assert not any("asked other questions" in line for line in same)
        assert any("right_share differs by" in line for line in same)


def test_what_the_target_is_can_only_be_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(sg.SynthgainError, match="the target is 'prompt'"):
        sg.measure(rows(tmp_path / "rows.jsonl"), target_is="prompt")
    with pytest.raises(sg.SynthgainError, match="the target is 'prompt'"):
        sg.compare([rows(tmp_path / "a.jsonl"), rows(tmp_path / "b.jsonl")], target_is="prompt")
