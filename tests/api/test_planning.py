"""`synthgain plan` as people use it: tables that are written down, folders that are counted, what a run says of a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from report.pages import checked
from synthgain import Run, Scripted, generate, passages, plan
from synthgain.api.planning import tokens_said
from synthgain.cli import app
from synthgain.types import Call, Prompt, SynthgainError, assistant

TEXT = "The mill by the river turns all day, and at night it stands still until the miller comes back. "


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for i in range(4):
        (folder / f"{i}.txt").write_text(f"Mill number {i}. " + TEXT * (i + 1), "utf-8")
    (folder / "again.txt").write_text("Mill number 0. " + TEXT, "utf-8")  # says what 0.txt says
    return folder


def said(*given: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["plan", *given, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("text", "tokens"), [("2000000", 2e6), ("2M", 2e6), ("0.5T", 5e11), ("1e9", 1e9), ("1,500", 1500), ("3 b", 3e9)]
)
def test_numbers_of_tokens_as_people_write_them(text: str, tokens: float) -> None:
    assert tokens_said(text) == pytest.approx(tokens)


@pytest.mark.parametrize("text", ["", "many", "-3", "2X", "nan"])
def test_what_is_no_number_of_tokens_is_refused(text: str) -> None:
    with pytest.raises(SynthgainError):
        tokens_said(text)


def test_a_table_in_json_and_the_same_in_csv(tmp_path: Path) -> None:
    rows = [{"name": "code", "tokens": "0.5T", "share": 0.2}, {"name": "web", "tokens": "5T", "share": "50%"}]
    (tmp_path / "plan.json").write_text(json.dumps({"horizon": "10T", "sources": rows}), "utf-8")
    (tmp_path / "plan.csv").write_text("name,tokens,share\ncode,0.5T,0.2\nweb,5T,50%\n", "utf-8")
    one = said(str(tmp_path / "plan.json"))
    other = said(str(tmp_path / "plan.csv"), "--horizon", "10T")
    assert one["sources"] == other["sources"]
    assert [source["epochs"] for source in one["sources"]] == pytest.approx([4, 1])
    assert one["unplanned_share"] == pytest.approx(0.3)
    assert {r["name"] for r in one["readings"]} == {"epochs", "worth"}


def test_a_folder_is_counted_and_a_text_that_stands_twice_counts_once(docs: Path) -> None:
    texts = {file.read_text("utf-8") for file in docs.iterdir()}
    found = plan(docs, horizon=10_000)["sources"][0]
    assert found["unique_tokens"] == pytest.approx(sum(map(passages.tokens, texts)))
    assert found["estimated"]
    assert found["epochs"] == pytest.approx(10_000 / found["unique_tokens"])


def test_a_tokenizer_counts_for_real(docs: Path, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    held = tokenizers.Tokenizer(tokenizers.models.WordLevel({"mill": 0, "?": 1}, unk_token="?"))
    held.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    held.save(str(tmp_path / "tokenizer.json"))
    words = sum(len(text.split()) for text in {file.read_text("utf-8") for file in docs.iterdir()})
    found = plan(docs, horizon=10_000, tokenizer=str(tmp_path))["sources"][0]
    assert found["unique_tokens"] == words and not found["estimated"]


def test_without_shares_each_source_is_read_equally_often(docs: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(TEXT * 9, "utf-8")
    found = plan([f"mills={docs}", tmp_path / "more.txt"], horizon="50k")["sources"]
    assert [one["name"] for one in found] == ["mills", "more.txt"]
    assert found[0]["epochs"] == pytest.approx(found[1]["epochs"])


@pytest.mark.parametrize("limit", [None, 2])
def test_what_a_run_yields_for_a_token_of_the_documents_it_was_made_from(
    docs: Path, tmp_path: Path, limit: int | None
) -> None:
    run = generate("rephrase", docs, model="scripted/words?n=40", out=tmp_path / "run", limit=limit)
    assert isinstance(run, Run)
    record = run.record
    made = plan(docs, horizon="100k", runs=[run.path], price="1,2")["sources"][0]
    (option,) = made["options"]
    used = {id for row in run.rows() for id in row["anchor_ids"]}
    read = sum(passages.tokens(anchor.text) for anchor in run.corpus() if anchor.id in used)
    kept = sum(passages.tokens(row["text"]) for row in run.rows(kept=True))
    times = made["synthetic_tokens"] / kept
    assert option["passes"] == pytest.approx(times * read / made["unique_tokens"])
    assert option["calls"] == pytest.approx(times * record["counts"]["calls_bought"])
    tokens = record["tokens"]
    assert option["cost_usd"] == pytest.approx(times * (tokens["in"] + 2 * tokens["out"]) / 1e6)
    assert option["seconds"] == pytest.approx(times * record["seconds"])


def test_tokens_that_a_server_had_cached_have_a_price_of_their_own(docs: Path, tmp_path: Path) -> None:
    def cached(prompt: Prompt) -> Call:
        turn = assistant(" ".join(str(i) for i in range(40)))
        return Call(prompt.id("warm"), prompt, turn, "scripted/warm", tokens_in=100, tokens_out=40, tokens_cached=60)

    run = generate("rephrase", docs, model=Scripted(cached, identity="warm"), out=tmp_path / "run")
    assert isinstance(run, Run) and run.record["tokens"]["in_cached"] == 60 * run.record["counts"]["calls_bought"]

    def cost(price: str) -> float:
        (option,) = plan(docs, horizon="100k", runs=[run.path], price=price)["sources"][0]["options"]
        return float(option["cost_usd"]) / float(option["calls"])

    assert cost("1,2") == pytest.approx((100 + 2 * 40) / 1e6)
    assert cost("1,2,0.1") == pytest.approx((40 + 0.1 * 60 + 2 * 40) / 1e6)


def test_time_is_not_known_where_calls_were_not_made_anew_unless_the_speed_is_said(docs: Path, tmp_path: Path) -> None:
    for _ in range(2):
        run = generate("rephrase", docs, model="scripted/words?n=40", out=tmp_path / "run", replace=True)
    again = plan(docs, horizon="100k", runs=[run.path])["sources"][0]["options"][0]
    assert again["seconds"] is None and again["calls"] > 0
    fast = plan(docs, horizon="100k", runs=[run.path], speed=10)["sources"][0]["options"][0]
    assert fast["seconds"] == pytest.approx(fast["tokens_out"] / 10)


def test_names_on_the_page_are_data(docs: Path, tmp_path: Path) -> None:
    rows = [{"name": "<script>alert(1)</script>", "path": str(docs), "share": 0.5}]
    (tmp_path / "plan.json").write_text(json.dumps({"horizon": "20k", "sources": rows}), "utf-8")
    page = tmp_path / "plan.html"
    said(str(tmp_path / "plan.json"), "-o", str(page))
    assert "<script>alert(1)</script>" in checked(page).said


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["docs"], "--horizon"),
        (["docs", "--horizon", "lots"], "2M"),
        (["docs", "--horizon", "2M", "--share", "other=0.5"], "docs"),
        (["docs", "--horizon", "2M", "--share", "docs=half"], "0.2"),
        (["docs", "--horizon", "2M", "--run", "docs"], "run"),
        (["docs", "--horizon", "2M", "--tokenizer", "docs"], "tokenizer.json"),
        (["nowhere", "--horizon", "2M"], "nowhere"),
        (["docs", "--horizon", "2M", "--price", "1"], "--price"),
        (["docs", "--horizon", "2M", "--price=-1,2"], "--price"),
        (["docs", "--horizon", "2M", "--price=nan,2"], "--price"),
        (["docs", "--horizon", "2M", "--speed", "0"], "--speed"),
        (["docs", "--horizon", "2M", "--speed", "nan"], "--speed"),
        (["docs", "--horizon", "2M", "-o", "."], "directory"),
        (["docs", "--horizon", "2M", "-o", "docs"], "docs"),
    ],
)
def test_bad_input_is_said_with_what_to_do(
    docs: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], named: str
) -> None:
    monkeypatch.chdir(docs.parent)
    result = CliRunner().invoke(app, ["plan", *given])
    assert isinstance(result.exception, SynthgainError)
    assert named in str(result.exception)


def test_what_of_the_horizon_belongs_to_no_source_is_said(tmp_path: Path) -> None:
    rows = [{"name": "web", "tokens": "5T", "share": share} for share in (0.75, 1)]
    part, whole = (plan({"horizon": "10T", "sources": [row]})["notes"] for row in rows)
    assert "25 %" in part[0] and len(part) == len(whole) + 1


def test_a_source_that_is_no_object_is_refused_and_not_left_out() -> None:
    with pytest.raises(SynthgainError, match="not every source"):
        plan({"horizon": "1M", "sources": ["web", {"name": "x", "tokens": "1k"}]})
