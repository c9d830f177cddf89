"""OpenAI against a server that really listens, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from doubles.server import Planned, Server, served
from synthgain.models.openai import OpenAI
from synthgain.models.prices import Price
from synthgain.types import Call, CallFailed, Message, Model, Prompt, Sampling, SynthgainError, assistant, user

ASK = Prompt((user("What is two plus three?"),))


@asynccontextmanager
async def reached(server: Server, **options: Any) -> AsyncIterator[OpenAI]:
    model = OpenAI("double", base_url=options.pop("base_url", server.base_url), **options)
    try:
        yield model
    finally:
        await model.aclose()


def at(url: str, **options: Any) -> contextlib.aclosing[OpenAI]:
    """The model behind any address, closed at the end."""
    return contextlib.aclosing(OpenAI("double", base_url=url, **options))


async def ask(model: OpenAI, n: int, text: str = "question") -> list[Call | BaseException]:
    return await asyncio.gather(*[model(Prompt((user(f"{text} {i}"),))) for i in range(n)], return_exceptions=True)


def texts(answers: list[Call | BaseException]) -> list[str]:
    """Every answer's text; fails on the first that is an exception."""
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [a.text for a in answers if isinstance(a, Call)]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# ------------------------------------------------------------------------------------------ one good call


async def test_a_call_holds_what_the_server_said(planned: Planned) -> None:
    with planned(cached=3, words=6) as server:
        async with reached(server, price=Price(1.0, 10.0, 0.5)) as model:
            assert isinstance(model, Model)
            call = await model(ASK)
            assert call.id == ASK.id(model.identity)
            assert call.prompt is ASK and call.model == model.uri == "openai/double"
            assert len(call.text.split()) == 6 and call.finish == "stop"
            assert (call.tokens_in, call.tokens_out, call.tokens_cached) == (5, 6, 3)
            assert call.logprob == pytest.approx(-6 * math.log(16))  # 16 words, uniform
            assert call.law == "plain softmax at T=1 (server)"
            assert call.cost == pytest.approx((2 * 1.0 + 3 * 0.5 + 6 * 10.0) / 1e6)
            assert 0 < call.seconds < 5
        sent = server.stats()["last"]
        assert sent["messages"] == [{"role": "user", "content": "What is two plus three?"}]
        assert sent["seed"] == int(call.id[:8], 16) & 0x7FFFFFFF
        assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (1.0, 1.0, 512)


async def test_equal_prompts_are_equal_requests_and_another_draw_is_another(planned: Planned) -> None:
    with planned() as server:
        async with reached(server) as model:
            one, same, other = await model(ASK), await model(ASK), await model(replace(ASK, draw=1))
            assert one.text == same.text != other.text


async def test_settings_and_schema_are_sent(planned: Planned) -> None:
    law = Sampling(temperature=0.7, top_p=0.9, top_k=20, min_p=0.1, max_tokens=5, stop=("END",), presence_penalty=0.5)
    shape = {"type": "object", "properties": {"entities": {"type": "array"}}}
    with planned() as server:
        async with reached(server) as model:
            call = await model(Prompt((user("x"),), sampling=law, schema=shape))
        sent = server.stats()["last"]
    expected = {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 20,
        "min_p": 0.1,
        "max_tokens": 5,
        "stop": ["END"],
        "presence_penalty": 0.5,
    }
    assert {name: sent[name] for name in expected} == expected
    assert sent["response_format"]["json_schema"]["schema"] == shape
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert "entities" in call.text
    assert call.logprob is None
    assert "T=0.7" in call.law and "top_k=20" in call.law


@pytest.mark.parametrize(
    ("given", "said"), [("absent", "gave no token log-probabilities"), ("nan", "not a finite number")]
)
async def test_no_log_probability_says_why(planned: Planned, given: str, said: str) -> None:
    with planned(logprobs=given, usage=False) as server:
        async with reached(server, price=Price(1.0, 1.0)) as model:
            call = await model(ASK)
    assert call.logprob is None and said in call.law
    named = 8 if given == "nan" else 0  # tokens that have a log-probability, whatever it is
    assert (call.tokens_in, call.tokens_out, call.cost) == (0, named, None)  # nothing is invented


