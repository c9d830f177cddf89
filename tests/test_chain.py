"""The chain, driven by the scripted double into a real folder, through the public face."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest

from synthgain import Run, Scripted, generate
from synthgain.chain import PASS
from synthgain.chain.judging import Judging
from synthgain.store import Staged
from synthgain.types import (
    Anchor,
    Call,
    CallFailed,
    Corpus,
    Group,
    Judge,
    Models,
    Pool,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    Verdict,
    assistant,
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
Stored = dict[str, Any]


def echo(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"] + f" ({prompt.seed}/{prompt.draw})"


@dataclass
class Made:
    record: Stored
    rows: list[Stored] = field(default_factory=list)
    error: SynthgainError | None = None

    @property
    def code(self) -> int:
        return 0 if self.error is None else self.error.code

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.record["counts"]
        return counts


def drive(
    folder: Path, model: Scripted, recipe: Recipe = ONCE, anchors: Sequence[Anchor] = ANCHORS, **more: Any
) -> Made:
    error = None
    try:
        generate(recipe, anchors, model=model, out=folder, replace=True, **more)
    except SynthgainError as stopped:
        error = stopped
    run = Run(folder)
    return Made(run.record, [row for shard in run.shards() for row in shard.to_pylist()], error)


def broken(folder: Path) -> str:
    return "\n".join(what["reason"] for what in Run(folder).broken())


def test_rows_come_in_the_order_of_the_anchors_whatever_the_timing(tmp_path: Path) -> None:
    async def late(prompt: Prompt) -> str:
        await asyncio.sleep(0.02 if "word 0" in prompt.content else 0)
        return echo(prompt)

    made = drive(tmp_path, Scripted(late))
    assert [r["text"] for r in made.rows] == [f"say word {n} (0/0)" for n in range(30)]
    assert [r["anchor_ids"] for r in made.rows] == [[a.id] for a in ANCHORS]
    assert (made.code, made.counts["rows"], made.counts["kept"], made.counts["calls_bought"]) == (0, 30, 30, 30)


def test_running_again_buys_nothing_and_says_the_same(tmp_path: Path) -> None:
    model = Scripted(echo)
    first = drive(tmp_path, model, FAN)
    again = drive(tmp_path, model, FAN)
    assert first.rows == again.rows and len(first.rows) == 30 * 40
    assert (again.counts["calls_bought"], again.counts["calls_reused"]) == (0, 1200)


def test_more_anchors_buy_only_theirs_and_another_seed_buys_all(tmp_path: Path) -> None:
    model = Scripted(echo)
    drive(tmp_path, model, anchors=ANCHORS[:20])
    assert drive(tmp_path, model).counts["calls_bought"] == 10
    other = drive(tmp_path, model, seed=7)
    assert other.counts["calls_bought"] == 30 and other.rows[0]["text"].endswith("(7/0)")
    assert drive(tmp_path, model).counts["calls_bought"] == 0


def test_equal_prompts_are_bought_once(tmp_path: Path) -> None:
    model = Scripted(echo, latency=0.01)
    drive(tmp_path, model, anchors=[Anchor("same", fields={"n": n}, needs=("n",)) for n in range(10)])
    assert model.asked == 1


def test_who_shares_a_call_shares_its_failure(tmp_path: Path) -> None:
    async def never(prompt: Prompt) -> str:
        await asyncio.sleep(0.01)
        raise CallFailed("the server refused it")

    model = Scripted(never)
    made = drive(tmp_path, model, anchors=[Anchor("same", fields={"n": n}, needs=("n",)) for n in range(10)])
    assert model.asked == 1 and made.counts["broken"] == 10
    assert broken(tmp_path).count("the server refused it") == 10
    assert made.record["broken_by"] == {"the server refused it": 10}


def test_a_failed_call_breaks_its_own_row_only(tmp_path: Path) -> None:
    def sometimes(prompt: Prompt) -> str:
        if "part 7" in prompt.content:
            raise CallFailed("the server refused it")
        return echo(prompt)

    made = drive(tmp_path, Scripted(sometimes), FAN, anchors=ANCHORS[:3])
    assert len(made.rows) == 3 * 39 and made.counts["broken"] == 3 and made.code == 0
    assert broken(tmp_path).count("the server refused it") == 3


def test_a_fault_in_a_draft_is_data(tmp_path: Path) -> None:
    async def clumsy(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        if anchor.text == "word 3":
            raise KeyError("oops")
        async for row in once(models, anchor):
            yield row

    made = drive(tmp_path, Scripted(echo), Recipe("clumsy", "1", clumsy))
    assert len(made.rows) == 29 and made.counts["broken"] == 1 and made.code == 0
    assert "KeyError: 'oops'" in broken(tmp_path)


def test_too_many_broken_drafts_end_with_five_and_keep_the_rest(tmp_path: Path) -> None:
    def often(prompt: Prompt) -> str:
        if int(prompt.messages[-1]["content"].split()[-1]) % 3 == 0:
            raise CallFailed("no")
        return echo(prompt)

    made = drive(tmp_path, Scripted(often))
    assert made.code == 5 and "of 20 drafts broke" in made.record["why"] and len(made.rows) >= 13


def test_a_server_that_refuses_all_is_noticed_within_the_first_tens_of_calls(tmp_path: Path) -> None:
    async def never(prompt: Prompt) -> str:
        await asyncio.sleep(0.001)
        raise CallFailed("the context is too short")

    model = Scripted(never, width=8)
    many = [Anchor(f"text {n}") for n in range(2_000)]
    made = drive(tmp_path, model, FAN, anchors=many)
    assert made.code == 5 and "the context is too short" in str(made.error)
    assert model.asked <= 60


def test_the_token_budget_is_not_passed(tmp_path: Path) -> None:
    def law(anchor: Anchor) -> Prompt:
        return Prompt((user(f"say {anchor.text}"),), sampling=Sampling(max_tokens=8))

    async def short(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(law(anchor))
        yield Row(text=call.text, calls=(call,))

    recipe = Recipe("short", "1", short)
    made = drive(tmp_path, Scripted(echo), recipe, max_tokens=200)
    used = made.record["tokens"]["in"] + made.record["tokens"]["out"]
    assert made.code == 3 and 100 < used <= 200
    assert len(made.rows) == made.counts["calls_bought"]
    rest = drive(tmp_path, Scripted(echo), recipe)
    assert len(rest.rows) == 30 and rest.counts["calls_bought"] == 30 - made.counts["calls_bought"]


def test_long_prompts_after_short_ones_do_not_pass_the_budget(tmp_path: Path) -> None:
    """What is in flight is priced by its own length, not by the mean so far."""

    @dataclass(frozen=True)
    class Price:
        def cost(self, came_in: int, out: int, cached: int = 0) -> float:
            return (came_in + 2 * out) / 1e6

    class Priced(Scripted):
        price = Price()

        async def __call__(self, prompt: Prompt) -> Call:
            await asyncio.sleep(0.002)
            n = sum(len(m["content"]) for m in prompt.messages) // 4
            return Call(
                prompt.id(self.identity),
                prompt,
                assistant("ok"),
                self.uri,
                tokens_in=n,
                tokens_out=5,
                cost=self.price.cost(n, 5),
            )

    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=16)))
        yield Row(text=call.text, calls=(call,))

    pages = [Anchor(f"page {n}") for n in range(40)] + [Anchor(f"long page {n} " + "word " * 8_000) for n in range(40)]
    made = drive(tmp_path, Priced(echo), Recipe("priced", "1", draft), pages, max_cost=0.02)
    assert made.code == 3 and 0 < made.record["cost_usd"] <= 0.02
    assert f"${made.record['cost_usd']:.4f} spent" in made.record["why"]


class Dollars(Scripted):
    """A model whose every answer costs a dollar."""

    async def __call__(self, prompt: Prompt) -> Call:
        return replace(await super().__call__(prompt), tokens_in=10, tokens_out=10, cost=1.0)


@pytest.mark.parametrize("width", [1, 64])
def test_a_call_that_several_ask_for_is_counted_once_whatever_the_timing(width: int, tmp_path: Path) -> None:
    """Six of nine pages have two parts in common with each other, asked for while they are in flight and after."""

    async def parts(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        n = int(anchor.text.split()[1])
        own = [f"own {n} {i}" for i in range(2)]
        for said in [*own, "common a", "common b"] if n < 6 else own:
            call = await models(Prompt((user(said),), sampling=Sampling(max_tokens=8)))
            yield Row(text=f"{anchor.text} {call.text}", calls=(call,))

    recipe, model = Recipe("parts", "1", parts), Dollars(echo, width=width, latency=0.001)
    for bought, reused in ((20, 0), (0, 20)):
        made = drive(tmp_path, model, recipe, ANCHORS[:9], max_cost=23)
        counts = made.counts
        assert (made.code, counts["rows"], counts["calls_bought"], counts["calls_reused"]) == (0, 30, bought, reused)
        assert (made.record["cost_usd"], made.record["tokens"]["in"], made.record["tokens"]["out"]) == (20, 200, 200)


def test_a_budget_in_money_needs_a_price(tmp_path: Path) -> None:
    def unpriced(prompt: Prompt) -> Call:
        return Call(prompt.id("x"), prompt, assistant("t"), "scripted/x", cost=None)

    made = drive(tmp_path, Scripted(unpriced, width=1, identity="x"), max_cost=1.0)
    assert (
        made.error is not None
        and made.code == 2
        and "needs a price" in made.error.what
        and "--price" in made.error.next
    )


@dataclass(frozen=True)
class Short:
    most: int = 10
    name: str = "short"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        return keep() if len(row.answer) <= self.most else drop("too long", float(len(row.answer)))


@dataclass(frozen=True)
class OnePerLetter:
    """A fold: the first row of each last character."""

    name: str = "one-per-letter"
    columns: tuple[str, ...] = ("text",)

    def begin(self) -> Judge:
        seen: set[str] = set()

        def judge(table: pa.Table) -> list[Verdict]:
            out = []
            for text in table.column("text").to_pylist():
                out.append(keep() if text[-1] not in seen else drop("letter seen"))
                seen.add(text[-1])
            return out

        return judge


@dataclass(frozen=True)
class Longest:
    """A selection: the `most` longest rows."""

    most: int = 5
    name: str = "longest"
    columns: tuple[str, ...] = ("text",)
    selects: bool = True

    def __call__(self, table: pa.Table) -> list[Verdict]:
        lengths = [len(text) for text in table.column("text").to_pylist()]
        best = sorted(range(len(lengths)), key=lambda i: -lengths[i])[: self.most]
        return [keep() if i in best else drop("not among the longest") for i in range(len(lengths))]


def test_row_checks_then_folds_then_selections_and_the_fallen_are_written(tmp_path: Path) -> None:
    model = Scripted(lambda p: p.messages[-1]["content"][4:])
    made = drive(tmp_path, model, with_=[OnePerLetter(), Short(6)])
    assert made.record["dropped_by"] == {"short": 20} and made.counts["kept"] == 10  # word 0 … word 9
    made = drive(tmp_path, model, with_=[Longest(4), OnePerLetter(), Short(7)])
    assert made.record["dropped_by"] == {"longest": 6, "one-per-letter": 20} and made.counts["rows"] == 30
    assert [r["reason"] for r in made.rows if r["check"] == "one-per-letter"] == ["letter seen"] * 20
    assert (
        sum(r["kept"] for r in made.rows)
        == made.counts["kept"]
        == sum(len(shard) for shard in Run(tmp_path).kept(["id"]))
        == 4
    )
    assert [c["name"] for c in made.record["recipe"]["checks"]] == ["short", "one-per-letter", "longest"]
    assert made.counts["calls_bought"] == 0


def test_accept_keeps_the_first_n_and_goes_on_with_the_next_draw(tmp_path: Path) -> None:
    made = drive(tmp_path, Scripted(echo), accept=45)
    kept = [r["text"] for r in made.rows if r["kept"]]
    assert made.code == 0 and len(kept) == 45
    assert kept[:30] == [f"say word {n} (0/0)" for n in range(30)] and kept[30] == f"say word 0 (0/{PASS})"
    assert {r["check"] for r in made.rows if not r["kept"]} <= {"accept"}
    again = drive(tmp_path, Scripted(echo), accept=45)
    assert again.counts["calls_bought"] == 0 and again.rows == made.rows


def test_folds_see_each_row_once_however_many_waves_there_are(tmp_path: Path) -> None:
    seen: list[int] = []

    @dataclass(frozen=True)
    class Counting:
        name: str = "counting"
        columns: tuple[str, ...] = ("id",)

        def begin(self) -> Judge:
            def judge(table: pa.Table) -> list[Verdict]:
                seen.append(table.num_rows)
                return [keep()] * table.num_rows

            return judge

    made = drive(
        tmp_path, Scripted(echo), anchors=[Anchor(f"word {n}") for n in range(400)], accept=400, with_=[Counting()]
    )
    assert made.counts["kept"] == 400 and sum(seen) == 400 and len(seen) >= 4


def test_accept_falls_short_with_three(tmp_path: Path) -> None:
    made = drive(tmp_path, Scripted(echo), accept=10, with_=[replace(Short(0), name="nothing")])
    assert made.code == 3 and len(made.rows) == 40 and "0 of the 10" in made.record["why"]


def test_an_unreachable_model_ends_the_run_with_four_and_keeps_all(tmp_path: Path) -> None:
    def gone(prompt: Prompt) -> str:
        if "word 9" in prompt.content:
            raise SynthgainError("nobody answers", code=4)
        return echo(prompt)

    made = drive(tmp_path, Scripted(gone, width=2))
    assert made.code == 4 and "nobody answers" in made.record["why"] and made.record["status"] == "stopped"
    assert 9 <= made.counts["calls_bought"] == made.counts["kept"]


# ---------------------------------------------------------------------------------------------- purchases


def test_a_draft_that_leaves_early_does_not_take_a_shared_call_with_it(tmp_path: Path) -> None:
    """One draft stops after two answers while another waits for a call that the first had asked for."""

    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        ask = {
            "best of": ("a 0.02", "b 0.03", *(f"c{i} 0.2" for i in range(8)), "shared 0.01"),
            "waits": ("d 0.04", "shared 0.01"),
        }
        got = 0
        async for call in models.each(Prompt((user(t),)) for t in ask[anchor.text]):
            yield Row(text=f"{anchor.text}: {call.text}", calls=(call,))
            got += 1
            if anchor.text == "best of" and got == 2:
                return

    async def reply(prompt: Prompt) -> str:
        said = prompt.messages[-1]["content"]
        await asyncio.sleep(float(said.split()[1]))
        return said

    made = drive(tmp_path, Scripted(reply, width=4), Recipe("x", "1", draft), [Anchor("best of"), Anchor("waits")])
    texts = [row["text"] for row in made.rows]
    assert made.record["status"] == "complete" and made.counts["broken"] == 0 and made.counts["groups_done"] == 2
    assert texts == ["best of: a 0.02", "best of: b 0.03", "waits: d 0.04", "waits: shared 0.01"]


def test_what_was_sent_is_kept_though_its_draft_had_enough(tmp_path: Path) -> None:
    async def first_of_four(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for call in models.each(Prompt((user(f"{i} of {anchor.text}"),)) for i in range(4)):
            yield Row(text=call.text, calls=(call,))
            return

    async def reply(prompt: Prompt) -> str:
        said = prompt.messages[-1]["content"]
        await asyncio.sleep(0 if said[0] == "0" else 0.1)
        return said

    model = Scripted(reply, width=8)
    made = drive(tmp_path, model, Recipe("x", "1", first_of_four), ANCHORS[:2])
    memory = Run(tmp_path).memory(readonly=True)
    assert model.asked == made.counts["calls_bought"] == len(memory) > 2
    memory.close()
    asked = model.asked
    again = drive(tmp_path, model, Recipe("x", "1", first_of_four), ANCHORS[:2])
    assert model.asked == asked and again.counts["calls_bought"] == 0


def test_answers_come_with_what_was_asked_for_though_others_failed(tmp_path: Path) -> None:
    async def draws(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for draw, call in models.each((draw, Prompt((user("same"),), draw=draw)) for draw in range(6)):
            yield Row(text=call.text, calls=(call,), fields={"draw": draw})

    def reply(prompt: Prompt) -> str:
        if prompt.draw % 5 == 0:
            raise CallFailed("lost")
        return f"draw {prompt.draw}"

    made = drive(tmp_path, Scripted(reply), Recipe("x", "1", draws), [Anchor("a"), Anchor("b"), Anchor("c")])
    assert [row["text"] for row in made.rows] == [f"draw {d}" for d in (1, 2, 3, 4)] * 3
    assert all(f'"draw": {row["text"][-1]}' in row["fields"] for row in made.rows)


def test_a_failure_that_a_draft_goes_on_after_is_counted(tmp_path: Path) -> None:
    async def forgiving(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        try:
            await models(Prompt((user(f"first {anchor.text}"),)))
        except CallFailed:
            call = await models(Prompt((user(f"second {anchor.text}"),)))
            yield Row(text=call.text, calls=(call,))

    def reply(prompt: Prompt) -> str:
        if prompt.messages[0]["content"].startswith("first"):
            raise CallFailed("refused")
        return "fine"

    made = drive(tmp_path, Scripted(reply), Recipe("forgiving", "1", forgiving), ANCHORS[:3])
    assert made.counts["kept"] == 3 and made.counts["broken"] == 3 and made.record["broken_by"] == {"refused": 3}
    many = drive(tmp_path / "many", Scripted(reply), Recipe("forgiving", "1", forgiving), ANCHORS)
    assert many.code == 5 and "refused" in str(many.error)


def test_conversations_of_a_group_run_side_by_side_and_fail_alone(tmp_path: Path) -> None:
    async def talks(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async def talk(n: int) -> Row:
            first = await models(Prompt((user(f"{n}: begin"),)))
            turns = (user(f"{n}: begin"), assistant(first.text), user(f"{n}: go on"))
            second = await models(Prompt(turns))
            if n == 2:
                raise ValueError("a parser's fault")
            return Row(messages=(*turns, assistant(second.text)), calls=(first, second))

        async for row in models.side_by_side(talk(n) for n in range(6)):
            yield row

    inside, most = 0, 0

    async def reply(prompt: Prompt) -> str:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        if prompt.messages[0]["content"].startswith("4") and len(prompt.messages) == 3:
            raise CallFailed("too long")
        return f"answer {len(prompt.messages)}"

    made = drive(tmp_path, Scripted(reply, width=8), Recipe("talks", "1", talks), ANCHORS[:1])
    assert [row["messages"][0]["content"][0] for row in made.rows] == ["0", "1", "3", "5"]
    assert made.counts["broken"] == 2 and most > 2
    assert "too long" in broken(tmp_path) and "a parser's fault" in broken(tmp_path)


def test_nothing_is_bought_twice_at_temperature_0_whatever_the_draw(tmp_path: Path) -> None:
    async def greedy(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(Prompt((user(anchor.text),), sampling=Sampling(temperature=0.0)))
        yield Row(text=call.text, calls=(call,))

    model = Scripted(lambda p: p.messages[-1]["content"])
    made = drive(tmp_path, model, Recipe("greedy", "1", greedy), ANCHORS[:10], accept=100)
    assert model.asked == 10 and made.code == 3 and "no more candidates" in made.record["why"]
    assert len(made.rows) == len({row["id"] for row in made.rows}) == 10 and made.counts["repeated"] == 10


def test_ids_are_unique_though_two_anchors_say_the_same(tmp_path: Path) -> None:
    async def halves(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for call in models.each(Prompt((user(half),)) for half in anchor.text.split("|")):
            yield Row(text=call.text, calls=(call,))

    made = drive(
        tmp_path, Scripted(echo), Recipe("halves", "1", halves), [Anchor("licence|one"), Anchor("licence|two")]
    )
    assert len({row["id"] for row in made.rows}) == len(made.rows) == 4
    from synthgain import trace

    for row in made.rows:
        life = trace(tmp_path, row["id"])
        assert [anchor["id"] for anchor in life["anchors"]] == row["anchor_ids"] and len(life["calls"]) == 1


# ---------------------------------------------------------------------------------------------- groups and pools


@dataclass(frozen=True)
class Grown:
    """Each group is an anchor and the newest accepted row."""

    pooled: bool = True

    def __call__(self, corpus: Corpus, pool: Pool, seed: int) -> Iterable[Group]:
        for anchor in corpus:
            yield (anchor, pool[len(pool) - 1]) if len(pool) else (anchor,)


async def after(models: Models, anchor: Anchor, *older: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(f"{anchor.text} after {older[0].text[-6:] if older else 'nothing'}"),)))
    yield Row(text=call.text, calls=(call,))


def test_a_pool_of_accepted_rows_grows_from_wave_to_wave(tmp_path: Path) -> None:
    recipe = Recipe("grown", "1", after, pick=Grown())
    model = Scripted(lambda p: p.messages[-1]["content"])
    made = drive(tmp_path, model, recipe, accept=30)
    texts = [row["text"] for row in made.rows]
    assert texts[0] == "word 0 after nothing" and texts[7] == "word 7 after nothing"
    assert texts[8] == "word 8 after othing" and texts[16] == "word 16 after othing"
    with_pool = [row for row in made.rows if len(row["anchor_ids"]) == 2]
    assert len(with_pool) == 22
    from synthgain import curate, trace

    life = trace(tmp_path, with_pool[0]["id"])
    assert [a["source"].split()[0] for a in life["anchors"]] == ["a#8", "row"]
    again = drive(tmp_path, model, recipe, accept=30)
    assert again.counts["calls_bought"] == 0 and again.rows == made.rows
    curate(tmp_path, recipe=recipe)
    assert [row for shard in Run(tmp_path).shards() for row in shard.to_pylist()] == made.rows


@dataclass(frozen=True)
class Pairs:
    """Each anchor beside its nearest other one."""

    k: int = 1

    def __call__(self, corpus: Corpus, pool: Pool, seed: int) -> Iterable[Group]:
        near = corpus.neighbours(self.k)
        for at, anchor in enumerate(corpus):
            yield (anchor, *(corpus[int(other)] for other in near[at]))


def test_neighbours_are_drafted_together_and_their_vectors_are_remembered(tmp_path: Path) -> None:
    texts = [
        "A mill grinds wheat into flour.",
        "Ships carry salt over the sea.",
        "The miller grinds flour in his mill.",
        "A ship sails the sea with salt.",
    ]
    recipe = Recipe("pairs", "1", after, pick=Pairs())
    made = drive(tmp_path, Scripted(lambda p: p.messages[-1]["content"]), recipe, [Anchor(text) for text in texts])
    ids = [Anchor(text).id for text in texts]
    assert [[ids.index(id) for id in row["anchor_ids"]] for row in made.rows] == [[0, 2], [1, 3], [2, 0], [3, 1]]
    assert made.record["recipe"]["knobs"] == {"k": 1} and made.counts["groups_done"] == 4
    arrays = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "anchors").glob("*.npy")}
    assert {name.partition("-")[0] for name in arrays} == {"vectors", "neighbours"}
    again = drive(tmp_path, Scripted(lambda p: p.messages[-1]["content"]), recipe, [Anchor(text) for text in texts])
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "anchors").glob("*.npy")} == arrays
    assert again.rows == made.rows and again.counts["calls_bought"] == 0


@dataclass(frozen=True)
class Novel:
    """A fold: drops what lies near an earlier row in meaning."""

    most: float = 0.9
    name: str = "novel"
    columns: tuple[str, ...] = ("vector",)

    def begin(self) -> Judge:
        kept: list[Any] = []

        def judge(table: pa.Table) -> list[Verdict]:
            verdicts = []
            for vector in np.stack(table.column("vector").to_numpy(zero_copy_only=False)):
                assert abs(float(vector @ vector) - 1) < 1e-5
                near = max((float(vector @ other) for other in kept), default=-1.0)
                verdicts.append(keep() if near < self.most else drop("near in meaning", round(near, 3)))
                if near < self.most:
                    kept.append(vector)
            return verdicts

        return judge


def test_a_fold_reads_vectors_that_the_chain_computes(tmp_path: Path) -> None:
    texts = [
        "The mill of Orrin has two wheels.",
        "Two wheels has the mill of Orrin.",
        "Salt is sold at the port of Quell.",
    ]
    made = drive(
        tmp_path, Scripted(lambda p: p.messages[-1]["content"][4:]), anchors=[Anchor(t) for t in texts], with_=[Novel()]
    )
    assert [row["check"] for row in made.rows] == ["", "novel", ""]


def test_a_field_that_the_recipe_needs_is_looked_for_before_anything_is_bought(tmp_path: Path) -> None:
    model = Scripted(echo)
    recipe = replace(ONCE, needs=("answer", "hint?"))
    with pytest.raises(SynthgainError, match="answer") as error:
        generate(recipe, [{"text": "a", "answer": "1"}, {"text": "b"}], model=model, out=tmp_path / "run", strict=True)
    assert error.value.code == 2 and model.asked == 0 and not (tmp_path / "run").exists()
    run = generate(
        recipe, [{"text": "a", "answer": "1"}, {"text": "a", "answer": "2"}], model=model, out=tmp_path / "run"
    )
    assert run.record["counts"]["anchors"] == 2


# ---------------------------------------------------------------------------------------------- stops


@pytest.mark.parametrize("inside_a_loop", [False, True], ids=["script", "notebook"])
def test_a_stop_keeps_what_is_in_flight_and_ends_buying(inside_a_loop: bool, tmp_path: Path) -> None:
    """Ctrl-C, or the stop button of a notebook whose loop runs: the call comes back when nothing is bought any more."""
    import os
    import signal

    model = Scripted(echo, latency=0.05, width=4)
    many = [Anchor(f"text {n}") for n in range(400)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press() -> None:
        until = time.monotonic() + 30
        while model.asked < 20 and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)

    async def cell() -> None:
        generate(FAN, many, model=model, out=tmp_path)

    try:
        presser.start()
        with pytest.raises(KeyboardInterrupt) as stopped:
            if inside_a_loop:
                asyncio.run(cell())
            else:
                generate(FAN, many, model=model, out=tmp_path)
    finally:
        presser.join()
        signal.signal(signal.SIGINT, before)
    asked = model.asked
    time.sleep(0.2)
    memory = Run(tmp_path).memory(readonly=True)
    assert isinstance(stopped.value, SynthgainError) and stopped.value.code == 130
    assert asked == model.asked == len(memory) and not any(t.name == "synthgain" for t in threading.enumerate())
    assert Run(tmp_path).record["status"] == "stopped" and Run(tmp_path).record["why"] == "interrupted"
    memory.close()
    from synthgain.store import writing

    with writing(tmp_path):
        pass


def test_the_data_set_has_the_recipes_fields_as_columns(tmp_path: Path) -> None:
    async def rich(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(Prompt((user(anchor.text),)))
        n = int(anchor.text.split()[1])
        yield Row(
            messages=(user("q"), assistant(call.text)),
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
    made = drive(tmp_path, Scripted(echo), with_=[Short(0)])
    assert made.counts["kept"] == 0 and len(made.rows) == 30
    assert sum(len(shard) for shard in Run(tmp_path).kept(["id"])) == 0


@dataclass(frozen=True)
class NotAlike:
    """A fold that drops a row whose vector is that of the row before."""

    name: str = "not-alike"
    columns: tuple[str, ...] = ("vector",)

    def begin(self) -> Judge:
        before: list[list[float]] = []

        def judge(rows: pa.Table) -> list[Verdict]:
            verdicts = []
            for vector in rows.column("vector").to_pylist():
                verdicts.append(drop("alike") if vector in before[-1:] else keep(sum(x * x for x in vector)))
                before.append(vector)
            return verdicts

        return judge


def vectors_of(texts: Sequence[str]) -> list[list[float]]:
    return [[len(t), 2.0] if t != "broken" else [float("nan"), 1.0] for t in texts]


@dataclass
class Lengths:
    identity: str = "lengths"
    asked: int = 0

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += 1
        return vectors_of(texts)


def test_folds_get_unit_vectors_computed_once_a_shard() -> None:
    embedder = Lengths()
    judging = Judging([NotAlike(), replace(NotAlike(), name="again")], None, embedder)
    judged = judging.shard([Row(text=text) for text in ("one", "two", "three")]) + judging.shard([Row(text="seven")])
    assert [row.fallen is None for row in judged] == [True, False, True, False] and embedder.asked == 2
    assert judged[0].verdicts[0].score == pytest.approx(1.0)


@dataclass(frozen=True)
class SelfSimilar:
    """A selection: rows whose vector has unit length stay."""

    name: str = "self-similar"
    columns: tuple[str, ...] = ("vector",)
    selects: Literal[True] = True

    def __call__(self, table: pa.Table) -> list[Verdict]:
        return [
            keep() if abs(sum(x * x for x in v) - 1) < 1e-6 else drop("not of unit length")
            for v in table.column("vector").to_pylist()
        ]


def test_a_selection_gets_vectors_too(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "staged")
    staged.write([Row(text="one"), Row(messages=(user("q"), assistant("three")))])
    staged.write([Row(text="seven", verdicts=(drop("bad", check="mine"),)), Row(text="eleven")])
    columns, positions = staged.alive(("vector",), {}, Lengths())
    assert positions == [0, 1, 3] and all(v.keeps for v in SelfSimilar()(columns))
    with pytest.raises(SynthgainError, match="no embedder"):
        staged.alive(("vector",), {})


def test_a_selection_by_vectors_judges_a_run(tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    made = drive(tmp_path, Scripted(echo), with_=[SelfSimilar()])
    assert made.counts["kept"] == made.counts["rows"] == 30


def test_an_embedder_that_gives_no_vectors_ends_the_run_in_words() -> None:
    with pytest.raises(SynthgainError, match="not finite"):
        Judging([NotAlike()], None, Lengths()).shard([Row(text="broken")])
