"""What servers of other people do: each oddity once, by a server that really listens."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from doubles.server import Planned, Server
from synthgain.models.answers import Refusal, read
from synthgain.models.openai import OpenAI
from synthgain.models.terms import Terms
from synthgain.thinking import only_thought
from synthgain.types import Call, CallFailed, Prompt, Sampling, SynthgainError, assistant, system, user

ASK = Prompt((user("What is two plus three?"),))
WEATHER = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}


def reached(server: Server, **options: Any) -> aclosing[OpenAI]:
    """The model behind a server, closed at the end."""
    return aclosing(OpenAI("double", base_url=server.base_url, **options))


async def ask(model: OpenAI, n: int, text: str = "question") -> list[Call | BaseException]:
    return await asyncio.gather(*[model(Prompt((user(f"{text} {i}"),))) for i in range(n)], return_exceptions=True)


def calls(answers: list[Call | BaseException]) -> list[Call]:
    """The answers; fails on the first that is an exception."""
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if isinstance(answer, Call)]


def body(choice: dict[str, Any] | None, **more: Any) -> str:
    """The body of an answer that was counted: 5 tokens in, 2 out."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    return json.dumps({"choices": [] if choice is None else [choice], "usage": usage} | more)


def said(content: Any, finish: str | None = "stop", **more: Any) -> str:
    return body({"message": {"role": "assistant", "content": content}, "finish_reason": finish} | more)


# ------------------------------------------------------------------------------------------ settings that are refused


async def test_of_two_settings_that_are_refused_together_the_neutral_one_is_left_out(planned: Planned) -> None:
    with planned(never_both="temperature,top_p") as server:
        async with reached(server) as model:
            warm = replace(ASK, sampling=Sampling(temperature=0.7))
            calls([await model(warm)])
            sent = server.stats()["last"]
            calls(await ask(model, 3))
            assert len(model.learnt) == 1 and "top_p" in model.learnt[0]
        stats = server.stats()
    assert sent["temperature"] == 0.7 and "top_p" not in sent
    assert stats["statuses"] == {"400": 1, "200": 4}


async def test_of_two_settings_that_are_refused_together_the_neutral_one_may_be_the_temperature(
    planned: Planned,
) -> None:
    with planned(never_both="temperature,top_p") as server:
        async with reached(server) as model:
            await model(replace(ASK, sampling=Sampling(top_p=0.9)))
        sent = server.stats()["last"]
    assert sent["top_p"] == 0.9 and "temperature" not in sent


async def test_two_settings_that_were_both_asked_for_stop_the_run_before_anything_is_served(planned: Planned) -> None:
    with planned(never_both="temperature,top_p") as server:
        async with reached(server) as model:
            with pytest.raises(SynthgainError) as error:
                await model(replace(ASK, sampling=Sampling(temperature=0.7, top_p=0.9)))
        assert server.stats()["served"] == 0
    assert error.value.code == 2 and "--set top_p=1" in error.value.next


@pytest.mark.parametrize(
    ("law", "name", "cure"),
    [
        ({"stop": ("END",)}, "stop", "--set stop=none"),
        ({"presence_penalty": 0.5}, "presence_penalty", "--set presence_penalty=0"),
        ({"temperature": 0.2}, "temperature", "--set temperature=1"),
    ],
)
async def test_a_refused_setting_names_the_knob(planned: Planned, law: dict[str, Any], name: str, cure: str) -> None:
    with planned(refuse=name) as server:
        async with reached(server) as model:
            with pytest.raises(SynthgainError, match=name) as error:
                await model(replace(ASK, sampling=Sampling(**law)))
        assert server.stats()["asked"] == 1
    assert error.value.code == 2 and cure in error.value.next


def test_a_list_of_faults_names_the_fields_and_not_the_request_that_it_repeats() -> None:
    fault = {"type": "extra_forbidden", "loc": ["body", "min_p"], "msg": "Extra inputs are not permitted"}
    again = fault | {"input": {"temperature": 0.5, "stop": ["END"], "seed": 7}}
    refused = read(422, json.dumps({"detail": [again]}).encode(), Sampling())
    assert isinstance(refused, Refusal)
    asked = Prompt(ASK.messages, sampling=Sampling(temperature=0.5, stop=("END",)))
    terms = Terms().after(refused, asked, "here")
    assert terms is not None and terms.without == {"min_p"}


