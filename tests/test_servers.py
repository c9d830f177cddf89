"""Whole runs against servers that do what servers do: what falls, what breaks, what is said, what a resume asks again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doubles.server import Server, served
from doubles.typed import Said, typed
from synthgain import Reach, Run, Scripted, SynthgainError, generate
from synthgain.chain import Tally
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, Sampling, user


@dataclass(frozen=True)
class Say:
    """One call an anchor, whose text is the row."""

    max_tokens: int = 64
    stop: tuple[str, ...] = ()

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=self.max_tokens, stop=self.stop)))
        yield Row(text=call.text, calls=(call,))


RECIPE = Recipe("say", "1", Say())


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with served() as server:
        yield server


def texts(n: int, text: str = "question") -> list[dict[str, str]]:
    return [{"text": f"{text} {i}"} for i in range(n)]


def made(server: Server, out: Path, anchors: Any, **options: Any) -> Run:
    reach = options.pop("reach", {})
    return generate(
        options.pop("recipe", RECIPE),
        anchors,
        out=out,
        model="openai/double",
        reach=Reach(base_url=server.base_url, **reach),
        **options,
    )


def rows_of(run: Run) -> list[dict[str, Any]]:
    return [row for shard in run.shards() for row in shard.to_pylist()]


Cli = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`run("generate", …)` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Said:
        return typed(arguments, monkeypatch, capsys)

    return command


# ------------------------------------------------------------------------------------------ answers that are none


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (None, "no answer"),
        ({"message": {"content": None, "reasoning_content": "Hm."}, "finish_reason": "stop"}, "only reasoning"),
        ({"message": {"content": "half"}, "finish_reason": "content_filter"}, "the server's content filter broke off"),
        ({"message": {"content": "half"}, "finish_reason": "error"}, "the server broke off with an error"),
    ],
)
def test_an_answer_that_is_none_is_paid_once_and_its_row_falls_with_the_reason(
    one_server: Server, tmp_path: Path, choice: Any, reason: str
) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    one_server.become(answer=json.dumps({"choices": [choice] if choice else [], "usage": usage}))
    run = made(one_server, tmp_path / "run", texts(5), reach={"price": "1,1"})
    assert {(row["check"], row["reason"]) for row in rows_of(run)} == {("answer", reason)}
    assert run.record["counts"]["dropped"] == 5 and run.record["cost_usd"] == pytest.approx(35e-6)
    again = made(one_server, tmp_path / "run", texts(5), reach={"price": "1,1"})
    assert one_server.stats()["asked"] == 5 and again.record["counts"]["calls_bought"] == 0


def test_thought_without_an_answer_is_kept_apart_and_after_a_few_the_run_says_where_the_budget_goes(
    one_server: Server, tmp_path: Path
) -> None:
    one_server.become(thinks=100)
    run = made(one_server, tmp_path / "run", texts(6))
    assert "budget goes into thinking" in run.record["warning"]
    assert all(call.message["reasoning"] and not call.text for call in run.bought(run_calls(run)).values())


EMPTY = json.dumps({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})


@pytest.mark.parametrize(
    ("plan", "cure"), [({"answer": EMPTY}, "--ask-again"), ({"text": "<think>Hm, hm.", "schema": False}, "max_tokens")]
)
def test_a_model_whose_first_answers_all_hold_nothing_ends_the_run(
    one_server: Server, tmp_path: Path, run: Cli, plan: dict[str, Any], cure: str
) -> None:
    one_server.become(**plan)
    with pytest.raises(SynthgainError, match="hold nothing") as error:
        made(one_server, tmp_path / "run", texts(2000))
    assert error.value.code == 5 and cure in error.value.next and one_server.stats()["asked"] < 100
    checked = run("check", "openai/double", "--base-url", one_server.base_url)
    assert checked.code == 5 and "holds nothing" in checked.err


def test_what_came_back_with_nothing_is_asked_again_when_told_and_the_new_answer_stays(
    one_server: Server, tmp_path: Path
) -> None:
    one_server.become(answer=EMPTY)
    made(one_server, tmp_path / "run", texts(8))
    one_server.become()
    twice = [*texts(8), *({"text": f"question {i}", "note": "x"} for i in range(8))]
    for ask_again, asked in ((False, 0), (True, 8), (True, 8), (False, 8)):
        run = made(one_server, tmp_path / "run", twice, ask_again=ask_again, replace=True)
        assert one_server.stats()["asked"] == asked
    assert {row["check"] for row in rows_of(run)} == {""} and len(rows_of(run)) >= 8
    assert all(call.text for call in run.bought(run_calls(run)).values())


def test_a_few_hollow_answers_among_many_are_asked_again_without_an_end(one_server: Server, tmp_path: Path) -> None:
    """Also where all that are bought now are hollow: the model did answer the others."""
    one_server.become()
    made(one_server, tmp_path / "run", texts(120))
    one_server.become(answer=EMPTY)
    for ask_again in (False, True):
        run = made(one_server, tmp_path / "run", [*texts(120), *texts(24, "odd")], ask_again=ask_again, replace=True)
        assert run.record["dropped_by"] == {"answer": 24}
    assert one_server.stats()["asked"] == 48


def test_a_model_that_turns_to_nothing_ends_the_run_and_goes_on_when_it_is_told(tmp_path: Path) -> None:
    def falls_silent(prompt: Prompt) -> str:
        return "An answer." if silent.asked <= 150 else ""

    silent, well = Scripted(falls_silent, width=8), Scripted(lambda prompt: "An answer.", width=8)
    with pytest.raises(SynthgainError, match=r"its last 1\d\d answers hold nothing") as error:
        generate(RECIPE, texts(2000), out=tmp_path / "run", model=silent)
    assert error.value.code == 5 and "--ask-again" in error.value.next and silent.asked < 300
    assert (
        "ask_again" in error.value.next.rpartition("to go on")[2]
    )  # the same call alone would take the empty ones as they are
    assert sum(bool(row["text"]) for row in rows_of(Run(tmp_path / "run"))) == 150  # what it gave before is kept
    run = generate(RECIPE, texts(2000), out=tmp_path / "run", model=well, ask_again=True)
    assert well.asked == 1850 and sum(bool(row["text"]) for row in rows_of(run)) == 2000


def test_a_model_that_often_says_nothing_goes_on(tmp_path: Path) -> None:
    model = Scripted(lambda prompt: "" if model.asked % 10 else "An answer.", width=8)
    run = generate(RECIPE, texts(400), out=tmp_path / "run", model=model)
    assert model.asked == 400 and sum(bool(row["text"]) for row in rows_of(run)) == 40


def run_calls(run: Run) -> list[str]:
    return [id for row in rows_of(run) for id in row["call_ids"]]


def test_text_that_no_file_can_hold_is_kept_as_text_that_one_can(one_server: Server, tmp_path: Path) -> None:
    odd = "a\ud800b\0c"
    call = {"id": odd, "type": "function", "function": {"name": odd, "arguments": {odd: odd}}}
    message = {"content": odd, "reasoning_content": odd, "tool_calls": [call], "name": odd}
    choice = {"message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 2**63, "completion_tokens": -(2**63)}
    one_server.become(answer=json.dumps({"choices": [choice], "usage": usage, "id": odd, "model": odd}))

    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        call = await models(Prompt((user(anchor.text),)))
        yield Row(messages=(user(anchor.text), call.message), calls=(call,), fields={"finish": call.finish})

    run = made(one_server, tmp_path / "run", texts(3), recipe=Recipe("odd", "1", draft))
    turns = [row["messages"][-1] for row in rows_of(run)]
    assert len(turns) == 3 and all(turn["content"] == turn["reasoning"] == "a\ufffdb\ufffdc" for turn in turns)
    table = pq.read_table(sorted(run.data.glob("*.parquet"))[0])
    assert table.num_rows == 3 and run.record["tokens"]["calls_not_counted"] == 3
    said = json.dumps({"error": {"message": f"not {odd} \x1b[31mred"}})
    one_server.become(fault_first=100, fault=400, answer=said)
    one_server.become(answer=said)
    with pytest.raises(SynthgainError) as error:
        made(one_server, tmp_path / "other", texts(3))
    assert error.value.code == 5 and str(error.value).encode() and "\x1b" not in str(error.value)


def test_tokens_that_nobody_counted_are_null_where_a_row_is_shown(one_server: Server, tmp_path: Path, run: Cli) -> None:
    one_server.become(usage=False, logprobs="absent")
    made(one_server, tmp_path / "run", texts(1))
    id = rows_of(Run.at(tmp_path / "run"))[0]["id"]
    call = json.loads(run("trace", "run", id, "--json").out)["calls"][0]
    assert call["tokens_in"] is None and call["tokens_out"] is None and call["cost"] is None
    assert "– → – tokens" in run("trace", "run", id).out


# ------------------------------------------------------------------------------------------ what breaks, and what ends a run


def test_a_forbidden_prompt_breaks_alone_and_is_not_asked_again_unless_told(one_server: Server, tmp_path: Path) -> None:
    one_server.become(forbid="CURSED")
    anchors = [*texts(1, "CURSED"), *texts(8)]
    run = made(one_server, tmp_path / "run", anchors)
    assert (run.record["counts"]["kept"], run.record["counts"]["broken"]) == (8, 1)
    for n, ask_again in enumerate((False, False, True)):
        run = made(one_server, tmp_path / "run", anchors, ask_again=ask_again)
        assert run.record["counts"]["broken"] == 1 and one_server.stats()["asked"] == 9 + (n == 2)
    assert any("forbidden" in reason for reason in run.record["broken_by"])


def test_a_model_that_served_this_folder_before_is_no_forbidden_model(one_server: Server, tmp_path: Path) -> None:
    one_server.become(forbid="CURSED")
    anchors = [*texts(4, "CURSED"), *texts(40)]
    for ask_again in (False, True, False):
        run = made(one_server, tmp_path / "run", anchors, ask_again=ask_again)
        assert (run.record["counts"]["kept"], run.record["counts"]["broken"]) == (40, 4)
    assert one_server.stats()["asked"] == 48  # the last run took them as refused for good
    made(one_server, tmp_path / "grown", texts(40))
    run = made(one_server, tmp_path / "grown", [*texts(40), *texts(4, "CURSED")], replace=True)
    assert (run.record["counts"]["kept"], run.record["counts"]["broken"]) == (40, 4)


def test_a_run_that_stops_keeps_the_record_of_what_broke(one_server: Server, tmp_path: Path) -> None:
    one_server.become(forbid="CURSED")
    anchors = [*texts(40), *texts(4, "CURSED")]
    made(one_server, tmp_path / "run", anchors)
    one_server.become(key="another")  # 401, whoever asks
    for _ in range(2):
        with pytest.raises(SynthgainError) as error:
            made(one_server, tmp_path / "run", anchors, ask_again=True)
        run = Run.at(tmp_path / "run")
        assert error.value.code == 4 and run.record["status"] == "stopped"
        assert run.record["counts"]["broken"] == sum(run.record["broken_by"].values()) == len(list(run.broken())) == 4
    one_server.become(forbid="CURSED")
    run = made(one_server, tmp_path / "run", anchors)
    assert run.record["counts"]["broken"] == 4 and one_server.stats()["asked"] == 0
    one_server.become()
    run = made(one_server, tmp_path / "run", anchors, ask_again=True)
    assert (run.record["counts"]["kept"], run.record["counts"]["broken"]) == (44, 0) and not list(run.broken())


def test_a_server_that_fails_every_call_ends_the_run_with_code_5_in_the_first_tens(
    one_server: Server, tmp_path: Path
) -> None:
    for n, plan in enumerate(
        ({"fault_first": 10**6, "fault": 500}, {"fault_first": 10**6, "fault": 422}, {"answer": "no JSON"})
    ):
        one_server.become(**plan)
        with pytest.raises(SynthgainError) as error:
            made(one_server, tmp_path / f"run {n}", texts(400), reach={"wait": 0.01})
        assert error.value.code == 5 and one_server.stats()["asked"] < 60
        assert Run.at(tmp_path / f"run {n}").record["status"] == "stopped"


def test_a_refused_setting_that_was_asked_for_stops_the_run_before_money_is_spent(
    one_server: Server, tmp_path: Path
) -> None:
    one_server.become(refuse="stop")
    with pytest.raises(SynthgainError, match="stop") as error:
        made(one_server, tmp_path / "run", texts(50), knobs={"stop": ("END",)})
    assert error.value.code == 2 and "--set stop=none" in error.value.next and one_server.stats()["served"] == 0


def test_what_a_server_does_not_take_is_said_once_in_the_record(one_server: Server, tmp_path: Path) -> None:
    one_server.become(refuse="seed")
    run = made(one_server, tmp_path / "run", texts(9))
    assert run.record["counts"]["kept"] == 9 and run.record["warning"].count("does not take seeds") == 1


def test_reasons_are_counted_by_kind_with_the_files_they_came_from(
    one_server: Server, tmp_path: Path, run: Cli
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for i in range(8):
        (docs / f"page {i}.txt").write_text(f"{i} " + "word " * (5000 + i if i < 2 else 20))
    one_server.become(window=2048)
    words = ["generate", "entigraph", "docs", "-o", "run", "-m", "openai/double", "--base-url", one_server.base_url]
    done = run(*words, "--set", "tries=1")
    record = Run.at(tmp_path / "run").record
    assert list(record["broken_by"].values()) == [2] and "context" in next(iter(record["broken_by"]))
    assert "2 broken: longer than the model's context of 2,048 tokens" in done.err and "page 1.txt" in done.err
    assert one_server.stats()["asked"] == 6


def test_rows_of_prompts_that_the_server_cut_are_marked(one_server: Server, tmp_path: Path) -> None:
    one_server.become(reads=512)
    run = made(one_server, tmp_path / "run", [{"text": "word " * n} for n in (50, 2000, 3000)])
    marks = [json.loads(row["fields"]).get("prompt_cut") for row in rows_of(run)]
    assert marks == [None, True, True]
    assert "2 prompts" in run.record["warning"] and "512" in run.record["warning"]


def test_calls_that_rest_between_two_tries_are_not_in_flight(one_server: Server, tmp_path: Path) -> None:
    one_server.become(drop_first=16, latency=0.05)
    seen = list[tuple[int, int]]()
    run = made(
        one_server,
        tmp_path / "run",
        texts(60),
        reach={"concurrency": 8},
        watch=lambda tally: seen.append((tally.in_flight, tally.width)),
    )
    assert run.record["counts"]["kept"] == 60
    assert max(flying for flying, _ in seen) == 8 and {width for _, width in seen[1:]} == {8}


# ------------------------------------------------------------------------------------------ budgets

BUDGETS = [({"max_cost": 0.05}, True), ({"max_tokens": 25_000}, True), ({"max_tokens": 25_000}, False)]


@pytest.mark.parametrize(("cap", "counts"), BUDGETS, ids=["dollars", "tokens", "tokens that nobody counts"])
def test_long_pages_after_short_ones_pass_no_budget_and_one_figure_is_said(
    one_server: Server, tmp_path: Path, cap: dict[str, Any], counts: bool
) -> None:
    one_server.become(words=20, usage=counts, logprobs="given" if counts else "absent")
    pages = [{"text": f"page {i}"} for i in range(40)] + [{"text": f"{i} " + "word " * 8_000} for i in range(40)]
    with pytest.raises(SynthgainError, match="has no room") as error:
        made(one_server, tmp_path / "run", pages, reach={"price": "1,4", "concurrency": 16}, **cap)
    assert error.value.code == 3
    record = Run.at(tmp_path / "run").record
    assert record["why"] in str(error.value)
    if "max_cost" in cap:
        assert 0 < record["cost_usd"] <= 0.05 and f"${record['cost_usd']:.4f} spent" in record["why"]
    elif counts:
        spent = record["tokens"]["in"] + record["tokens"]["out"]
        assert 0 < spent <= 25_000 and f"{spent:,} spent" in record["why"]
    else:
        assert "did not count" in record["why"] and record["counts"]["calls_bought"] < 60


def test_what_is_counted_after_the_stop_is_in_the_figure_that_is_said(one_server: Server, tmp_path: Path) -> None:
    """A resumed run counts what it has already: the message says the sum, not what it was when buying ended."""
    one_server.become(words=20)
    pages = [{"text": f"{i} " + "word " * (20 if i % 2 else 2_000)} for i in range(30)]
    for _ in range(2):
        with pytest.raises(SynthgainError, match="has no room") as error:
            made(one_server, tmp_path / "run", pages, reach={"price": "1,4"}, max_cost=0.01)
        record = Run.at(tmp_path / "run").record
        assert f"${record['cost_usd']:.4f} spent" in str(error.value) and record["cost_usd"] <= 0.01


# ------------------------------------------------------------------------------------------ by command line


@pytest.mark.parametrize(("limit", "small"), [("--max-cost", "0.06"), ("--max-tokens", "1500")])
def test_the_command_that_is_told_to_go_on_goes_on(
    one_server: Server, tmp_path: Path, run: Cli, limit: str, small: str
) -> None:
    """Pasted as often as it is told, it buys more each time and comes to its end."""
    one_server.become(words=20)
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(t) + "\n" for t in texts(20)))
    words = ["generate", "rephrase", "texts.jsonl", "-o", "run", "-m", "openai/double", "--set", "max_tokens=64"]
    said = run(*words, "--base-url", one_server.base_url, "--price", "10,100", limit, small)
    stops, bought = 0, [0]
    while said.code == 3:
        told = said.err[said.err.rindex("synthgain generate") :].split("\n")[0]
        stops += 1
        bought.append(len(rows_of(Run.at(tmp_path / "run"))))
        assert bought[-1] > bought[-2] and "used up" not in said.err and stops < 12
        said = run(*shlex.split(told)[1:])
    assert said.code == 0 and stops and Run.at(tmp_path / "run").record["counts"]["rows"] > bought[-1]


def test_a_preview_that_its_budget_stops_says_what_to_type_next(one_server: Server, tmp_path: Path, run: Cli) -> None:
    one_server.become(words=20)
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(t) + "\n" for t in texts(20)))
    words = ["preview", "rephrase", "texts.jsonl", "-o", "run", "-m", "openai/double", "--set", "max_tokens=64"]
    words += ["--base-url", one_server.base_url, "--price", "10,100", "--max-cost"]
    limits = ["0.008"]
    while (stopped := run(*words, limits[-1])).code == 3:
        limits.append(stopped.err.partition("next: the same with --max-cost ")[2].split()[0])
        assert len(limits) < 9 and float(limits[-1]) > float(limits[-2])
    assert stopped.code == 0 and len(limits) > 1


def test_what_was_bought_without_a_price_costs_what_its_tokens_cost_today(one_server: Server, tmp_path: Path) -> None:
    one_server.become(words=20)
    made(one_server, tmp_path / "run", texts(12), limit=4)
    whole = made(one_server, tmp_path / "run", texts(12), reach={"price": "1000,2000"}, max_cost=5, replace=True)
    tokens = whole.record["tokens"]
    assert whole.record["cost_usd"] == pytest.approx(tokens["in"] / 1e3 + tokens["out"] / 500)
    assert whole.record["counts"]["calls_reused"] == 4 and "4 calls" in whole.record["warning"]


def test_a_server_that_is_away_is_waited_for_as_long_as_was_said(tmp_path: Path, run: Cli) -> None:
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(t) + "\n" for t in texts(4)))
    with served() as server:
        server.kill()
        words = ["generate", "rephrase", "texts.jsonl", "-o", "run", "-m", "openai/double"]
        gone = run(*words, "--base-url", server.base_url, "--wait", "0.02")
        assert gone.code == 4 and "--wait 0.02" in gone.err and "next try in" in gone.err
        heard = list[str]()

        def watch(tally: Tally) -> None:
            if tally.note and not heard:
                heard.append(tally.note)
                threading.Thread(target=server.again).start()

        run_again = made(server, tmp_path / "again", texts(4), reach={"wait": 1}, watch=watch)
    assert run_again.record["counts"]["kept"] == 4 and "next try in" in heard[0] and "warning" not in run_again.record


@pytest.mark.parametrize("plan", [{}, {"fault_first": 10**6, "fault": 503}], ids=["away", "loading"])
def test_who_stops_while_a_server_is_waited_for_does_not_wait_for_it(tmp_path: Path, plan: dict[str, Any]) -> None:
    with served(**plan) as server:
        if not plan:
            server.kill()
        stopped = list[float]()

        def watch(tally: Tally) -> None:
            if tally.trouble and not stopped:
                stopped.append(time.monotonic())
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(SynthgainError) as error:
            made(server, tmp_path / "run", texts(100), reach={"wait": 5}, watch=watch)
        assert error.value.code == 130 and time.monotonic() - stopped[0] < 5
    assert Run.at(tmp_path / "run").record["status"] == "stopped"


def test_check_tells_what_it_found(one_server: Server, run: Cli) -> None:
    words = ["check", "openai/double", "--base-url", one_server.base_url]
    one_server.become(least=32, window=4096, refuse="top_k", no_system=400, message='{"reasoning": "Hm."}')
    told = json.loads(run(*words, "--json").out)
    assert told["context"] == 4096 and told["logprobs"] is True and told["reasoning"] is True
    assert told["folds_system"] is True and told["left_out"] == ["top_k"] and "more than 8 tokens" in told["note"]
    one_server.become(thinks=40)
    told = json.loads(run(*words, "--json").out)
    assert told["answer"] and "256" in told["note"]
    one_server.become(text="<think>Hm.</think>Hello.", schema=False)
    told = json.loads(run(*words, "--json").out)
    assert told["answer"] == "Hello." and told["reasoning"] is True
    one_server.become(fault_first=10**6, fault=500)
    began = time.monotonic()
    failed = run(*words)
    assert failed.code == 4 and time.monotonic() - began < 20
    help = " ".join(run("check", "--help").out.split())
    assert "default: 0.1" in help and "default: 0.5" not in help
    assert "next try in" in failed.err and "a fault on order" in failed.err


def test_a_name_that_no_check_has_is_what_is_blamed(run: Cli) -> None:
    asked = run("checks", "near_duplicat")
    assert asked.code == 2 and "--with" not in asked.err and "near-duplicate" in asked.err


def test_extra_fields_and_headers_by_command_line_and_no_secret_in_the_record(
    tmp_path: Path, one_server: Server, run: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "one"}\n')
    one_server.become()
    words = ["generate", "rephrase", "texts.jsonl", "-o", "run", "-m", "openai/double"]
    words += ["--base-url", one_server.base_url, "--requests-per-minute", "6000"]
    refused = run(*words, "--header", "X-Auth-Token: sk-literal")
    assert refused.code == 2 and "sk-literal" not in refused.err and "$VARIABLE" in refused.err
    unset = run(*words, "--header", "X-Auth-Token: $TEA")
    assert unset.code == 2 and "TEA" in unset.err
    nobody = run("generate", "rephrase", "texts.jsonl", "-o", "x", "-m", "scripted/echo", "--extra", "a=1")
    assert nobody.code == 2 and "--extra" in nobody.err and one_server.stats()["asked"] == 0

    monkeypatch.setenv("TEA", "sk-secret-123")
    more = ["--extra", "reasoning_effort=low", "--extra", 'writer:provider={"sort": "price"}']
    more += ["--header", "X-Title: tea", "--header", "X-Auth-Token: Bearer $TEA"]
    done = run(*words, *more)
    assert done.code == 0, done.err
    stats = one_server.stats()
    assert stats["last"]["reasoning_effort"] == "low" and stats["last"]["provider"] == {"sort": "price"}
    assert stats["heads"]["X-Title"] == "tea" and stats["heads"]["X-Auth-Token"] == "Bearer sk-secret-123"
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or b"sk-secret-123" not in file.read_bytes()
    again = run(*shlex.split(Run.at(tmp_path / "run").record["command"])[1:], "--json")
    assert again.code == 0 and json.loads(again.out)["counts"]["calls_bought"] == 0, again.err


def test_a_run_of_which_nothing_is_kept_says_why_and_is_no_success(
    tmp_path: Path, one_server: Server, run: Cli
) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    one_server.become(thinks=1000, words=0)
    words = ["generate", "rephrase", "texts.jsonl", "-o", "run", "-m", "openai/double", "--base-url"]
    done = run(*words, one_server.base_url)
    assert done.code == 5 and "8 of 8 fell by answer (thinking never ended)" in done.err
    assert Run.at(tmp_path / "run").record["status"] == "complete"


# ------------------------------------------------------------------------------------------ schemas


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "T", "summary": "S.", "entities": ["Maren Tolvik", "Osk"]}',
        'I think {this}.\n\n```json\n{"title": "T", "summary": "S.", "entities": ["Maren Tolvik", "Osk"]}\n```\nI hope {it} helps.',
        '{"draft": 1} No. {"summary": "S.", "entities": [{"name": "Maren Tolvik", "type": "person"}, {"name": "Osk"}]}',
        'Here: {"summary": "S.", "entities": [{"entity": "Maren Tolvik"}, "Osk"]}',
    ],
)
def test_json_is_found_where_it_stands_and_names_are_read(one_server: Server, tmp_path: Path, text: str) -> None:
    one_server.become(schema=False, text=text)
    document = [{"text": "Maren Tolvik founded the seed library of Osk in 1931."}]
    run = made(one_server, tmp_path / "run", document, recipe="entigraph", knobs={"tries": 1})
    rows = rows_of(run)
    assert json.loads(rows[0]["fields"])["entities"] == ["Maren Tolvik", "Osk"] and rows[0]["text"] == "S."
    assert run.record["counts"]["rows"] == 2
