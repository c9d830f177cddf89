"""The page: self-contained, well formed, all data escaped, whatever is missing."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
from pathlib import Path

import pytest

from doubles.folders import LAW, MODEL, arms, dump, loop_folder, problem, run_folder
from report.pages import Document, checked
from synthgain.report.page import write
from synthgain.types import Anchor, Call, Prompt, Row, SynthgainError, assistant, drop, user


def opened(folder: Path) -> Document:
    """The folder's page, checked to be self-contained."""
    return checked(write(folder))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_folder(tmp_path_factory.mktemp("report") / "loop", rounds=2, anchors=12)


# ---------------------------------------------------------------------------------------------- contents


def test_a_run_shows_its_numbers_reasons_and_lineage(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    said = opened(run).said
    assert f"rft: {record['counts']['kept']} rows from 24 anchors" in said
    assert f"The checks let {record['counts']['kept']} of them pass" in said
    for check, n in record["dropped_by"].items():
        assert check in said and f"−{n}" in said.replace("− ", "−")
    for words in ("off by one or two", "problems.jsonl#", "Every check let it pass", "Q: ", "nats a token", MODEL):
        assert words in said
    assert "0.74 [0.69, 0.80]" in said and "−0.02 [−0.06, 0.02]" in said  # delta_I and proxy_gain of the double
    assert "randomness, not usefulness" in said
    assert "fewer than two rows were kept" in said and "a note that explains it" in said


def test_a_loop_shows_arms_differences_curves_and_every_round(loop: Path) -> None:
    document = opened(loop)
    for words in (
        "0.68 [0.58, 0.76]",
        "filtered less base",
        "filtered is higher",
        "Round 0: the run",
        "Round 1: the run",
    ):
        assert words in document.said
    lines = [a for tag, a in document.tags if tag == "polyline"]
    assert len(lines) == 4  # two students in each of two rounds
    ids = [a["id"] for _, a in document.tags if "id" in a and not str(a["id"]).startswith("dot-")]
    assert len(ids) == len(set(ids))
    targets = {a["href"] for tag, a in document.tags if tag == "a"}
    assert {str(t)[1:] for t in targets} <= set(ids)
    assert document.said.index("filtered 114 rows") < document.said.index("base-few-shot not trained")  # sorted


def test_the_page_is_the_same_each_time_and_small(run: Path, tmp_path: Path) -> None:
    first = write(run, tmp_path / "a.html").read_bytes()
    assert write(run, tmp_path / "b.html").read_bytes() == first
    assert len(first) < 1_500_000


def test_the_policy_names_the_hash_of_the_only_script(run: Path) -> None:
    document = opened(run)
    policy = next(
        a["content"] for tag, a in document.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    seal = base64.b64encode(hashlib.sha256(document.scripts[0].encode()).digest()).decode()
    assert policy is not None and f"'sha256-{seal}'" in policy and "default-src 'none'" in policy


# ---------------------------------------------------------------------------------------------- hostile data

HOSTILE = (
    "<script>alert(1)</script>",
    "</style></script><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "[link](javascript:alert(1)) <a href='javascript:alert(1)'>here</a>",
    "rtl \u202etxt.exe\u202c \u2066hidden\u2069 \u200b\ufeff",
    "nul \x00 escape \x1b[2J bell \x07",
    "$title ${body} {braces} %s &amp; &lt;b&gt; ]]> <!-- -->",
    "lone \ud800 surrogate",
)


def hostile_run(folder: Path) -> Path:
    rows = []
    anchors = [Anchor(f"anchor {text}", text.replace("\ud800", "?"), {"x": "y"}) for text in HOSTILE]
    for i, (text, anchor) in enumerate(zip(HOSTILE, anchors)):
        prompt = Prompt((user(f"ask {text.replace(chr(0xD800), '?')}"),), sampling=LAW, draw=i)
        call = Call(
            prompt.id("w"),
            prompt,
            assistant(f"say {text}"),
            MODEL + text.replace("\ud800", "?"),
            "<b>odd</b>",
            3,
            4,
            0,
            -2.0,
            "law",
            0.25,
            0.1,
        )
        verdicts = () if i % 2 else (drop(text.replace("\ud800", "?"), 0.5, check=f"check {text[:20]}"),)
        rows.append(
            Row(
                messages=(user(f"ask {text}"), assistant(f"say {text}")),
                calls=(call,),
                fields={text.replace("\ud800", "?"): 1},
                verdicts=verdicts,
                anchors=(anchor.id,),
            )
        )
    wild = HOSTILE[1]
    record = {
        "models": {wild: HOSTILE[0]},
        "recipe": {"name": wild, "version": HOSTILE[2], "source": HOSTILE[3], "knobs": {wild: wild}, "checks": [wild]},
        "status": wild,
        "why": wild,
        "command": wild,
        "finished": wild,
    }
    run_folder(folder, rows=rows, given=anchors, record=record)
    dump(
        folder / "readings.json",
        {
            "readings": [
                {"name": text.replace("\ud800", "?"), "value": 1.0, "low": 0.5, "high": 2.0, "unit": wild, "note": wild}
                for text in HOSTILE
            ]
        },
    )
    return folder


def test_hostile_texts_are_shown_and_never_become_markup(tmp_path: Path) -> None:
    document = opened(hostile_run(tmp_path / "run"))
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "<script>alert(1)</script>" in document.said  # as text
    assert "⟨U+202E⟩" in document.said and "⟨U+0000⟩" in document.said and "⟨U+001B⟩" in document.said
    for raw in "\u202e\u2066\x00\x1b\x07\u200b":
        assert raw not in page
    assert not any(tag == "img" for tag, _ in document.tags)
    assert "$title ${body} {braces} %s &amp; &lt;b&gt;" in document.said


def test_a_megabyte_in_one_row_is_cut_with_a_note(tmp_path: Path) -> None:
    rng = random.Random(0)
    anchor = problem(rng)
    long = "word " * 200_000
    prompt = Prompt((user(anchor.text),), sampling=LAW)
    call = Call(prompt.id("w"), prompt, assistant(long), MODEL, tokens_out=200_000)
    row = Row(messages=(user(anchor.text), assistant(long)), calls=(call,), anchors=(anchor.id,))
    folder = run_folder(tmp_path / "run", rows=[row], given=[anchor])
    said = opened(folder).said
    assert "Cut here: 997,600 more characters are not shown." in said
    assert (folder / "report.html").stat().st_size < 100_000


def test_hostile_arms_notes_and_paths_of_a_loop(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    dump(secret / "student.json", {"method": "SECRET", "curve": []})
    dump(secret / "arms.json", {"arms": [{"name": "SECRET"}]})
    folder = tmp_path / "loop"
    wild = HOSTILE[1]
    given = arms()
    given["arms"][0]["name"] = wild
    dump(folder / "arms.json", given)
    rounds = [
        {"round": wild, "run": "../secret", "arms": str(secret / "arms.json"), "students": {wild: "../secret", "x": 3}},
        wild,
        None,
    ]
    dump(folder / "loop.json", {"recipe": wild, "note": wild, "settings": {wild: [wild, {"a": 1.5}]}, "rounds": rounds})
    said = opened(folder).said
    assert "SECRET" not in said
    assert "points outside its folder" in said
    assert wild in said


# ---------------------------------------------------------------------------------------------- missing parts


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("readings.json", "there is no readings.json"),
        ("rows", "there is no rows/ with Parquet files"),
        ("anchors", "there is no anchors/ with Parquet files"),
        ("calls", "there is no memory of calls"),
        ("data", "What fell, and why"),
    ],
)
def test_a_missing_part_of_a_run_is_said(run: Path, tmp_path: Path, gone: str, words: str) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    part = copy / gone
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    assert words in opened(copy).said


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("readings.json", b"{not json", "readings.json cannot be read"),
        ("readings.json", b"[1, 2]", "does not hold a JSON object"),
        ("readings.json", b'{"readings": [{"name": "x", "value": "NaN", "n": "many"}, 3]}', "x no reason given"),
        ("readings.json", b'{"readings": [{"name": "x", "value": 1}]}', "No description is known"),
        ("readings.json", b'{"readings": [{"name": "x", "value": NaN, "low": Infinity}]}', "none"),
        ("rows/part-00000.parquet", b"not parquet", "part-00000.parquet cannot be read"),
        ("calls/calls.sqlite", b"not a database" * 200, "the memory of calls cannot be read"),
        ("run.json", b"{}", "The status of this run is not known"),
        (
            "run.json",
            b'{"counts": [], "models": 3, "tokens": "x", "recipe": null, "seconds": "x", "dropped_by": 1}',
            "a run without a name",
        ),
        ("run.json", b"\xff\xfe", "run.json cannot be read"),
        ("run.json", b'{"status": "stopped", "why": "the token budget is used up"}', "the token budget is used up"),
        ("run.json", b'{"status": "running"}', "had not ended"),
    ],
)
def test_a_damaged_part_of_a_run_is_said(run: Path, tmp_path: Path, file: str, content: bytes, words: str) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    (copy / file).write_bytes(content)
    assert words in opened(copy).said