async def test_a_word_in_a_refusal_of_one_prompt_does_not_end_a_run_that_was_served_with_that_setting(
    planned: Planned,
) -> None:
    law = Sampling(stop=("END",))
    with planned() as server:
        async with reached(server) as model:
            await model(replace(ASK, sampling=law))
            server.become(refuse="stop")
            with pytest.raises(CallFailed, match="stop"):
                await model(Prompt((user("another"),), sampling=law))


async def test_the_request_says_that_it_wants_no_stream(planned: Planned) -> None:
    with planned(streams=True, words=5) as server:
        async with reached(server) as model:
            assert len((await model(ASK)).text.split()) == 5
        assert server.stats()["last"]["stream"] is False


# ------------------------------------------------------------------------------------------ bodies of answers


async def test_a_whole_answer_as_events_is_the_answer_that_it_is(planned: Planned) -> None:
    with planned(streams=True, refuse="stream", words=5, message='{"reasoning_content": "Hm."}') as server:
        async with reached(server) as model:
            call = await model(ASK)
    assert len(call.text.split()) == 5 and call.message["reasoning"] == "Hm." and call.finish == "stop"
    assert (call.tokens_in, call.tokens_out) == (5, 5) and call.logprob == pytest.approx(-5 * math.log(16))


CALLED = [
    {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}},
    {"index": 0, "function": {"arguments": '{"city": '}},
    {"index": 0, "function": {"arguments": '"Köln"}'}},
]


@pytest.mark.parametrize(
    ("text", "message", "finish"),
    [
        (said("fine") + "\ndata: [DONE]\n\n", assistant("fine"), "stop"),
        ("\n\n\ufeff" + said("fine"), assistant("fine"), "stop"),
        (": wait\n\nevent: message\ndata: " + said("fine") + "\n\n", assistant("fine"), "stop"),
        (
            "".join(f"data: {json.dumps({'choices': [{'delta': {'tool_calls': [c]}}]})}\n\n" for c in CALLED)
            + 'data: {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}\n\n',
            {"role": "assistant", "content": "", "tool_calls": [WEATHER]},
            "tool_calls",
        ),
        ('data: {"choices": [{"delta": {"content": "half a sent"}}]}\n\n', assistant("half a sent"), "length"),
        (
            'data: {"choices": [{"delta": {"content": "half"}}]}\n\ndata: {"error": {"message": "gone"}}\n\n',
            assistant("half"),
            "error",
        ),
    ],
)
async def test_events_around_an_answer(planned: Planned, text: str, message: Any, finish: str) -> None:
    with planned(answer=text) as server:
        async with reached(server) as model:
            call = await model(ASK)
        assert server.stats()["asked"] == 1
    assert call.message == message and call.finish == finish


