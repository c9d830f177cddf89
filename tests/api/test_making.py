"""Making data through Python: what is decided before a call, what a replay may change, what is told afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import synthgain as sg
from synthgain.api.asking import asked, turned
from synthgain.api.trying import first_prompts
from synthgain.models import Reach
from synthgain.types import (
    Anchor,
    AnotherRequest,
    Models,
    Prompt,
    Recipe,
    Row,
    SynthgainError,
    Verdict,
    drop,
    keep,
    user,
)

TEXTS = ["The pump of 1611 has 130 scoops.", "The mill of Orrin has two wheels.", "The carillon has nine bells."]
WORDS = "scripted/words?n=30"


@dataclass(frozen=True)
class Twice:
    """`k` answers an anchor, each looked at by a judge."""

    k: int = 2
    styles: tuple[str, ...] = ("plain", "fine")
    warm: bool = False
    share: float = 0.5
    tone: str = "calm"
    most: int | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is 1 or more, not {self.k}")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for call in models.each(Prompt((user(anchor.text),), draw=d) for d in range(self.k)):
            judged = await models(Prompt((user(f"Is this good? {call.text}"),), to="judge"))
            verdicts = () if judged.text.startswith("yes") else (drop("not good", check="judge"),)
            yield Row(text=call.text, calls=(call, judged), fields={"draw": call.prompt.draw}, verdicts=verdicts)


TWICE = Recipe("twice", "1", Twice(), roles=("writer", "judge"))


@dataclass(frozen=True)
class UpTo:
    """Keeps texts that stand before `last` in the alphabet, and `last` itself."""

    last: str
    name: str = "up-to"

    def __call__(self, row: Row, anchors: object) -> Verdict:
        return keep() if row.answer <= self.last else drop("too late")


@dataclass(frozen=True)
class Short:
    """Keeps texts of at most `most` characters."""

    most: int = 10
    name: str = "short"

    def __call__(self, row: Row, anchors: object) -> Verdict:
        return keep() if len(row.answer) <= self.most else drop("too long")


def rows(run: sg.Run) -> list[dict[str, object]]:
    return [row for shard in run.shards() for row in shard.to_pylist()]


# ---------------------------------------------------------------------------------------------- knobs, roles, checks


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("k", "5", 5),
        ("styles", "a, b ,c", ("a", "b", "c")),
        ("warm", "yes", True),
        ("warm", "False", False),
        ("share", "0.25", 0.25),
        ("share", "1", 1.0),
        ("tone", "", ""),
        ("tone", "7", "7"),
        ("most", "9", 9),
        ("most", "none", None),
        ("k", "3", 3),
    ],
)
def test_a_knob_given_as_text_is_read_by_its_own_kind(name: str, text: str, value: object) -> None:
    read = getattr(turned(TWICE, {name: text}).draft, name)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"kk": "1"}, "its knobs are: k, styles"),
        ({"k": "many"}, "k=many"),
        ({"k": "1.5"}, "k=1.5"),
        ({"warm": "maybe"}, "warm=maybe"),
        ({"k": "0"}, "k is 1 or more"),
        ({"k": 0}, "k is 1 or more"),
    ],
)
def test_a_knob_that_cannot_be_is_refused(knobs: dict[str, object], said: str) -> None:
    with pytest.raises(SynthgainError) as caught:
        turned(TWICE, knobs)
    assert caught.value.code == 2 and said in str(caught.value)


def test_a_recipe_without_knobs_says_so() -> None:
    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        yield Row(text="")

    with pytest.raises(SynthgainError, match="has no knobs"):
        turned(Recipe("plain", "1", draft), {"k": 1})


def test_another_knob_buys_other_answers_and_the_first_serve_again(tmp_path: Path) -> None:
    def bought(**knobs: object) -> int:
        run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", knobs=knobs, replace=True)
        return int(run.record["counts"]["calls_bought"])

    assert [bought(), bought(styles=("easy",)), bought(temperature="0.5"), bought()] == [12, 0, 12, 0]


def test_each_role_asks_its_own_model(tmp_path: Path) -> None:
    writer = sg.Scripted(lambda prompt: f"text {prompt.draw}", name="writer")
    judge = sg.Scripted(lambda prompt: "yes" if "text 0" in prompt.messages[0]["content"] else "no", name="judge")
    run = sg.generate(TWICE, TEXTS, model={"writer": writer, "judge": judge}, out=tmp_path / "r")
    assert (writer.asked, judge.asked) == (6, 2)  # equal questions to the judge are one call
    assert run.record["models"] == {"writer": "scripted/writer", "judge": "scripted/judge"}
    assert run.record["counts"]["kept"] == 3 and run.record["dropped_by"] == {"judge": 3}


def test_a_model_without_a_role_serves_every_role_not_named() -> None:
    models = asked(TWICE, model={"judge": "scripted/echo", "": WORDS}).request.models
    assert {role: model.uri for role, model in models.items()} == {"writer": WORDS, "judge": "scripted/echo"}
    with pytest.raises(SynthgainError, match="no role 'critic'"):
        asked(TWICE, model={"critic": WORDS})
    with pytest.raises(SynthgainError, match="no model is named for the role 'judge'"):
        asked(TWICE, model={"writer": WORDS})


def test_checks_are_added_replaced_and_taken_away() -> None:
    def names(**options: object) -> list[str]:
        return [repr(c) for c in asked("rephrase", model=WORDS, **options).checks]  # type: ignore[arg-type]

    default = names()
    assert names(without=["all"]) == []
    assert names(with_=[Short(3)]) == [*default, repr(Short(3))] and len(default) > 2
    assert names(with_=["truncated:sentence=true"]) == [
        *(c for c in default if not c.startswith("Truncated")),
        "Truncated(sentence=True, dangling=False)",
    ]
    assert names(without=["truncated"]) == [c for c in default if not c.startswith("Truncated")]


@pytest.mark.parametrize("number", ["limit", "accept", "max_candidates", "max_tokens"])
@pytest.mark.parametrize("value", [0, -1])
def test_counts_begin_at_one(number: str, value: int, tmp_path: Path) -> None:
    model = sg.Scripted(lambda prompt: "never")
    with pytest.raises(SynthgainError, match=f"{number} must be 1 or more"):
        sg.generate("rephrase", TEXTS, model=model, out=tmp_path / "r", **{number: value})  # type: ignore[arg-type]
    assert model.asked == 0 and not (tmp_path / "r").exists()


@pytest.mark.parametrize("value", [-0.5, float("nan")])
def test_money_begins_at_nothing(value: float, tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="max_cost must be 0 or more"):
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", max_cost=value)


def test_a_budget_is_not_passed_by_answers_that_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError) as caught:
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", max_tokens=200)
    assert caught.value.code == 3
    tokens = sg.Run(tmp_path / "r").record["tokens"]
    assert tokens["in"] + tokens["out"] <= 200


def test_a_run_does_not_lie_among_its_anchors(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXTS[0], "utf-8")
    with pytest.raises(SynthgainError, match="inside the anchors' folder"):
        sg.generate("rephrase", tmp_path, model=WORDS, out=tmp_path / "runs" / "first")
    assert not (tmp_path / "runs").exists()


def test_a_run_is_not_made_from_itself(tmp_path: Path) -> None:
    sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r")
    before = (tmp_path / "r" / "run.json").read_bytes()
    for anchors in (tmp_path / "r", tmp_path / "r" / "data", tmp_path / "r" / "rows" / "part-00000.parquet"):
        with pytest.raises(SynthgainError, match="its own folder"):
            sg.generate("rephrase", anchors, model=WORDS, out=tmp_path / "r")
    assert (tmp_path / "r" / "run.json").read_bytes() == before
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a.txt").write_text(TEXTS[0], "utf-8")
    around = sg.generate("rephrase", tmp_path / "project" / "a.txt", model=WORDS, out=tmp_path / "project")
    assert around.record["counts"]["anchors"] == 1  # a run folder may hold other things
    made = sg.generate("rephrase", tmp_path / "r", model=WORDS, out=tmp_path / "next")
    assert made.record["counts"]["anchors"] == 12


def test_the_data_of_a_run_that_kept_nothing(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    run = sg.generate("rephrase", TEXTS[:1], model=sg.Scripted(lambda prompt: ""), out=tmp_path / "r")
    assert run.record["counts"]["kept"] == 0 and run.count("data") == 0 and "id" in run.data_columns()
    with pytest.raises(ValueError, match="no data"):  # what `datasets` says of any empty set
        datasets.load_dataset(str(run.data), cache_dir=str(tmp_path / "cache"))
    assert list(datasets.load_dataset(str(run.data), streaming=True)["train"]) == []
    for anchors in (run.path, run.data):
        with pytest.raises(SynthgainError, match="kept no rows") as said:
            sg.generate("rephrase", anchors, model=WORDS, out=tmp_path / "next")
        assert "synthgain show" in said.value.next


# ---------------------------------------------------------------------------------------------- another request


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 1}, "seed 0, now 1"),
        ({"model": "scripted/words?n=31"}, "writer scripted/words?n=30, now scripted/words?n=31"),
        ({"knobs": {"styles": "easy"}}, "knob styles="),
        ({"recipe": "entigraph"}, "recipe rephrase, now entigraph"),
        ({"anchors": TEXTS[1:]}, "1 of its anchors are not among these"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_rows_of_another_request_are_not_replaced_unasked(other: dict[str, object], said: str, tmp_path: Path) -> None:
    ask = {"recipe": "rephrase", "anchors": TEXTS, "model": WORDS, "out": tmp_path / "r"}
    first = sg.generate(**ask)
    first.write_readings([sg.Reading("proxy_gain", 0.1)])
    before = rows(first), first.record, first.readings()
    with pytest.raises(AnotherRequest, match=r"12 rows \(12 kept\) of another request") as caught:
        sg.generate(**{**ask, **other})
    assert caught.value.code == 2 and said in str(caught.value)
    assert all(word in str(caught.value) for word in ("its data set", "its readings", "calls stay"))
    assert (rows(first), first.record, first.readings()) == before and before[2]
    made = sg.generate(**{**ask, **other}, replace=True)
    assert made.record["status"] == "complete" and not made.readings()
    assert sg.generate(**ask, replace=True).record["counts"]["calls_bought"] == 0
    assert rows(first) == before[0]


def test_more_anchors_other_checks_and_other_limits_are_no_other_request(tmp_path: Path) -> None:
    ask = {"recipe": "rephrase", "model": WORDS, "out": tmp_path / "r"}
    docs = tmp_path / "docs"
    docs.mkdir()
    for n, text in enumerate(TEXTS[:2]):
        (docs / f"{n}.txt").write_text(text, "utf-8")
    sg.generate(anchors=docs, **ask)
    (docs / "2.txt").write_text(TEXTS[2], "utf-8")
    sg.generate(anchors=docs, **ask)
    docs = docs.rename(tmp_path / "elsewhere")
    sg.generate(anchors=docs, **ask)
    (docs / "0.txt").write_text("The ferry of Orrin is red.", "utf-8")  # the same folder, edited
    with pytest.raises(AnotherRequest, match="1 of its anchors"):
        sg.generate(anchors=docs.rename(tmp_path / "third"), **ask)
    (tmp_path / "third").rename(docs)
    assert sg.generate(anchors=docs, **ask, limit=2, without=["all"], max_cost=1).record["counts"]["groups"] == 2


# ---------------------------------------------------------------------------------------------- curate


def test_curate_replays_the_recorded_recipe_seed_and_limit(tmp_path: Path) -> None:
    first = sg.generate(
        "rephrase", TEXTS, model=WORDS, out=tmp_path / "r", seed=7, limit=2, knobs={"styles": "hard,qa", "chunk": 50}
    )
    before = rows(first)
    assert len(before) == 4
    again = sg.curate(tmp_path / "r")
    assert rows(again) == before
    assert again.record["seed"] == 7 and again.record["counts"]["calls_bought"] == 0
    assert again.record["recipe"]["knobs"] == first.record["recipe"]["knobs"]


def test_curate_changes_verdicts_and_data_and_never_text(tmp_path: Path) -> None:
    run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r")
    texts = {r["id"]: str(r["text"]) for r in rows(run)}
    last = sorted(texts.values())[4]
    done = sg.curate(run, with_=[UpTo(last)])
    kept = {r["id"] for r in rows(done) if r["kept"]}
    assert kept == {id for id, text in texts.items() if text <= last}
    assert len(kept) == 5
    data = [r for file in sorted(done.data.glob("*.parquet")) for r in pq.read_table(file).to_pylist()]
    assert {r["id"]: r["text"] for r in data} == {id: texts[id] for id in kept}
    assert done.record["dropped_by"] == {"up-to": 7}
    assert len(rows(sg.curate(run, without=["all"]))) == 12


def test_curate_needs_no_model(tmp_path: Path) -> None:
    """The script is gone, as a server would be: its answers are remembered."""
    script = tmp_path / "answers.jsonl"
    script.write_text(json.dumps({"answer": "The mill has two wheels."}) + "\n", "utf-8")
    run = sg.generate("rephrase", TEXTS, model=f"scripted/{script}", out=tmp_path / "r")
    script.unlink()
    assert sg.curate(run, without=["all"]).record["counts"]["kept"] == 12


def test_curate_with_another_knob_says_what_was_never_bought(tmp_path: Path) -> None:
    run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", knobs={"styles": "easy"})
    before = rows(run), run.record
    with pytest.raises(SynthgainError) as caught:
        sg.curate(run, knobs={"temperature": 0.5})
    assert caught.value.code == 5 and "never bought" in str(caught.value)
    assert (rows(run), run.record) == before
    assert (
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", knobs={"styles": "easy"}).record["counts"][
            "calls_bought"
        ]
        == 0
    )


def test_curate_of_a_recipe_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from synthgain.types import Prompt, Recipe, Row, user\n\nasync def draft(models, anchor):\n"
        "    call = await models(Prompt((user(anchor.text),)))\n    yield Row(text=call.text, calls=(call,))\n\n"
        "RECIPE = Recipe('mine', '1', draft)\n",
        "utf-8",
    )
    monkeypatch.chdir(tmp_path)
    sg.generate("mine.py", TEXTS, model="scripted/echo", out="r")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert sg.curate(tmp_path / "r", with_=[Short(30)], recipe=file).record["counts"] | {"kept": 1} == {
        "anchors": 3,
        "anchors_used": 3,
        "groups": 3,
        "groups_done": 3,
        "calls_bought": 0,
        "calls_reused": 3,
        "calls_recorded": 0,
        "rows": 3,
        "kept": 1,
        "dropped": 2,
        "broken": 0,
    }


# ---------------------------------------------------------------------------------------------- dry run


def test_first_prompts_are_those_that_are_sent(tmp_path: Path) -> None:
    sent: list[str] = []

    def reply(prompt: Prompt) -> str:
        sent.append(prompt.messages[-1]["content"])
        return "The mill has two wheels."

    model = sg.Scripted(reply, width=1)
    for name in ("rephrase", "entigraph"):
        sent.clear()
        _, _, shown = first_prompts(name, TEXTS[:1], limit=3, model=model)
        assert sent == [] and len(shown) == 1
        sg.generate(name, TEXTS[:1], model=model, out=tmp_path / name)
        assert shown[0][1].messages[-1]["content"] == sent[0]


# ---------------------------------------------------------------------------------------------- what is told


def test_trace_follows_a_row_to_its_anchors_and_calls(tmp_path: Path) -> None:
    model = sg.Scripted(
        lambda prompt: "yes, fine" if "good?" in prompt.messages[0]["content"] else f"text {prompt.draw}"
    )
    run = sg.generate(TWICE, TEXTS, model=model, out=tmp_path / "r")
    for row in rows(run):
        life = sg.trace(run, str(row["id"]))
        assert life["row"] == row
        assert [a["id"] for a in life["anchors"]] == row["anchor_ids"] == [Anchor(life["anchors"][0]["text"]).id]
        asked, judged = life["calls"]
        assert asked["prompt"]["messages"] == [{"role": "user", "content": life["anchors"][0]["text"]}]
        assert asked["text"] == row["text"] and asked["prompt"]["draw"] == json.loads(str(row["fields"]))["draw"]
        assert judged["text"] == "yes, fine"
        assert life["cost_usd"] == 0


def test_the_card_says_recipe_models_counts_and_reasons(tmp_path: Path) -> None:
    run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", with_=[Short(150)])
    counts = run.record["counts"]
    card = (run.data / "README.md").read_text("utf-8")
    for word in ("rephrase", WORDS, "2401.16380", "short", str(counts["kept"]), str(counts["rows"])):
        assert word in card
    sg.curate(run, without=["all"])
    assert "12" in (run.data / "README.md").read_text("utf-8")


def test_the_data_set_loads_with_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r")
    loaded = datasets.load_dataset(str(run.data), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["id"][:] == [r["id"] for r in rows(run) if r["kept"]]


def test_each_run_loads_as_itself_from_one_cache(tmp_path: Path) -> None:
    """All folders are called `data`: the library's cache must tell runs apart, and a run from itself when it has grown."""
    datasets = pytest.importorskip("datasets")

    def loaded(run: sg.Run) -> list[str]:
        return list(datasets.load_dataset(str(run.data), split="train", cache_dir=str(tmp_path / "cache"))["text"])

    def kept(run: sg.Run) -> list[object]:
        return [row["text"] for row in rows(run) if row["kept"]]

    first = sg.generate("rephrase", TEXTS[:2], model=WORDS, out=tmp_path / "a")
    other = sg.generate("rephrase", TEXTS[:2], model="scripted/words?n=31", out=tmp_path / "b")
    assert loaded(first) == kept(first) != kept(other) == loaded(other)
    grown = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "a")
    assert loaded(grown) == kept(grown) and len(kept(grown)) == 12