def test_a_run_without_rows(tmp_path: Path) -> None:
    said = opened(run_folder(tmp_path / "run", rows=[], given=[])).said
    assert "There are no rows in this folder yet" in said


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("arms.json", "0.68 [0.58, 0.76]"),  # the last round's stand in
        ("round-0/run", "there is no round-0/run"),
        ("round-1/arms.json", "there is no round-1/arms.json"),
        ("round-0/students/filtered", "there is no round-0/students/filtered"),
        ("round-0/students/filtered/student.json", "there is no student.json"),
    ],
)
def test_a_missing_part_of_a_loop_is_said(loop: Path, tmp_path: Path, gone: str, words: str) -> None:
    copy = Path(shutil.copytree(loop, tmp_path / "loop"))
    part = copy / gone
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    assert words in opened(copy).said


@pytest.mark.parametrize("record", [{}, {"rounds": []}, {"rounds": [{}]}, {"rounds": "x", "note": 3, "settings": 4}])
def test_a_loop_of_nothing(tmp_path: Path, record: dict[str, object]) -> None:
    dump(tmp_path / "loop.json", record)
    said = opened(tmp_path).said
    assert "No student’s accuracy" in said or "No student's accuracy" in said


def test_overlapping_intervals_are_not_called_a_difference(tmp_path: Path) -> None:
    def arm(name: str, value: float, low: float, high: float) -> dict[str, object]:
        return {
            "name": name,
            "rows": 10,
            "readings": [{"name": "accuracy", "value": value, "low": low, "high": high, "n": 40}],
        }

    dump(tmp_path / "loop.json", {"rounds": [{}]})
    dump(tmp_path / "arms.json", {"arms": [arm("a", 0.5, 0.35, 0.65), arm("b", 0.45, 0.3, 0.6)]})
    assert "does not tell them apart" in opened(tmp_path).said.replace("alone does", "does")
    dump(tmp_path / "arms.json", {"arms": [arm("a", 0.8, 0.7, 0.9), arm("b", 0.45, 0.3, 0.6)]})
    assert "do not overlap" in opened(tmp_path).said


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="nothing here to report on") as error:
        write(tmp_path)
    assert error.value.code == 2 and error.value.next


def test_rows_of_plain_text_made_by_several_calls(tmp_path: Path) -> None:
    anchor = Anchor("The mill at Orle grinds salt. " * 200, "mill.md#0")
    prompts = [Prompt((user(f"step {n}: {anchor.text}"),), sampling=LAW, draw=n) for n in range(6)]
    made = tuple(Call(p.id("w"), p, assistant(f"piece {n}"), MODEL, tokens_out=3) for n, p in enumerate(prompts))
    rows = [
        Row(text="A text about the mill at Orle.", calls=made, anchors=(anchor.id, "f" * 32)),
        Row(text="No call made this.", anchors=(), verdicts=(drop("too short", 4.0, "length"),)),
    ]
    folder = run_folder(tmp_path / "run", rows=rows, given=[anchor], record={"recipe": {"name": "entigraph"}})
    said = opened(folder).said
    for words in (
        "Answer 4 of 6",
        "2 more calls",
        "A text about the mill at Orle.",
        "Anchor ffffffff is not in anchors/",
        "This row was made without a call",
        "This row names no anchor",
        "length dropped it: too short",
        "Scores: length 4",
    ):
        assert words in said
    assert "piece 5" not in said