@pytest.mark.parametrize(
    ("text", "message", "finish", "fault"),
    [
        (body(None), assistant(""), "no answer", "no answer"),
        (body({"finish_reason": "stop"}), assistant(""), "no answer", "no answer"),
        (
            body({"message": {"content": None, "reasoning_content": "Let me see."}, "finish_reason": "stop"}),
            {"role": "assistant", "content": "", "reasoning": "Let me see."},
            "stop",
            "only reasoning",
        ),
        (said([{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]), assistant("one two"), "stop", ""),
        (
            said(
                [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "two"}]
            ),
            {"role": "assistant", "content": "two", "reasoning": "Hm."},
            "stop",
            "",
        ),
        (said({"b": 1, "a": [2]}), assistant('{"b":1,"a":[2]}'), "stop", ""),
        (said([{"type": "image_url", "image_url": {}}]), None, "error", "the server broke off with an error"),
        (body({"message": "a text", "finish_reason": "stop"}), assistant("a text"), "stop", ""),
        (
            body({"message": {"content": None, "tool_calls": "weather"}, "finish_reason": "stop"}),
            None,
            "error",
            "the server broke off with an error",
        ),
        (said("half", "max_tokens"), assistant("half"), "length", ""),
        (said("half", "MAX_TOKENS"), assistant("half"), "length", ""),
        (said("half", "model_length"), assistant("half"), "length", ""),
        (said("half", ""), assistant("half"), "length", ""),
        (said("half", None), assistant("half"), "length", ""),
        (said("whole", "end_turn"), assistant("whole"), "stop", ""),
        (said("half", "error"), assistant("half"), "error", "the server broke off with an error"),
        (said("half", "stop", error={"code": 502}), assistant("half"), "error", "the server broke off with an error"),
        (
            said("half", "content_filter"),
            assistant("half"),
            "content_filter",
            "the server's content filter broke off",
        ),
        (said("a\ud800b\0c"), assistant("a\ufffdb\ufffdc"), "stop", ""),
    ],
)
async def test_what_was_billed_is_kept_and_asked_once(
    planned: Planned, text: str, message: Any, finish: str, fault: str
) -> None:
    with planned(answer=text) as server:
        async with reached(server) as model:
            call = await model(ASK)
        assert server.stats()["asked"] == 1
    assert message is None or call.message == message
    assert (call.finish, call.fault or only_thought(call), call.tokens_in, call.tokens_out) == (finish, fault, 5, 2)


async def test_an_answer_with_all_of_its_tokens_used_up_was_cut_off_whatever_the_server_says(planned: Planned) -> None:
    with planned(words=20) as server:
        async with reached(server) as model:
            call = await model(replace(ASK, sampling=Sampling(max_tokens=12)))
    assert (call.finish, call.tokens_out) == ("length", 12)


@pytest.mark.parametrize("logprob", [None, "missing", -math.inf, "low"])
async def test_a_log_probability_that_is_none_keeps_the_text(planned: Planned, logprob: Any) -> None:
    token = {"token": "fine"} if logprob == "missing" else {"token": "fine", "logprob": logprob}
    with planned(answer=said("fine", logprobs={"content": [{"logprob": -1.0}, token]})) as server:
        async with reached(server) as model:
            call = await model(ASK)
    assert call.text == "fine" and call.logprob is None and "log-probabilit" in call.law


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, (0, 0)),
        ({"prompt_tokens": "10", "completion_tokens": " 3 "}, (10, 3)),
        ({"prompt_tokens": 2**63, "completion_tokens": 3}, (0, 3)),
        ({"prompt_tokens": "1e3", "completion_tokens": "-3"}, (0, 0)),
    ],
)
async def test_counts_as_text_are_read_and_absurd_ones_are_none(planned: Planned, usage: Any, counted: Any) -> None:
    choice = {"message": {"content": "fine"}, "finish_reason": "stop"}
    with planned(answer=body(choice, usage=usage)) as server:
        async with reached(server) as model:
            call = await model(ASK)
    assert (call.tokens_in, call.tokens_out) == counted and call.text == "fine"


@pytest.mark.parametrize("extra", [{}, {"typical_p": 0.9}])
async def test_the_law_of_an_answer_says_that_a_server_gave_no_log_probabilities(planned: Planned, extra: Any) -> None:
    with planned(logprobs="absent") as server:
        async with reached(server, extra=extra) as model:
            call = await model(replace(ASK, sampling=Sampling(temperature=0.7)))
    assert call.law == "server gave no token log-probabilities"


async def test_tokens_are_counted_by_their_log_probabilities_where_the_server_does_not_count(planned: Planned) -> None:
    with planned(usage=False, words=6) as server:
        async with reached(server) as model:
            assert (await model(ASK)).tokens_out == 6


# ------------------------------------------------------------------------------------------ refusals in answers