async def test_an_answer_without_content_is_empty_and_finish_is_as_said(planned: Planned) -> None:
    with planned(content=None, finish="content_filter") as server:
        async with reached(server) as model:
            call = await model(ASK)
    assert (call.text, call.finish) == ("", "content_filter")


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASKED_FOR = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}


async def test_tools_and_the_turns_of_a_tool_conversation_are_sent_as_openai_has_them(planned: Planned) -> None:
    as_object = {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": {"city": "Bonn"}}}
    said = (
        user("And in Bonn?"),
        Message(role="assistant", content="", tool_calls=[ASKED_FOR, as_object], reasoning="Look it up.", learn=False),
        Message(role="tool", content="rain", tool_call_id="c1"),
        Message(role="user", content="So?", name="ada"),
    )
    with planned() as server:
        async with reached(server) as model:
            await model(Prompt(said, tools=(WEATHER,)))
            sent = server.stats()["last"]
            await model(ASK)
            assert "tools" not in server.stats()["last"]
    as_text = as_object | {"function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
    assert sent["tools"] == [WEATHER]
    assert sent["messages"] == [
        {"role": "user", "content": "And in Bonn?"},
        {"role": "assistant", "content": "", "tool_calls": [ASKED_FOR, as_text], "reasoning_content": "Look it up."},
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        {"role": "user", "content": "So?", "name": "ada"},
    ]


async def test_a_tool_call_comes_back_as_part_of_the_message(planned: Planned) -> None:
    given = json.dumps({"tool_calls": [ASKED_FOR | {"index": 0}], "refusal": None})
    with planned(content=None, message=given, finish="tool_calls") as server:
        async with reached(server) as model:
            call = await model(Prompt(ASK.messages, tools=(WEATHER,)))
    assert call.message == {"role": "assistant", "content": "", "tool_calls": [ASKED_FOR]}
    assert (call.text, call.finish) == ("", "tool_calls")
    assert Prompt((*ASK.messages, call.message)).content  # it goes into the next prompt as it is


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
async def test_reasoning_is_kept_beside_the_answer(planned: Planned, key: str) -> None:
    with planned(words=2, message=json.dumps({key: "Let me think."})) as server:
        async with reached(server) as model:
            call = await model(ASK)
    assert call.message["reasoning"] == "Let me think." and len(call.text.split()) == 2
    assert set(call.message) == {"role", "content", "reasoning"}


def answer(message: Any = None, **changed: Any) -> str:
    """The body of an answer, with one thing odd."""
    usage = changed.pop("usage", {"prompt_tokens": 5, "completion_tokens": 2})
    choice = {"message": {"content": "fine"} if message is None else message, "finish_reason": "stop"} | changed
    return json.dumps({"choices": [choice], "usage": usage})


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 5.0, "completion_tokens": 2}, (5, 2, 0)),
        ({"prompt_tokens": -5, "completion_tokens": "many"}, (0, 0, 0)),
        ({"prompt_tokens": 10**400, "completion_tokens": 1e300}, (0, 0, 0)),
        ({"prompt_tokens": True, "completion_tokens": None}, (0, 0, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}}, (5, 2, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": "none"}, (5, 2, 0)),
        ([7], (0, 0, 0)),
        ("a lot", (0, 0, 0)),
    ],
)
async def test_counts_that_are_none_are_made_plain_and_nothing_is_charged_for_them(
    planned: Planned, usage: Any, counted: tuple[int, int, int]
) -> None:
    with planned(answer=answer(usage=usage)) as server:
        async with reached(server, price=Price(1.0, 1.0)) as model:
            call = await model(ASK)
    assert (call.tokens_in, call.tokens_out, call.tokens_cached) == counted and call.text == "fine"
    assert (call.cost is None) == (counted[0] == 0)


