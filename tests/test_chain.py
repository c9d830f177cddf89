"""The chain, driven by the scripted double into a real folder."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgain.chain import PASS, Outcome, Request, run_round
from synthgain.models import Scripted
from synthgain.store import Run
from synthgain.types import (
    Anchor,
    Call,
    CallFailed,
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


async def once(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(f"say {anchor.text}"),)))
    yield Row(text=call.text, calls=(call,))


async def fan(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    async for call in models.each(Prompt((user(f"{anchor.text}, part {n}"),)) for n in range(40)):
        yield Row(text=call.text, calls=(call,))


ONCE, FAN = Recipe("once", "1", once), Recipe("fan", "1", fan)
ANCHORS = [Anchor(f"word {n}", f"a#{n}") for n in range(30)]


def echo(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"] + f" ({prompt.seed}/{prompt.draw})"


def drive(folder: Path, model: Scripted, recipe: Recipe = ONCE, **more: Any) -> tuple[Outcome, list[dict[str, Any]]]:
    async def work() -> Outcome:
        run = Run(folder)
        memory = run.memory()
        try:
            return await run_round(
                Request(recipe, more.pop("anchors", ANCHORS), {"writer": model}, **more), run, memory, lambda _: None
            )
        finally:
            memory.close()

    outcome = asyncio.run(work())
    return outcome, [row for shard in Run(folder).shards() for row in shard.to_pylist()]


def test_rows_come_in_the_order_of_the_anchors_whatever_the_timing(tmp_path: Path) -> None:
    async def late(prompt: Prompt) -> str:
        await asyncio.sleep(0.02 if "word 0" in prompt.content else 0)
        return echo(prompt)

    outcome, rows = drive(tmp_path, Scripted(late))
    assert [r["text"] for r in rows] == [f"say word {n} (0/0)" for n in range(30)]
    assert [r["anchor_ids"] for r in rows] == [[a.id] for a in ANCHORS]
    assert (outcome.code, outcome.tally.rows, outcome.tally.kept, outcome.tally.calls_bought) == (0, 30, 30, 30)


def test_running_again_buys_nothing_and_says_the_same(tmp_path: Path) -> None:
    model = Scripted(echo)
    _, first = drive(tmp_path, model, FAN)
    again, second = drive(tmp_path, model, FAN)
    assert first == second and len(first) == 30 * 40
    assert (again.tally.calls_bought, again.tally.calls_reused) == (0, 1200)


def test_more_anchors_buy_only_theirs_and_another_seed_buys_all(tmp_path: Path) -> None:
    model = Scripted(echo)
    drive(tmp_path, model, anchors=ANCHORS[:20])
    more, _ = drive(tmp_path, model)
    assert more.tally.calls_bought == 10
    other, rows = drive(tmp_path, model, seed=7)
    assert other.tally.calls_bought == 30 and rows[0]["text"].endswith("(7/0)")
    back, _ = drive(tmp_path, model)
    assert back.tally.calls_bought == 0


def test_equal_prompts_are_bought_once(tmp_path: Path) -> None:
    model = Scripted(echo, latency=0.01)
    drive(tmp_path, model, anchors=[Anchor("same", fields={"n": n}, reads=("n",)) for n in range(10)])
    assert model.asked == 1


def test_who_shares_a_call_shares_its_failure(tmp_path: Path) -> None:
    async def never(prompt: Prompt) -> str:
        await asyncio.sleep(0.01)
        raise CallFailed("the server refused it")

    model = Scripted(never)
    outcome, _ = drive(tmp_path, model, anchors=[Anchor("same", fields={"n": n}, reads=("n",)) for n in range(10)])
    assert model.asked == 1 and outcome.tally.broken == 10
    assert (tmp_path / "broken" / "broken.jsonl").read_text().count("the server refused it") == 10


def test_a_failed_call_breaks_its_own_row_only(tmp_path: Path) -> None:
    def sometimes(prompt: Prompt) -> str:
        if "part 7" in prompt.content:
            raise CallFailed("the server refused it")
        return echo(prompt)

    outcome, rows = drive(tmp_path, Scripted(sometimes), FAN, anchors=ANCHORS[:3])
    assert len(rows) == 3 * 39 and outcome.tally.broken == 3 and outcome.code == 0
    assert (tmp_path / "broken" / "broken.jsonl").read_text().count("the server refused it") == 3


def test_a_fault_in_a_draft_is_data(tmp_path: Path) -> None:
    async def clumsy(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        if anchor.text == "word 3":
            raise KeyError("oops")
        async for row in once(models, anchor):
            yield row

    outcome, rows = drive(tmp_path, Scripted(echo), Recipe("clumsy", "1", clumsy))
    assert len(rows) == 29 and outcome.tally.broken == 1 and outcome.code == 0
    assert "KeyError: 'oops'" in (tmp_path / "broken" / "broken.jsonl").read_text()


def test_too_many_broken_drafts_end_with_five_and_keep_the_rest(tmp_path: Path) -> None:
    def often(prompt: Prompt) -> str:
        if int(prompt.messages[-1]["content"].split()[-1]) % 3 == 0:
            raise CallFailed("no")
        return echo(prompt)

    outcome, rows = drive(tmp_path, Scripted(often))
    assert outcome.code == 5 and "10 of 30" in outcome.why and len(rows) == 20


def test_the_token_budget_stops_before_it_is_passed(tmp_path: Path) -> None:
    outcome, rows = drive(tmp_path, Scripted(echo, width=1), max_tokens=60)
    tally = outcome.tally
    assert outcome.code == 3 and 40 < tally.tokens_in + tally.tokens_out <= 60
    assert len(rows) == tally.calls_bought
    rest, rows = drive(tmp_path, Scripted(echo, width=1))
    assert len(rows) == 30 and rest.tally.calls_bought == 30 - tally.calls_bought


def test_a_budget_in_money_needs_a_price(tmp_path: Path) -> None:
    def unpriced(prompt: Prompt) -> Call:
        return Call(prompt.id("x"), prompt, "t", "scripted/x", cost=None)

    with pytest.raises(SynthgainError, match="needs a price") as error:
        drive(tmp_path, Scripted(unpriced, width=1, identity="x"), max_cost=1.0)  # type: ignore[arg-type]
    assert "--price" in error.value.next


@dataclass(frozen=True)
class Short:
    most: int = 10
    name: str = "short"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        return keep() if len(row.answer) <= self.most else drop("too long", float(len(row.answer)))


@dataclass(frozen=True)
class OnePerLetter:
    """A set check: the first row of each last character."""

    name: str = "one-per-letter"
    columns: tuple[str, ...] = ("text",)

    def __call__(self, table: pa.Table) -> list[Verdict]:
        seen: set[str] = set()
        out = []
        for text in table.column("text").to_pylist():
            out.append(keep() if text[-1] not in seen else drop("letter seen"))
            seen.add(text[-1])
        return out


def test_row_checks_then_set_checks_and_the_fallen_are_written(tmp_path: Path) -> None:
    model = Scripted(lambda p: p.messages[-1]["content"][4:])
    outcome, rows = drive(tmp_path, model, checks=(OnePerLetter(), Short(6)))
    assert outcome.tally.dropped_by == {"short": 20} and outcome.tally.kept == 10  # word 0 … word 9
    outcome, rows = drive(tmp_path, model, checks=(OnePerLetter(), Short(7)))
    assert outcome.tally.dropped_by == {"one-per-letter": 20} and outcome.tally.rows == 30
    assert [r["reason"] for r in rows if not r["kept"]] == ["letter seen"] * 20
    assert sum(r["kept"] for r in rows) == outcome.tally.kept == 10
    assert outcome.tally.calls_bought == 0


def test_accept_keeps_the_first_n_and_goes_on_with_the_next_draw(tmp_path: Path) -> None:
    outcome, rows = drive(tmp_path, Scripted(echo), accept=45)
    kept = [r["text"] for r in rows if r["kept"]]
    assert outcome.code == 0 and len(kept) == 45
    assert kept[:30] == [f"say word {n} (0/0)" for n in range(30)] and kept[30] == f"say word 0 (0/{PASS})"
    assert {r["check"] for r in rows if not r["kept"]} <= {"accept"}
    again, same = drive(tmp_path, Scripted(echo), accept=45)
    assert again.tally.calls_bought == 0 and same == rows


def test_accept_falls_short_with_three(tmp_path: Path) -> None:
    nothing = replace(Short(0), name="nothing")
    outcome, rows = drive(tmp_path, Scripted(echo), accept=10, checks=(nothing,))
    assert outcome.code == 3 and len(rows) == 40 and "0 of the 10" in outcome.why


async def test_a_stop_keeps_what_is_in_flight(tmp_path: Path) -> None:
    buyers: list[Any] = []
    model = Scripted(echo, latency=0.05, width=4)

    async def soon() -> None:
        await asyncio.sleep(0.07)
        buyers[0].stop("interrupted", 130)

    run = Run(tmp_path)
    memory = run.memory()
    stopper = asyncio.create_task(soon())
    outcome = await run_round(Request(FAN, ANCHORS, {"writer": model}), run, memory, lambda _: None, buyers.append)
    await stopper
    assert outcome.code == 130 and model.asked == outcome.tally.calls_bought == len(memory)
    memory.close()


async def test_an_unreachable_model_ends_the_run_with_four_and_keeps_all(tmp_path: Path) -> None:
    def gone(prompt: Prompt) -> str:
        if "word 9" in prompt.content:
            raise SynthgainError("nobody answers", code=4)
        return echo(prompt)

    run = Run(tmp_path)
    memory = run.memory()
    outcome = await run_round(Request(ONCE, ANCHORS, {"writer": Scripted(gone, width=2)}), run, memory, lambda _: None)
    assert outcome.code == 4 and "nobody answers" in outcome.why
    assert 9 <= len(memory) == outcome.tally.kept
    memory.close()


def test_the_data_set_has_the_recipes_fields_as_columns(tmp_path: Path) -> None:
    async def rich(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(Prompt((user(anchor.text),)))
        n = int(anchor.text.split()[1])
        yield Row(
            messages=(user("q"), {"role": "assistant", "content": call.text}),
            calls=(call,),
            fields={"n": n, "tags": ["a"], "more": {"x": n}, "id": "mine"},
        )

    drive(tmp_path, Scripted(echo), Recipe("rich", "1", rich))
    from datasets import load_dataset

    data = load_dataset(str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.column_names == ["id", "anchor_ids", "messages", "id_", "more", "n", "tags"] and len(data) == 30
    assert (
        data[3]["n"] == 3
        and data[3]["messages"][0] == {"role": "user", "content": "q"}
        and data[3]["more"] == '{"x": 3}'
    )


def test_no_anchor_and_no_row_still_give_a_readable_run(tmp_path: Path) -> None:
    outcome, rows = drive(tmp_path, Scripted(echo), checks=(Short(0),))
    assert outcome.tally.kept == 0 and len(rows) == 30
    assert pq.read_table(tmp_path / "data").num_rows == 0