async def test_an_error_in_an_answer_of_status_200_is_final_for_this_call_and_trips_nothing(planned: Planned) -> None:
    error = json.dumps({"error": "This model's maximum context length is 4096 tokens, and you asked for 9000"})
    with planned(answer=error) as server:
        async with reached(server) as model:
            answers = await ask(model, 16)
            assert all(isinstance(a, CallFailed) and "longer than the model's context" in str(a) for a in answers)
            assert server.stats()["asked"] == 16
            server.become()
            assert len(calls(await asyncio.wait_for(ask(model, 16), 2))) == 16


async def test_an_error_in_an_answer_of_status_200_can_be_a_busy_server(planned: Planned) -> None:
    with planned(answer='{"error": {"message": "rate limit reached", "type": "rate_limit"}}') as server:
        async with reached(server, unreachable_after=0.2) as model:
            task = asyncio.create_task(ask(model, 2))
            while server.stats()["asked"] < 3:
                await asyncio.sleep(0.01)
            server.become()
            assert len(calls(await asyncio.wait_for(task, 10))) == 2


async def test_one_prompt_that_is_forbidden_breaks_alone_and_for_good(planned: Planned) -> None:
    with planned(forbid="CURSED", latency=0.02) as server:
        async with reached(server) as model:
            bad, good = await asyncio.gather(ask(model, 1, "CURSED"), ask(model, 6))  # the forbidden one is the first
            assert len(calls(good)) == 6
            assert isinstance(bad[0], CallFailed) and "403" in str(bad[0]) and bad[0].final
            later = await ask(model, 5, "CURSED")
    assert all(isinstance(a, CallFailed) and a.final for a in later)


async def test_a_prompt_that_a_content_filter_refuses_is_refused_for_good(planned: Planned) -> None:
    error = {"code": "content_filter", "message": "The prompt was filtered by our policy."}
    with planned(answer=json.dumps({"error": error})) as server:
        async with reached(server) as model:
            with pytest.raises(CallFailed) as failed:
                await model(ASK)
        assert failed.value.final and server.stats()["asked"] == 1


async def test_every_prompt_forbidden_from_the_first_ends_the_run(planned: Planned) -> None:
    with planned(fault_first=1000, fault=403) as server:
        async with reached(server) as model:
            answers = await ask(model, 30)
        assert server.stats()["asked"] <= 30
    assert all(isinstance(a, SynthgainError) and a.code == 4 and "forbids" in str(a) for a in answers)


@pytest.mark.parametrize("status", [404, 405, 307])
async def test_one_stray_reply_of_a_gateway_is_tried_again(planned: Planned, status: int) -> None:
    with planned(fault_after=5, fault_first=3, fault=status) as server:
        async with reached(server, concurrency=2, unreachable_after=0.5) as model:
            assert len(calls(await ask(model, 12))) == 12
    with planned(fault_first=1, fault=status, latency=0.02) as server:  # the very first of several
        async with reached(server, unreachable_after=0.5) as model:
            assert len(calls(await ask(model, 8))) == 8


async def test_nobody_there_ends_the_run_at_once_also_with_many_in_flight(planned: Planned) -> None:
    with planned(fault_first=1000, fault=404) as server:
        async with reached(server) as model:
            answers = await ask(model, 30)
    assert all(isinstance(a, SynthgainError) and a.code == 4 for a in answers)


async def test_a_refused_call_waits_for_nobody_who_waits_for_its_place(planned: Planned) -> None:
    """A fault leaves one place for two calls: the other call, which is forbidden, holds it, and nothing has been served yet."""
    with planned(fault_first=1, fault=500, forbid="CURSED") as server:
        async with reached(server, concurrency=2, unreachable_after=0.5) as model:
            said = (user("fine"),), (user("CURSED"),)
            fine, cursed = await asyncio.wait_for(
                asyncio.gather(*(model(Prompt(turns)) for turns in said), return_exceptions=True), 10
            )
    assert isinstance(fine, Call) and isinstance(cursed, CallFailed)