@pytest.mark.parametrize(
    ("odd", "finish"),
    [
        ({"finish_reason": 7}, "unknown"),
        ({"finish_reason": {"type": "eos"}}, "unknown"),
        ({"finish_reason": None}, "length"),
        ({"finish_reason": "\ud800"}, "\ufffd"),
        ({"logprobs": {"content": [{"logprob": "low"}]}}, "stop"),
        ({"logprobs": {"content": 7}}, "stop"),
        ({"logprobs": [1, 2]}, "stop"),
        ({"message": {"content": "fine", "tool_calls": [], "reasoning_content": ["no text"], "role": 7}}, "stop"),
    ],
)
async def test_odd_values_beside_the_text_are_made_plain(planned: Planned, odd: dict[str, Any], finish: str) -> None:
    with planned(answer=answer(**odd)) as server:
        async with reached(server) as model:
            call = await model(ASK)
    assert call.message == assistant("fine") and call.finish == finish and call.logprob is None and call.law


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"choices": []}', "choices"),
        ("[]", "choices"),
        ('{"choices": [{"text": "fine"}]}', "choices"),
        ("7", "no JSON"),
        ("data: 7", "no JSON"),
        ('{"choices": [{"message": {"content": "fi', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("fine", "no JSON"),
    ],
)
async def test_what_is_no_answer_fails_alone_with_the_reason(planned: Planned, body: str, said: str) -> None:
    with planned(answer=body) as server:
        async with reached(server, unreachable_after=0.1) as model:  # (short rests)
            with pytest.raises(CallFailed, match=said):
                await model(ASK)


async def test_a_large_prompt_and_every_kind_of_text_arrive_whole(planned: Planned) -> None:
    said = "grüße 日本 \x00 \ud800 " + "long " * 300_000
    with planned() as server:
        async with reached(server) as model:
            await model(Prompt((user(said),)))
        assert server.stats()["last"]["messages"][0]["content"] == said


async def test_connections_are_kept_and_the_width_is_held(planned: Planned) -> None:
    with planned(latency=0.02) as server:
        async with reached(server, concurrency=8) as model:
            texts(await ask(model, 80))
            assert model.width == 8
        stats = server.stats()
    assert stats["most_in_flight"] == 8 and stats["connections"] == 8 and stats["served"] == 80


async def test_no_more_is_asked_than_would_be_lost_with_what_is_in_flight(planned: Planned) -> None:
    """A disk that stalls: answers that are not written down yet hold their places."""
    kept, ahead = list[str](), list[int]()

    with planned(latency=0.01) as server:
        async with reached(server, concurrency=4) as model:

            async def buy(i: int) -> None:
                await model.gate.enter(i)
                try:
                    call = await model(Prompt((user(f"question {i}"),)))
                    await asyncio.sleep(0.1)
                    ahead.append(int((await asyncio.to_thread(server.stats))["asked"]) - len(kept))
                    kept.append(call.id)
                finally:
                    model.gate.leave()

            await asyncio.gather(*(buy(i) for i in range(24)))
    assert len(set(kept)) == 24 and max(ahead) <= 4


async def bought(model: OpenAI, prompt: Prompt) -> Call:
    """A call as the buyer makes it: a place is held from before it until after it."""
    await model.gate.enter(0)
    try:
        return await model(prompt)
    finally:
        model.gate.leave()


async def test_places_are_in_balance_whatever_becomes_of_calls(planned: Planned) -> None:
    with planned(broken="CURSED", stuck="STUCK", busy_first=5, drop_first=3) as server:
        async with reached(server, concurrency=4, unreachable_after=0.6) as model:
            said = [*(f"fine {i}" for i in range(20)), "CURSED", *(f"STUCK {i}" for i in range(3))]
            tasks = [asyncio.create_task(bought(model, Prompt((user(text),)))) for text in said]
            await asyncio.sleep(0.5)
            for task in tasks[21:]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert len(texts(answers[:20])) == 20 and isinstance(answers[20], CallFailed)
            assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[21:])
            assert len(texts(list(await asyncio.gather(*(bought(model, ASK) for _ in range(8)))))) == 8
        assert server.stats()["most_in_flight"] <= 4


