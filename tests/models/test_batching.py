"""Rows written side by side by a tiny model: refilled, beginnings shared, memory bounded, schemas followed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from doubles.tiny import tiny_model
from synthgain import machine
from synthgain.models import folders
from synthgain.models.folders import Loaded, load
from synthgain.models.hf import HF
from synthgain.models.laws import drawn
from synthgain.models.reading import OneByOne, Stream, Stretch, reader
from synthgain.types import Call, CallFailed, Message, Prompt, Sampling, SynthgainError, user

DOCUMENT = "The river Tolmar flows past the town of Quell. Who built the bridge? " * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def raw(text: str, **law: Any) -> Prompt:
    return Prompt((Message(role="raw", content=text),), sampling=Sampling(**({"max_tokens": 6} | law)))


async def side_by_side(model: HF, prompts: list[Prompt]) -> list[Call]:
    return list(await asyncio.gather(*(model(prompt) for prompt in prompts)))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[int]]]:
    """How many tokens each row gave, step by step, of every stream."""
    seen: list[list[int]] = []
    plain = Stream.step

    def noted(self: Stream, stretches: Any) -> Any:
        seen.append([len(stretch.tokens) for stretch in stretches])
        return plain(self, stretches)

    monkeypatch.setattr(Stream, "step", noted)
    yield seen


async def test_a_place_that_falls_free_is_filled_at_once(folder: Path, steps: list[list[int]]) -> None:
    """Two places and answers of 24, 2, 2, … tokens: the short ones go through beside the long one."""
    model = HF(folder, batch=2)
    await model.info()
    steps.clear()
    calls = await side_by_side(model, [raw(f"{n} Ada", max_tokens=24 if n == 0 else 2) for n in range(9)])
    await model.aclose()
    assert all(call.finish in ("stop", "length") for call in calls)
    assert len(steps) <= 3 + max(call.tokens_out for call in calls)  # in batches it were four times that
    assert max(map(len, steps)) == 2


async def test_a_document_of_many_tasks_is_read_once(folder: Path, steps: list[list[int]]) -> None:
    model = HF(folder, batch=6)
    await model.info()
    steps.clear()
    calls = await side_by_side(model, [raw(f"{DOCUMENT} Task {n}") for n in range(12)])
    await model.aclose()
    long = calls[0].tokens_in - 8
    read = sum(n for step in steps for n in step if n > 1)
    assert read < long + 12 * 16
    assert sorted(call.tokens_cached >= long - 8 for call in calls) == [False] + [True] * 11
    alone = HF(folder, batch=1)
    for n in (3, 11):
        assert (await alone(raw(f"{DOCUMENT} Task {n}"))).text == calls[n].text
    await alone.aclose()


async def test_a_conversation_goes_on_from_what_was_read(folder: Path) -> None:
    model = HF(folder, batch=1)
    first = await model(raw(DOCUMENT))
    second = await model(raw(DOCUMENT + first.text + " And then?"))
    assert first.tokens_cached == 0 and second.tokens_cached >= first.tokens_in - 2
    assert second.tokens_cached < second.tokens_in
    await model.aclose()


async def test_long_prompts_are_read_in_parts_beside_answers(folder: Path, steps: list[list[int]]) -> None:
    model = HF(folder, batch=3)
    await model.info()
    steps.clear()
    model._engine.batch.chunk = 40  # type: ignore[union-attr]
    prompts = [raw("Ada", max_tokens=20), raw("x " * 150), raw("y " * 150)]
    calls = await side_by_side(model, prompts)
    assert max(sum(step) for step in steps) <= 40
    await model.aclose()
    alone = HF(folder, batch=1)
    assert [(await alone(prompt)).text for prompt in prompts] == [call.text for call in calls]
    await alone.aclose()


async def test_rows_that_memory_has_no_room_for_wait(folder: Path, steps: list[list[int]]) -> None:
    model = HF(folder, batch=8)
    await model.info()
    batch = model._engine.batch  # type: ignore[union-attr]
    batch.room = batch.per_token * 100  # type: ignore[union-attr]
    steps.clear()
    calls = await side_by_side(model, [raw(f"{n} Ada", max_tokens=20) for n in range(6)])
    assert max(map(len, steps)) <= 3 and len(calls) == 6
    await model.aclose()


async def test_an_answer_that_nobody_waits_for_is_not_written_on(folder: Path, steps: list[list[int]]) -> None:
    model = HF(folder, batch=2)
    await model.info()
    steps.clear()
    task = asyncio.ensure_future(model(raw("Ada", max_tokens=400)))
    while not steps:
        await asyncio.sleep(0.001)
    task.cancel()
    assert (await model(raw("Quell"))).tokens_out > 0
    await model.aclose()
    assert len(steps) < 200


async def test_two_models_of_one_folder_share_the_weights(folder: Path) -> None:
    one, other = HF(folder, batch=2), HF(folder, batch=2)
    a, b = await asyncio.gather(one(raw("Ada")), other(raw("Ada")))
    assert a.text == b.text and one._engine is other._engine
    await one.aclose()
    assert (await other(raw("Quell"))).tokens_out > 0
    await other.aclose()
    with pytest.raises(SynthgainError, match="closed"):
        await other(raw("Quell"))


# ---------------------------------------------------------------------------------------------- schemas

SCHEMA = {
    "type": "object",
    "properties": {"b": {"enum": ["yes", "no"]}, "a": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["b", "a"],
    "additionalProperties": False,
}


async def test_answers_follow_a_schema_in_the_order_of_its_keys(folder: Path) -> None:
    pytest.importorskip("llguidance")
    model = HF(folder, batch=6)
    asked = [replace(raw("Ada", max_tokens=60), schema=SCHEMA, draw=n) for n in range(8)]
    calls = await side_by_side(model, [*asked, raw("Ada")])
    for call in calls[:-1]:
        if call.finish == "stop":
            found = json.loads(call.text)
            assert list(found) == ["b", "a"] and found["b"] in ("yes", "no") and 0 <= found["a"] <= 9
        assert call.logprob is not None and call.logprob < 0 and "schema" in call.law
    assert sum(call.finish == "stop" for call in calls[:-1]) >= 4
    assert "schema" not in calls[-1].law
    await model.aclose()


async def test_a_schema_that_cannot_be_followed_breaks_its_call_with_the_reason(folder: Path) -> None:
    pytest.importorskip("llguidance")
    model = HF(folder, batch=2)
    odd, fine = await asyncio.gather(
        model(replace(raw("Ada"), schema={"type": "array", "uniqueItems": True})),
        model(raw("Ada")),
        return_exceptions=True,
    )
    assert isinstance(odd, CallFailed) and "uniqueItems" in str(odd) and isinstance(fine, Call)
    await model.aclose()


async def test_without_the_library_it_says_how_to_install_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    model = HF(folder, batch=2)
    with pytest.raises(SynthgainError, match="llguidance") as told:
        await model(replace(raw("Ada"), schema=SCHEMA))
    assert told.value.next == 'pip install "synthgain[schema]"'
    await model.aclose()


# ---------------------------------------------------------------------------------------------- tools


async def test_a_call_of_a_tool_that_was_written_as_text_is_read(tmp_path: Path) -> None:
    """With a schema the tiny model writes what a small model would."""
    pytest.importorskip("llguidance")
    model = HF(tiny_model(tmp_path / "tools"), batch=2)
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    said = {
        "type": "object",
        "properties": {"name": {"const": "look"}, "arguments": {"type": "object", "additionalProperties": False}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
    call = await model(
        Prompt((user("Look."),), tools=(tool,), schema=said, sampling=Sampling(max_tokens=120, temperature=0.0))
    )
    await model.aclose()
    assert call.finish == "tool_calls" and call.message["tool_calls"][0]["function"]["name"] == "look"


# ---------------------------------------------------------------------------------------------- architectures


def small(config: type, **more: Any) -> Any:
    shape = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return config(**(shape | heads | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2} | more))


@pytest.mark.parametrize(
    "config",
    [
        small(transformers.Qwen2Config),
        small(transformers.MistralConfig, sliding_window=9),
        small(transformers.Gemma2Config, sliding_window=9, head_dim=16, query_pre_attn_scalar=16),
        transformers.GPT2Config(vocab_size=300, n_embd=64, n_layer=2, n_head=4, n_positions=128),
    ],
    ids=["qwen2", "mistral-window", "gemma2-softcap", "gpt2"],
)
def test_the_stream_says_what_the_plain_forward_pass_says(config: Any) -> None:
    """Rows of unlike lengths, one read in parts, two behind a beginning of it, at every place of their answers."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for part in model.parameters():
        if part.dim() > 1:
            torch.nn.init.normal_(part, std=0.2)
    loaded = Loaded(model, None, torch, "cpu")
    assert isinstance(reader(loaded, 4), Stream)
    first = torch.randint(0, 300, (40,)).tolist()
    other = first[:20] + torch.randint(0, 300, (20,)).tolist()
    stream = Stream(loaded, 4)
    stream.step([Stretch(2, first[:25], False)])
    beginning = stream.beginning(2, "".join(map(chr, first[:20])))
    stream.begin(0, beginning, 18)
    stream.begin(3, beginning, 18)
    with torch.no_grad():
        of_first, of_other = (model(torch.tensor([row])).logits[0] for row in (first, other))
    for at in range(18, 40):
        rows = [Stretch(0, [other[at]], True), Stretch(3, [other[at]], True)]
        wanted = [of_other[at], of_other[at]]
        if at + 7 < 40:
            rows.append(Stretch(2, [first[at + 7]], True))
            wanted.append(of_first[at + 7])
        assert torch.allclose(stream.step(rows), torch.stack(wanted), atol=2e-3)