@pytest.mark.parametrize("status", [400, 500])
async def test_a_template_without_a_system_role_gets_the_system_turn_in_the_first_user_turn(
    planned: Planned, status: int
) -> None:
    prompt = Prompt((system("Be brief."), user("One."), assistant("Yes."), user("Two."), user("Three.")))
    with planned(no_system=status) as server:
        async with reached(server) as model:
            call = await model(prompt)
            calls(await asyncio.gather(*[model(replace(prompt, draw=n)) for n in range(1, 5)]))
            assert len(model.learnt) == 1 and "system" in model.learnt[0]
        stats = server.stats()
    assert stats["statuses"] == {str(status): 1, "200": 5}
    assert stats["last"]["messages"] == [
        {"role": "user", "content": "Be brief.\n\nOne."},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Two.\n\nThree."},
    ]
    assert call.prompt is prompt and call.id == prompt.id(model.identity)


# ------------------------------------------------------------------------------------------ connections


async def test_a_connection_that_the_server_had_closed_fails_no_call_and_opens_no_breaker(planned: Planned) -> None:
    with planned(hangs_up=True) as server:
        async with reached(server, concurrency=16) as model:
            troubles = list[str]()
            model.gate.told = troubles.append
            for _ in range(4):
                assert len(calls(await asyncio.wait_for(ask(model, 16), 5))) == 16
            assert model.width == 16 and not troubles


async def test_every_call_that_fails_from_the_first_ends_the_run_soon(planned: Planned) -> None:
    with planned(fault_first=10**6, fault=500) as server:
        async with reached(server, unreachable_after=0.5) as model:
            troubles = list[str]()
            model.gate.told = troubles.append
            answers = await asyncio.wait_for(ask(model, 500), 20)
        assert server.stats()["asked"] < 40
    assert all(isinstance(a, SynthgainError) and a.code == 5 for a in answers)
    assert any("a fault on order" in said and "next try in" in said for said in troubles)


async def test_a_gateway_whose_server_is_away_is_waited_for(planned: Planned) -> None:
    with planned(fault_first=2, fault=502) as server:
        async with reached(server, unreachable_after=4.0, tries=1) as model:
            assert (await asyncio.wait_for(model(ASK), 30)).text


async def test_no_more_requests_a_minute_than_are_allowed(planned: Planned) -> None:
    with planned() as server:
        async with reached(server, requests_per_minute=600) as model:
            assert len(calls(await ask(model, 8))) == 8
        times = server.stats()["times"]
    assert all(b - a > 0.08 for a, b in pairwise(times)) and times[-1] - times[0] < 5


async def test_extra_fields_are_sent_and_change_the_identity_and_headers_do_not(planned: Planned) -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"}
    with planned() as server:
        plain = OpenAI("double", base_url=server.base_url)
        async with reached(server, extra=extra, headers={"X-Team": "tea"}) as model:
            call = await model(ASK)
        stats = server.stats()
    assert stats["last"]["chat_template_kwargs"] == {"enable_thinking": False} and stats["heads"]["X-Team"] == "tea"
    assert call.id != ASK.id(plain.identity)
    assert OpenAI("double", base_url=server.base_url, headers={"X-Team": "b"}).identity == plain.identity
    with pytest.raises(SynthgainError, match="temperature"):
        OpenAI("double", base_url=server.base_url, extra={"temperature": 0.5})


# ------------------------------------------------------------------------------------------ long prompts


async def test_a_prompt_of_which_the_server_dropped_the_front_is_noticed(planned: Planned) -> None:
    long, short = Prompt((user("word " * 3000),)), Prompt((user("word " * 300),))
    with planned(reads=512) as server:
        async with reached(server) as model:
            assert (await model(long)).misread and not (await model(short)).misread


async def test_a_prompt_beyond_the_known_context_is_not_sent(planned: Planned) -> None:
    with planned(window=2048) as server:
        async with reached(server) as model:
            answers = await asyncio.gather(
                *(model(Prompt((user(f"{i} " + "word " * 3000),))) for i in range(3)), return_exceptions=True
            )
            assert all(isinstance(a, CallFailed) and "2,048" in str(a) for a in answers)
            assert (await model(Prompt((user("word " * 1500),)))).text
        assert server.stats()["asked"] == 1