async def test_while_a_call_rests_between_two_tries_others_go(planned: Planned) -> None:
    with planned(broken="CURSED") as server:
        async with reached(server, concurrency=1) as model:
            cursed = asyncio.create_task(bought(model, Prompt((user("CURSED"),))))
            while not server.stats()["asked"]:
                await asyncio.sleep(0.01)
            assert (await asyncio.wait_for(bought(model, ASK), 2)).text
            assert not cursed.done()
            cursed.cancel()
            await asyncio.wait([cursed])
            assert (await asyncio.wait_for(bought(model, ASK), 2)).text


async def test_calls_for_which_nobody_holds_a_place_take_one_themselves(planned: Planned) -> None:
    with planned(latency=0.02, busy_first=4) as server:
        async with reached(server, concurrency=3) as model:
            bare = (model(Prompt((user(f"bare {i}"),))) for i in range(30))
            held = (bought(model, Prompt((user(f"held {i}"),))) for i in range(30))
            assert len(texts(list(await asyncio.gather(*bare)))) == 30
            assert server.stats()["most_in_flight"] == 3
            assert len(texts(list(await asyncio.gather(*held)))) == 30
        assert server.stats()["most_in_flight"] == 3


async def test_adaptive_finds_the_width_of_the_server(planned: Planned) -> None:
    with planned(latency=0.04, capacity=16) as server:
        async with reached(server) as model:
            first = model.width
            texts(await ask(model, 1000))
            assert first < model.width <= 128
        assert server.stats()["most_in_flight"] <= 160


# ------------------------------------------------------------------------------------------ identity


def test_the_identity_is_server_and_name_or_what_it_is_served_as() -> None:
    def identity(url: str, **options: Any) -> str:
        return OpenAI("m", base_url=url, **options).identity

    assert identity("http://Host:80/v1/") == identity("http://host/v1") == identity("http://host/v1/chat/completions")
    assert identity("http://host/v1") != identity("http://host:81/v1") != identity("http://other:81/v1")
    assert identity("http://host/v1", served_as="lab") == identity("http://other/v1", served_as="lab")
    assert (
        identity("http://host/v1", served_as="lab") != OpenAI("n", base_url="http://host/v1", served_as="lab").identity
    )
    assert identity("http://host/v1", api_key="secret") == identity("http://host/v1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:8000/v1",
        "ftp://host/v1",
        "http://",
        "http://user:pass@host/v1",
        "http://host/v1?key=1",
        "user:pass@host/v1",
        "http://user:pass@host:99999/v1",
        "http://user:pass@host/v1?key=1",
    ],
)
def test_what_is_no_base_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(SynthgainError) as error:
        OpenAI("m", base_url=url)
    assert error.value.code == 2 and error.value.next and "pass@" not in str(error.value)


# ------------------------------------------------------------------------------------------ what a server refuses


@pytest.mark.parametrize("name", ["logprobs", "seed", "top_k", "min_p"])
async def test_a_refused_neutral_setting_is_left_out_from_then_on(planned: Planned, name: str) -> None:
    plan = {"logprobs": "refused"} if name == "logprobs" else {"refuse": name}
    with planned(**plan) as server:  # type: ignore[arg-type]
        async with reached(server) as model:
            first = await model(ASK)
            texts(await ask(model, 5))
        stats = server.stats()
    assert stats["statuses"] == {"400": 1, "200": 6}
    assert name not in stats["last"]
    assert (first.logprob is None) == (name == "logprobs")