async def test_an_architecture_with_an_attention_of_its_own_is_read_row_after_row(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "bloom")
    torch.manual_seed(0)
    shape = {"vocab_size": 400, "hidden_size": 64, "n_layer": 2, "n_head": 4}
    transformers.BloomForCausalLM(
        transformers.BloomConfig(**shape, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    ).save_pretrained(folder)
    loaded = load(folder, "cpu")
    assert isinstance(reader(loaded, 2), OneByOne)
    model = HF(folder, batch=3)
    prompts = [raw(f"{n} Ada", temperature=0.0) for n in range(5)]
    calls = await side_by_side(model, prompts)
    assert "row after row" in (await model.info()).note
    await model.aclose()
    ids = torch.tensor([loaded.text("2 Ada")])
    with torch.no_grad():
        first = int(loaded.model(ids).logits[0, -1].argmax())
    assert calls[2].text.startswith(loaded.tokenizer.decode([first], skip_special_tokens=True))


# ---------------------------------------------------------------------------------------------- draws


def test_draws_are_where_the_cumulative_chance_passes_the_point() -> None:
    law = torch.randn(3, 1000, generator=torch.Generator().manual_seed(1)).mul(4).log_softmax(-1)
    law[:, ::7] = -torch.inf
    law = law.log_softmax(-1)
    sums = law.double().exp().cumsum(-1)
    for point in (0.0, 1e-9, 0.1, 0.5, 0.77, 0.999999, 1 - 1e-12):
        tokens = drawn(law, torch.full((3,), point, dtype=torch.float64))
        for row, token in zip(range(3), tokens.tolist(), strict=True):
            assert law[row, token] > -torch.inf
            assert sums[row, token] > point - 1e-6 and (token == 0 or sums[row, token - 1] <= point + 1e-6)


# ---------------------------------------------------------------------------------------------- eight bits


@pytest.mark.skipif(not hasattr(torch.ops.onednn, "qlinear_pointwise"), reason="this torch multiplies no bytes")
def test_eight_bits_say_nearly_the_same_whoever_stands_beside(folder: Path) -> None:
    full, light = load(folder, "cpu"), load(folder, "cpu", "int8")
    rows = torch.randint(3, 300, (5, 30), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact, near = full.model(rows).logits.log_softmax(-1), light.model(rows).logits.log_softmax(-1)
        alone = light.model(rows[2:3]).logits.log_softmax(-1)
    assert float((exact.exp() * (exact - near)).sum(-1).mean()) < 1e-3  # nats between the laws, on average
    assert torch.allclose(alone[0], near[2], atol=1e-4)
    assert isinstance(reader(light, 3), Stream)


def test_only_weights_that_were_quantised_before_are_written_in_eight_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "flags", lambda: {"avx512f", "avx512_vnni"})
    assert folders.arithmetic("cpu") == "float32"
    assert folders.arithmetic("cpu", light=True) == "int8"
    monkeypatch.setattr(machine, "flags", lambda: {"avx2"})
    assert folders.arithmetic("cpu", light=True) == "float32"