async def test_generate_in_a_running_event_loop(tmp_path: Path) -> None:
    """As in a notebook."""
    assert asyncio.get_running_loop().is_running()
    run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r")
    assert run.record["counts"]["rows"] == 12


def test_check_asks_one_small_thing() -> None:
    info, call = sg.check(WORDS)
    assert (info.uri, info.logprobs, info.seeds) == (WORDS, True, True)
    assert call.prompt.sampling.max_tokens <= 16 and call.text


@pytest.mark.parametrize(
    "reach", [Reach(price={"jugde": "5,6"}), Reach(served_as={"jugde": "J"})], ids=["price", "served_as"]
)
def test_an_option_for_a_role_that_the_recipe_has_not_is_refused(reach: Reach, tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="no role 'jugde'") as caught:
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", reach=reach)
    assert caught.value.code == 2 and not (tmp_path / "r").exists()


class Strange:
    """A fold, or with `selects` a selection, that reads a column which rows do not have."""

    name, columns = "strange", ("text", "texts")

    def begin(self) -> Any:
        return lambda table: [keep()] * len(table)


class StrangeAtTheEnd:
    name, columns, selects = "strange", ("texts",), True

    def __call__(self, table: Any) -> list[Verdict]:
        return [keep()] * len(table)


@pytest.mark.parametrize(
    "check",
    ["exact-duplicate=texts", "near-duplicate:column=texts", Strange(), StrangeAtTheEnd()],
    ids=["fold", "fold-with-a-knob", "ones-own-fold", "ones-own-selection"],
)
def test_a_column_that_rows_do_not_have_is_refused_before_a_call(tmp_path: Path, check: Any) -> None:
    model = sg.Scripted(lambda prompt: "a b c", identity="counted")
    with pytest.raises(SynthgainError, match="no column 'texts'") as refused:
        sg.generate(TWICE, TEXTS, model=model, out=tmp_path / "run", with_=[check])
    assert model.asked == 0 and refused.value.next.startswith("the columns are: id")
    run = sg.generate(TWICE, TEXTS, model=model, out=tmp_path / "whole")
    with pytest.raises(SynthgainError, match="no column 'texts'"):
        sg.curate(run, recipe=TWICE, with_=[check])


