"""transformers folders as a model and as a scorer, on a tiny random Llama."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from doubles.tiny import tiny_model
from synthgain.models.folders import folder_identity
from synthgain.models.hf import HF
from synthgain.models.laws import fined, laws
from synthgain.models.scorer import HFScorer
from synthgain.train.template import Template
from synthgain.types import CallFailed, Message, Model, Prompt, Sampling, SynthgainError, system, user


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def ask(text: str, **law: object) -> Prompt:
    return Prompt((user(text),), sampling=Sampling(**({"max_tokens": 6} | law)))  # type: ignore[arg-type]


def directly(folder: Path, before: str, text: str) -> list[float]:
    """ln p by one forward pass a token: the slow reference."""
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(),
    )
    ids = tokenizer(before, add_special_tokens=False)["input_ids"] or [tokenizer.bos_token_id]
    found = []
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        with torch.no_grad():
            found.append(float(model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token]))
        ids = [*ids, token]
    return found


async def test_an_answer_and_its_log_probability(folder: Path) -> None:
    model = HF(folder)
    assert isinstance(model, Model) and model.identity == folder_identity(folder)
    call = await model(ask("Who built the bridge?"))
    assert call.id == call.prompt.id(model.identity) and call.tokens_out > 0 and call.law == "softmax at T=1"
    assert call.logprob is not None and call.logprob < 0
    await model.aclose()


async def test_thinking_that_the_template_opens_and_nothing_closes_is_no_answer(tmp_path: Path) -> None:
    opened = "{% for m in messages %}{{ m.content }} {% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
    model = HF(tiny_model(tmp_path / "thinks", template=opened))
    call = await model(ask("Who built the bridge?"))
    await model.aclose()
    assert call.text == "" and call.raw is not None and call.raw["content"].startswith("<think>\n")
    assert call.message.get("reasoning", "") == call.raw["content"].removeprefix("<think>").strip()


async def test_a_turn_that_the_template_begins_is_gone_on_with(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }} {% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    model = HF(tiny_model(tmp_path / "begins", template=template))
    law = Sampling(max_tokens=5, temperature=0.0)

    async def said(*messages: Message) -> tuple[str, int]:
        call = await model(Prompt(messages, sampling=law))
        return call.text, call.tokens_in

    begun = Message(role="raw", name="assistant", content="The river")
    written = Message(role="raw", content="<user>Who built it? <assistant>The river")
    assert await said(user("Who built it?"), begun) == await said(written)
    opened = Message(role="raw", content="<system>Short. <user>")
    assert await said(system("Short."), Message(role="raw", name="user", content="")) == await said(opened)
    for wrong in ((begun, user("a")), (user("a"), Message(role="raw", content="b"))):
        with pytest.raises(CallFailed, match="raw"):
            await said(*wrong)
    await model.aclose()


async def test_thinking_that_the_template_opened_is_not_opened_twice(tmp_path: Path) -> None:
    opened = "{% for m in messages %}{{ m.content }} {% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
    model = HF(tiny_model(tmp_path / "opened", template=opened))
    turns = [
        (user("Who?"), Message(role="raw", name="assistant", content=content)) for content in ("<think>\nSo", "So")
    ]
    twice, once = [await model(Prompt(turn, sampling=Sampling(max_tokens=3, temperature=0.0))) for turn in turns]
    await model.aclose()
    assert (twice.text, twice.tokens_in) == (once.text, once.tokens_in)


async def test_the_log_probability_is_that_of_the_tokens_drawn(folder: Path) -> None:
    model = HF(folder)
    call = await model(
        Prompt((Message(role="raw", content="The river"),), sampling=Sampling(max_tokens=1, temperature=0.7, top_k=9))
    )
    tokenizer, plain = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    )
    with torch.no_grad():
        logits = (
            plain(torch.tensor([tokenizer("The river", add_special_tokens=False)["input_ids"]])).logits[0, -1] / 0.7
        )
    kept = logits.topk(9).values
    laws = (kept - kept.logsumexp(-1)).tolist()
    assert min(abs(call.logprob - value) for value in laws) < 1e-4  # type: ignore[operator]
    await model.aclose()


async def test_seeds_and_batches(folder: Path) -> None:
    model = HF(folder, batch=5)
    prompts = [ask("The river " * (n + 1)) for n in range(7)]
    crowd = await asyncio.gather(*(model(prompt) for prompt in prompts))
    alone = [await model(prompt) for prompt in prompts]
    assert [c.text for c in crowd] == [c.text for c in alone]
    assert [c.logprob for c in crowd] == pytest.approx([c.logprob for c in alone], abs=1e-4)
    assert (await model(replace(prompts[0], draw=1))).text != alone[0].text
    await model.aclose()


async def test_draws_follow_the_law(folder: Path) -> None:
    """400 draws of one token under top-k 3 against the law itself (chi-square, p = 0.001)."""
    model = HF(folder, batch=64)
    prompt = Prompt((Message(role="raw", content="Ada"),), sampling=Sampling(max_tokens=1, top_k=3))
    calls = await asyncio.gather(*(model(replace(prompt, draw=draw)) for draw in range(400)))
    # tokens are told apart by their chance: two of them may be parts of characters and read the same
    chances = {round(call.logprob or 0.0, 4): math.exp(call.logprob or 0.0) for call in calls}
    seen = Counter(round(call.logprob or 0.0, 4) for call in calls)
    assert len(chances) == 3 and sum(chances.values()) == pytest.approx(1, abs=1e-4)
    assert sum((seen[token] - 400 * chance) ** 2 / (400 * chance) for token, chance in chances.items()) < 13.8
    await model.aclose()


def test_the_law_of_each_setting() -> None:
    def chances(written: tuple[int, ...] = (), **law: float) -> list[float]:
        logits, s = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log(), Sampling(**law)  # type: ignore[arg-type]
        return [round(value, 4) for value in laws(fined(logits, s, [written]), s)[0].exp().tolist()]

    assert chances() == [0.5, 0.3, 0.15, 0.05]
    assert chances(top_k=2) == [0.625, 0.375, 0, 0]
    assert chances(top_p=0.8) == [0.625, 0.375, 0, 0]
    assert chances(top_p=0.81) == [0.5263, 0.3158, 0.1579, 0]
    assert chances(min_p=0.3) == [0.5263, 0.3158, 0.1579, 0]
    assert chances(temperature=0.0) == [1, 0, 0, 0]
    squares = [p * p for p in (0.5, 0.3, 0.15, 0.05)]
    assert chances(temperature=0.5) == [round(p / sum(squares), 4) for p in squares]
    punished = [0.5 * math.exp(-1 - 2 * 0.5), 0.3, 0.15, 0.05]
    assert chances((0, 0), presence_penalty=1.0, frequency_penalty=0.5) == [
        round(p / sum(punished), 4) for p in punished
    ]


async def test_stops_refusals_and_raw_text(folder: Path) -> None:
    model = HF(folder)
    whole = await model(ask("Quell", max_tokens=12, temperature=0.0))
    assert len(whole.text) > 3
    cut = await model(ask("Quell", max_tokens=12, temperature=0.0, stop=(whole.text[2:4],)))
    assert cut.text == whole.text[: whole.text.index(whole.text[2:4])] and cut.finish == "stop"
    assert (await model(Prompt((Message(role="raw", content=""),), sampling=Sampling(max_tokens=2)))).tokens_in == 1
    late, fine = await asyncio.gather(model(ask("word " * 900)), model(ask("word")), return_exceptions=True)
    assert isinstance(late, CallFailed) and "context 512" in str(late) and not isinstance(fine, BaseException)
    await model.aclose()


def test_scores_equal_a_slow_direct_computation(folder: Path) -> None:
    scorer = HFScorer(folder, batch_tokens=64)
    pairs = [
        ("The river", " Tolmar flows"),
        ("", "Ada has four apples"),
        ("Who built the bridge?", " The salt widow built it in 1417."),
        ("a" * 50, " b"),
        ("x", ""),
    ]
    found = scorer.logprobs(pairs)
    for (before, text), values in zip(pairs, found, strict=True):
        assert values == pytest.approx(directly(folder, before, text), abs=1e-4)
    assert found[-1] == []


def test_a_chat_gets_the_template(folder: Path) -> None:
    chat = [user("How many?")]
    written = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        chat, add_generation_prompt=True, tokenize=False
    )
    assert HFScorer(folder).logprobs([(chat, "7")])[0] == pytest.approx(directly(folder, written, "7"), abs=1e-4)


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TOOLS_TOO = (
    "{% if tools %}{% for tool in tools %}{{ tool.function.name }} {% endfor %}{% endif %}"
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ m.reasoning_content or '' }}"
    "{% for call in m.tool_calls or [] %} {{ call.function.name }}({{ call.function.arguments.city }}){% endfor %}{{ '\n' }}"
    "{% endfor %}assistant:"
)


async def test_the_template_gets_tools_calls_and_reasoning(tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "tools")
    (other / "chat_template.jinja").write_text(TOOLS_TOO)
    called = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}
    said = (
        user("Rain?"),
        Message(role="assistant", content="", tool_calls=[called], reasoning="Look.", learn=False),
        Message(role="tool", content="no", tool_call_id="c1"),
    )
    written = "weather user: Rain?\nassistant: Look. weather(Bonn)\ntool: no\nassistant:"
    model = HF(other)
    law = Sampling(max_tokens=4)
    told = await model(Prompt(said, tools=(WEATHER,), sampling=law))
    assert told.tokens_in == len(AutoTokenizer.from_pretrained(other)(written, add_special_tokens=False)["input_ids"])
    assert HFScorer(other).logprobs([(said, "7")])[0] == pytest.approx(
        directly(other, written.removeprefix("weather "), "7"), abs=1e-4
    )
    await model.aclose()


async def test_tools_are_written_in_the_order_in_which_a_student_learns_them(tmp_path: Path) -> None:
    """Templates write tools as JSON in the order of their keys: the type first, the rest as given, in asking and in learning."""
    parameters = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
    tool = {"function": {"name": "weather", "description": "d", "parameters": parameters}, "type": "function"}
    first = "{% for held in (t, t.function, t.function.parameters, t.function.parameters.properties) %}{{ (held | list)[0] }} {% endfor %}"
    template = "{% for t in tools or [] %}" + first + "{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}"
    folder = tiny_model(tmp_path / "ordered", template=template)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = HF(folder)
    asked = await model(replace(ask("Rain?"), tools=(tool,)))
    written = "type name type b Rain?"
    assert asked.tokens_in == len(tokenizer(written, add_special_tokens=False)["input_ids"])
    assert Template(tokenizer)((user("Rain?"),), (tool,), ask=True) == written
    await model.aclose()


async def test_tools_that_a_template_would_leave_out_break_the_call(tmp_path: Path) -> None:
    plain = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    model = HF(tiny_model(tmp_path / "plain", template=plain))
    with pytest.raises(CallFailed, match="no place for tools"):
        await model(replace(ask("x"), tools=(WEATHER,)))
    await model.aclose()


def test_identity_follows_the_weights_and_the_template(folder: Path, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", seed=1)
    same = tiny_model(tmp_path / "same")
    assert folder_identity(same) == folder_identity(folder) != folder_identity(other)
    assert HFScorer(same).identity == folder_identity(folder)
    template = same / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert folder_identity(same) != folder_identity(folder)


def test_what_is_no_folder_or_too_long_is_an_error_for_people(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="no transformers folder"):
        HFScorer(tmp_path).logprobs([("a", "b")])
    with pytest.raises(SynthgainError, match="context of 512"):
        HFScorer(folder).logprobs([("a", "word " * 900)])