async def test_a_refused_setting_that_was_asked_for_is_never_left_out(planned: Planned) -> None:
    with planned(refuse="top_k") as server:
        async with reached(server) as model:
            with pytest.raises(SynthgainError, match="top_k=5") as error:
                await model(replace(ASK, sampling=Sampling(top_k=5)))
        assert server.stats()["asked"] == 1 and server.stats()["served"] == 0
    assert error.value.code == 2 and "--set top_k=0" in error.value.next


async def test_a_poisoned_prompt_breaks_alone(planned: Planned) -> None:
    with planned(poison="POISON") as server:
        async with reached(server) as model:
            good, bad = await asyncio.gather(ask(model, 20), ask(model, 3, "POISON logprobs"))
            assert len(texts(good)) == 20
            assert all(isinstance(b, CallFailed) and "cannot be served" in str(b) for b in bad)
            again = await model(ASK)
    assert again.logprob is not None


@pytest.mark.parametrize(
    ("plan", "options", "hint"),
    [
        ({"key": "right"}, {"api_key": "wrong-secret"}, "OPENAI_API_KEY"),
        ({"key": "right"}, {}, "OPENAI_API_KEY"),
        ({"model": "another"}, {}, "OPENAI_BASE_URL"),
    ],
)
async def test_what_every_call_would_be_refused_for_ends_the_run_at_once(
    planned: Planned, plan: dict[str, Any], options: dict[str, Any], hint: str
) -> None:
    with planned(**plan) as server:
        async with reached(server, **options) as model:
            with pytest.raises(SynthgainError) as error:
                await model(ASK)
        assert server.stats()["asked"] == 1
    assert error.value.code == 4 and hint in error.value.next and server.base_url in error.value.where
    assert "wrong-secret" not in str(error.value)


async def test_the_right_key_is_let_in(planned: Planned) -> None:
    with planned(key="right") as server:
        async with reached(server, api_key="right") as model:
            assert (await model(ASK)).text


async def test_a_wrong_path_says_what_to_check(planned: Planned) -> None:
    with planned() as server:
        async with reached(server, base_url=server.base_url + "/chat/completions/v2") as model:
            assert (await model(ASK)).text  # the double takes any path that ends in /chat/completions
        async with reached(server, base_url="http://127.0.0.1:9/v1", unreachable_after=0.5) as model:
            with pytest.raises(SynthgainError) as error:
                await model(ASK)
    assert error.value.code == 4