@pytest.mark.parametrize("part", ["anchors", "groups", "calls", "rows", "broken", "data"])
@pytest.mark.parametrize("name", ["train.jsonl", "part-00000.parquet", "deep/down.txt"])
def test_a_run_takes_nobodys_files_away(tmp_path: Path, part: str, name: str) -> None:
    mine = tmp_path / "project" / part / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", "utf-8")
    (tmp_path / "theirs.jsonl").write_text('{"text": "a row"}', "utf-8")
    for _ in range(2):  # a refusal leaves nothing behind that lets the next one in
        with pytest.raises(SynthgainError, match="something else") as said:
            sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "project")
        assert said.value.code == 2
        with pytest.raises(SynthgainError, match="something else"):
            sg.preview("rephrase", TEXTS, model=WORDS, out=tmp_path / "project")
        with pytest.raises(SynthgainError, match="something else"):
            sg.curate(tmp_path / "theirs.jsonl", out=tmp_path / "project", with_=["empty"])
    assert mine.read_text("utf-8") == "mine"
    assert [f for f in (tmp_path / "project").rglob("*") if f.is_file()] == [mine]


def test_what_a_run_of_ours_left_there_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    run = sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r")
    run.run_json.unlink()  # as the advice for a damaged one says
    assert (
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", replace=True).record["counts"]["calls_bought"]
        == 0
    )
    run.run_json.unlink()
    for file in run.calls.iterdir():  # killed after its anchors were in place, before anything was bought
        file.unlink()
    assert sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "r", replace=True).record["status"] == "complete"


def test_the_folder_of_the_anchors_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXTS[0], "utf-8")
    with pytest.raises(SynthgainError, match="anchors' own folder"):
        sg.generate("rephrase", tmp_path, model=WORDS, out=tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_no_run_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    with pytest.raises(SynthgainError, match="this is a file"):
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path / "file")
    (tmp_path / "run.json").write_text('{"speed": 3}', "utf-8")
    with pytest.raises(SynthgainError, match="written by something else"):
        sg.generate("rephrase", TEXTS, model=WORDS, out=tmp_path)
