"""Text to go on with, at a server's /completions: plain, or behind a turn that the server's template begins."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from doubles.server import Planned, Server
from synthgain import api
from synthgain.models import Reach
from synthgain.models.answers import Answer, Refusal, read
from synthgain.models.openai import OpenAI
from synthgain.types import CallFailed, Message, Prompt, Sampling, SynthgainError, assistant, system, user

TEXT = Prompt((Message(role="raw", content="Once upon a"),))
CHAT = Prompt((user("What is two plus three?"),))


def begun(name: str, content: str = "", *chat: Message) -> Prompt:
    return Prompt((*chat, Message(role="raw", name=name, content=content)))


def reached(server: Server, **options: Any) -> aclosing[OpenAI]:
    return aclosing(OpenAI("double", base_url=server.base_url, **options))


async def test_text_is_sent_as_it_stands_and_the_answer_is_read_with_its_log_probability(planned: Planned) -> None:
    law = Sampling(max_tokens=5, stop=("\n",))
    with planned(words=5) as server:
        async with reached(server) as model:
            call = await model(replace(TEXT, sampling=law))
        sent = server.stats()["last"]
    assert sent["prompt"] == "Once upon a" and "messages" not in sent
    assert (sent["logprobs"], sent["max_tokens"], sent["stop"], sent["stream"]) == (1, 5, ["\n"], False)
    assert (sent["temperature"], sent["top_p"], sent["top_k"], sent["min_p"]) == (1.0, 1.0, -1, 0.0)
    assert len(call.text.split()) == 5 and call.finish == "length"
    assert (call.tokens_in, call.tokens_out) == (3, 5) and call.logprob == pytest.approx(-5 * math.log(16))
    assert call.id == replace(TEXT, sampling=law).id(model.identity)


async def test_the_seed_follows_from_the_call_and_equal_calls_are_equal_requests(planned: Planned) -> None:
    with planned() as server:
        async with reached(server) as model:
            one, same, other = await model(TEXT), await model(TEXT), await model(replace(TEXT, draw=1))
        assert server.stats()["last"]["seed"] == int(other.id[:8], 16) & 0x7FFFFFFF
    assert one.text == same.text != other.text and one.id == same.id != other.id


async def test_a_whole_answer_as_events_is_the_answer_that_it_is(planned: Planned) -> None:
    with planned(words=6) as server:
        async with reached(server) as model:
            plain = await model(TEXT)
    with planned(streams=True, refuse="stream", words=6) as server:
        async with reached(server) as model:
            streamed = await model(TEXT)
    assert len(streamed.text.split()) == len(plain.text.split()) == 6 and streamed.finish == "stop"
    assert streamed.logprob == pytest.approx(plain.logprob) and streamed.tokens_out == 6


@pytest.mark.parametrize(
    ("choice", "more", "text", "finish"),
    [
        ({"text": "went on", "finish_reason": "stop"}, {}, "went on", "stop"),
        ({"text": "went on", "finish_reason": None}, {}, "went on", "length"),
        ({"text": None, "finish_reason": "stop"}, {}, "", "stop"),
        ({"text": {"a": 1}, "finish_reason": "stop"}, {}, '{"a":1}', "stop"),
        ({"text": 7, "finish_reason": "stop"}, {}, '{"content":7}', "error"),
        ({"text": "half", "finish_reason": "stop", "error": {"message": "broke"}}, {}, "half", "error"),
        ({"text": "a b", "finish_reason": "stop"}, {"usage": None}, "a b", "stop"),
        ({"text": "a \ud800 b", "finish_reason": "stop"}, {}, "a \ufffd b", "stop"),
    ],
)
def test_what_was_billed_is_an_answer_whatever_is_odd_in_it(
    choice: dict[str, Any], more: dict[str, Any], text: str, finish: str
) -> None:
    body = {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}} | more
    answer = read(200, json.dumps(body).encode(), Sampling(), text=True)
    assert isinstance(answer, Answer) and (answer.message["content"], answer.finish) == (text, finish)
    assert answer.counted is ("usage" not in more)


@pytest.mark.parametrize("values", [[None, -1.0], ["x"], [float("nan")], [-1.0, float("-inf")]])
def test_log_probabilities_that_are_none_are_told_and_not_summed(values: list[Any]) -> None:
    choice = {"text": "a b", "finish_reason": "stop", "logprobs": {"token_logprobs": values}}
    answer = read(200, json.dumps({"choices": [choice]}).encode(), Sampling(), text=True)
    assert isinstance(answer, Answer) and answer.logprob is None and "log-probabilit" in answer.law
    assert answer.tokens_out == len(values)  # counted where the server did not count


def test_an_error_inside_200_is_a_refusal() -> None:
    found = read(200, b'{"error": {"message": "overloaded", "code": 503}}', Sampling())
    assert isinstance(found, Refusal) and found.status == 503


async def test_a_fault_is_tried_again_and_half_an_answer_too(planned: Planned) -> None:
    with planned(fault_first=1, malformed_first=1) as server:
        async with reached(server) as model:
            assert (await model(TEXT)).text
        assert server.stats()["statuses"] == {"500": 1, "200": 2}


async def test_what_it_does_not_take_is_left_out_for_text_alone(planned: Planned) -> None:
    with planned(refuse="min_p") as server:
        async with reached(server) as model:
            await asyncio.gather(*[model(replace(TEXT, draw=n)) for n in range(2)])
            await model(replace(TEXT, draw=9))
            assert "min_p" not in server.stats()["last"] and len(model.learnt) == 1


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, ""),
        (405, "Method Not Allowed"),
        (404, "This is a chat model and not supported in the v1/completions endpoint."),
        (400, "The model does not support Completions API"),
    ],
)
async def test_a_server_without_completions_says_what_takes_text(planned: Planned, status: int, says: str) -> None:
    with planned(no_text=status, no_text_says=says) as server:
        async with reached(server) as model:
            await model(CHAT)  # that chats are served says nothing of text
            with pytest.raises(SynthgainError, match="/completions") as error:
                await model(TEXT)
            assert server.stats()["asked"] == 2  # no try is lost on it
            assert (await model(CHAT)).text
    assert error.value.code == 4 and "local/" in error.value.next and "base=false" in error.value.next


async def test_text_that_is_refused_for_itself_is_one_lost_call(planned: Planned) -> None:
    with planned(poison="upon") as server:
        async with reached(server) as model:
            with pytest.raises(CallFailed, match="cannot be served"):
                await model(TEXT)


async def test_calls_of_both_kinds_share_the_gate(planned: Planned) -> None:
    with planned(latency=0.02) as server:
        async with reached(server, concurrency=3) as model:
            prompts = [replace(p, draw=n) for n in range(9) for p in (TEXT, CHAT)]
            await asyncio.gather(*map(model, prompts))
            assert (model.gate.held, model.gate.aside) == (0, 0)
        stats = server.stats()
    assert stats["served"] == 18 and stats["most_in_flight"] <= 3


async def test_tools_and_raw_text_among_turns_are_one_lost_call(planned: Planned) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    wrong = [
        replace(TEXT, tools=(tool,)),
        Prompt((Message(role="raw", content="a"), user("b"))),
        Prompt((user("b"), Message(role="raw", content="a"))),
        begun("system"),
    ]
    with planned() as server:
        async with reached(server) as model:
            for prompt in wrong:
                with pytest.raises(CallFailed):
                    await model(prompt)
        assert server.stats()["asked"] == 0


# ------------------------------------------------------------------------------------------ a turn that is begun


@pytest.mark.parametrize(("template", "first"), [("apply", ""), ("tokenize", "<s>")])
async def test_the_servers_template_writes_what_stands_before(planned: Planned, template: str, first: str) -> None:
    with planned(template=template) as server:
        async with reached(server) as model:
            await model(begun("user", "", system("Be brief.")))
            assert server.stats()["last"]["prompt"] == f"{first}<system>Be brief.</><user>"
            await model(begun("assistant", "<think>\nSo ", user("2 + 3?")))
            sent = server.stats()["last"]
            asked = server.stats()["asked"]
            await model(replace(begun("assistant", "<think>\nSo far", user("2 + 3?")), draw=1))
            assert server.stats()["asked"] == asked + 1  # the same chat is written once
    assert sent["prompt"] == f"{first}<user>2 + 3?</><assistant><think>\nSo "
    assert sent.get("add_special_tokens") is (False if first else None)


async def test_a_server_that_does_not_tell_its_template_refuses_before_a_token_is_bought(planned: Planned) -> None:
    with planned() as server:
        async with reached(server) as model:
            with pytest.raises(SynthgainError, match="chat template") as error:
                await model(begun("user", "", system("Be brief.")))
        assert server.stats()["served"] == 0
    assert "template and opening" in error.value.next and "local/" in error.value.next


async def test_a_server_that_is_loading_is_waited_for(planned: Planned) -> None:
    with planned(template="apply", loading=2) as server:
        async with reached(server) as model:
            calls = [begun("assistant", "So", user("2 + 3?")), begun("user", "", system("Be brief."))]
            assert all(call.text for call in await asyncio.gather(*map(model, calls)))
            assert (model.gate.held, model.gate.aside) == (0, 0)
        assert server.stats()["served"] == 2


async def test_a_chat_that_the_template_refuses_is_one_lost_call(planned: Planned) -> None:
    with planned(template="apply", no_system=400) as server:
        async with reached(server) as model:
            with pytest.raises(CallFailed, match="System role"):
                await model(begun("user", "", system("Be brief.")))
            assert (await model(begun("assistant", "", user("Hi"), assistant("Yes?"), user("2 + 3?")))).text


# ------------------------------------------------------------------------------------------ check


def test_check_says_whether_a_server_goes_on_with_text(planned: Planned) -> None:
    found = {}
    for plan in ({}, {"no_text": 404}, {"no_text": 405}):
        with planned(**plan) as server:
            info, _ = api.check(f"openai/double@{server.base_url}")
        found[plan.get("no_text", 200)] = info.completes
    assert found == {200: True, 404: False, 405: False}


@pytest.mark.parametrize("status", [401, 402, 307])
def test_a_server_that_is_fine_for_chats_passes_whatever_it_says_to_text(planned: Planned, status: int) -> None:
    """A gateway whose key may not call that address, or one that redirects it."""
    with planned(no_text=status) as server:
        info, call = api.check(f"openai/double@{server.base_url}")
    assert info.completes is None and f"({status})" in info.note and call.text


def test_a_base_models_server_that_takes_no_chats_passes_the_check(planned: Planned) -> None:
    with planned(no_chat="default chat template is no longer allowed, so you must provide a chat template") as server:
        info, call = api.check("openai/double", Reach(base_url=server.base_url))
    assert info.completes is True and "takes no chats" in info.note and call.text
    assert call.prompt.messages[0]["role"] == "raw"
    with planned(no_chat="no chat template", no_text=404) as server:
        with pytest.raises(SynthgainError, match="no chat template") as error:
            api.check("openai/double", Reach(base_url=server.base_url))
    assert error.value.code == 4