@asynccontextmanager
async def saying(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The address of a server that says these bytes, one piece a request, and the heads of the requests that it got."""
    heads = list[bytes]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(size[1]) if size else 0)
                heads.append(head)
                writer.write(answers[min(len(heads), len(answers)) - 1])
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", heads
    finally:
        listening.close()
        await asyncio.sleep(0)


BODY = b'{"choices": [{"message": {"content": "x"}}]}'
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    moved = b"HTTP/1.1 307 Elsewhere\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n"
    async with saying(moved) as (url, heads), at(f"{url}/v1", api_key="secret") as model:
        with pytest.raises(SynthgainError, match=r"redirects to http://elsewhere\.test/") as error:
            await model(ASK)
    assert error.value.code == 4 and len(heads) == 1


async def test_a_proxy_that_the_environment_names_is_used_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    async with saying(FINE) as (url, heads):
        monkeypatch.setenv("http_proxy", url.replace("//", "//me:pass@"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with at("http://model.test:81/v1") as model:
            assert (await model(ASK)).text == "x"
        async with saying(FINE) as (here, direct), at(f"{here}/v1") as model:
            assert (await model(ASK)).text == "x"
    assert heads[0].startswith(b"POST http://model.test:81/v1/chat/completions HTTP/1.1\r\n")
    assert b"proxy-authorization: basic bwu6cgfzcw==" in heads[0].lower() and len(heads) == len(direct) == 1


async def test_what_is_no_http_costs_one_try_and_no_more() -> None:
    for said in (b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi"):
        async with saying(said, FINE) as (url, _), at(f"{url}/v1", unreachable_after=0.5) as model:
            assert (await asyncio.wait_for(model(ASK), 10)).text == "x"


# ------------------------------------------------------------------------------------------ what passes


@pytest.mark.parametrize("retry_after", ["1", "date:2", ""])
async def test_429_is_waited_for_and_loses_nothing(planned: Planned, retry_after: str) -> None:
    with planned(busy_first=12, retry_after=retry_after) as server:
        async with reached(server, concurrency=16) as model:
            began = time.monotonic()
            assert len(texts(await ask(model, 30))) == 30
            took = time.monotonic() - began
        stats = server.stats()
    assert stats["statuses"]["429"] == 12 and stats["served"] == 30
    assert took < 20 and (not retry_after or took >= 0.9)


async def test_a_server_that_is_still_loading_is_waited_for_more_often_than_faults_are_tried(planned: Planned) -> None:
    with planned(fault_first=10, fault=503, retry_after="0.01") as server:
        async with reached(server, unreachable_after=0.5) as model:
            assert (await model(ASK)).text
        assert server.stats()["statuses"] == {"503": 10, "200": 1}


async def test_sustained_429_slows_down_and_gives_every_row(planned: Planned) -> None:
    with planned(busy_for=4.0, retry_after="1") as server:
        async with reached(server, concurrency=64) as model:
            assert len(texts(await ask(model, 100))) == 100
        stats = server.stats()
    assert stats["served"] == 100
    assert stats["statuses"]["429"] <= 64 + 4 * 32  # not hammered


async def test_429_for_ever_ends_with_code_4(planned: Planned) -> None:
    with planned(busy_for=1000.0) as server:
        async with reached(server, unreachable_after=0.1) as model:
            answers = await ask(model, 10)
    assert all(isinstance(a, SynthgainError) and a.code == 4 and "too many requests" in str(a) for a in answers)


async def test_a_server_over_its_limit_is_met_at_its_limit(planned: Planned) -> None:
    with planned(latency=0.02, busy_over=10) as server:
        async with reached(server) as model:
            assert len(texts(await ask(model, 200))) == 200
        stats = server.stats()
    assert stats["served"] == 200 and stats["statuses"].get("429", 0) < 100


@pytest.mark.parametrize(
    "plan",
    [
        {"fault_first": 6, "fault": 500},
        {"fault_first": 6, "fault": 503, "retry_after": "1"},
        {"drop_first": 6},
        {"malformed_first": 6},
    ],
)
async def test_passing_faults_are_tried_again(planned: Planned, plan: dict[str, Any]) -> None:
    with planned(**plan) as server:
        async with reached(server, concurrency=4) as model:
            assert len(texts(await ask(model, 12))) == 12
        assert server.stats()["served"] == 12


async def test_a_prompt_that_breaks_the_server_each_time_breaks_alone(planned: Planned) -> None:
    with planned(broken="CURSED") as server:
        async with reached(server, unreachable_after=0.6) as model:  # (short rests)
            bad, good = await asyncio.gather(ask(model, 1, "CURSED"), ask(model, 20))
            assert len(texts(good)) == 20
            assert isinstance(bad[0], CallFailed) and "500" in str(bad[0])


async def test_the_deadline_is_per_call_and_the_others_go_on(planned: Planned) -> None:
    with planned(stuck="STUCK") as server:
        async with reached(server, deadline=0.3) as model:
            began = time.monotonic()
            bad, good = await asyncio.gather(ask(model, 1, "STUCK"), ask(model, 10))
            assert len(texts(good)) == 10
            assert isinstance(bad[0], CallFailed) and "0.3 s" in str(bad[0])
            assert 0.9 <= time.monotonic() - began < 10
            assert (await model(ASK)).text


async def test_a_cancelled_call_gives_its_slot_back_and_the_session_lives(planned: Planned) -> None:
    with planned(stuck="STUCK") as server:
        async with reached(server, concurrency=2) as model:
            stuck = [asyncio.create_task(model(Prompt((user(f"STUCK {i}"),)))) for i in range(2)]
            waiting = [asyncio.create_task(model(Prompt((user(f"later {i}"),)))) for i in range(3)]
            await asyncio.sleep(0.2)
            assert not any(t.done() for t in waiting)
            waiting[0].cancel()
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, waiting[0], return_exceptions=True)
            assert all(t.cancelled() for t in (*stuck, waiting[0]))
            assert all(call.text for call in await asyncio.wait_for(asyncio.gather(*waiting[1:]), 5))
            assert len(texts(await ask(model, 10))) == 10


# ------------------------------------------------------------------------------------------ a server that dies


async def test_no_server_ends_with_code_4_for_all_after_the_given_seconds() -> None:
    model = OpenAI("double", base_url=f"http://127.0.0.1:{free_port()}/v1", unreachable_after=1.0)
    began = time.monotonic()
    answers = await ask(model, 40)
    took = time.monotonic() - began
    await model.aclose()
    assert all(isinstance(a, SynthgainError) and a.code == 4 for a in answers)
    assert 1.0 <= took < 6.0
    assert re.search("OPENAI_BASE_URL", str(answers[0]))


async def served_some(server: Server, least: int = 20) -> int:
    """How many the server has served, once it is that many."""
    while (served := int((await asyncio.to_thread(server.stats))["served"])) < least:
        await asyncio.sleep(0.01)
    return served


async def test_a_server_killed_and_started_again_loses_no_call() -> None:
    with served(latency=0.05) as server:
        async with reached(server, concurrency=32, unreachable_after=20.0) as model:
            run = asyncio.create_task(ask(model, 600))
            served_before = await served_some(server)
            server.kill()
            await asyncio.sleep(1.0)
            assert not run.done()
            await asyncio.to_thread(server.again)
            assert len(texts(await asyncio.wait_for(run, 30))) == 600
        assert 0 < served_before < 600
        assert server.stats()["served"] >= 600 - served_before - 32


async def test_a_server_that_does_not_come_back_ends_the_run_and_a_new_one_serves_the_same_model_again() -> None:
    with served(latency=0.02) as server:
        async with reached(server, concurrency=16, unreachable_after=1.0) as model:
            run = asyncio.create_task(ask(model, 5000))
            await served_some(server)
            await asyncio.sleep(0.05)  # the first answers reach the model
            server.kill()
            answers = await asyncio.wait_for(run, 15)
            assert any(isinstance(a, Call) for a in answers)
            assert {a.code for a in answers if isinstance(a, SynthgainError)} == {4}
            assert not any(isinstance(a, CallFailed) for a in answers)
            server.again()
            assert (await model(ASK)).text


def test_one_model_serves_two_loops() -> None:
    with served() as server:
        model = OpenAI("double", base_url=server.base_url)

        async def once() -> str:
            try:
                return (await model(ASK)).text
            finally:
                await model.aclose()

        assert asyncio.run(once()) == asyncio.run(once())


# ------------------------------------------------------------------------------------------ info


async def test_info_says_what_two_small_calls_show(planned: Planned) -> None:
    with planned(window=4096) as server:
        async with reached(server) as model:
            info = await model.info()
        assert server.stats()["asked"] == 2 and info.completes is True
    assert (info.uri, info.context, info.logprobs, info.schema, info.seeds) == ("openai/double", 4096, True, True, None)


async def test_info_says_what_is_missing(planned: Planned) -> None:
    with planned(logprobs="absent", schema=False, refuse="seed") as server:
        async with reached(server) as model:
            info = await model.info()
    assert (info.context, info.logprobs, info.schema, info.seeds) == (None, False, False, False)


async def test_info_of_a_server_that_refuses_schemas(planned: Planned) -> None:
    with planned(refuse="response_format") as server:
        async with reached(server) as model:
            info = await model.info()
    assert (info.logprobs, info.schema) == (True, False)
