"""Answers scored again under the law they were drawn from, on a tiny random Llama."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from doubles.tiny import tiny_model
from synthgain.measure.data import Data
from synthgain.measure.student_eye import surprise
from synthgain.models.hf import HF
from synthgain.models.laws import EMBEDDED, LLAMA_SERVER, VLLM, laws
from synthgain.models.rescoring import LawScorer, by_law, rescored
from synthgain.models.scorer import HFScorer
from synthgain.types import Call, Message, Prompt, Sampling, SynthgainError, assistant, user

SETTINGS = [
    Sampling(),
    Sampling(temperature=0.5),
    Sampling(temperature=1.3, top_k=7),
    Sampling(top_p=0.8),
    Sampling(temperature=0.7, top_k=20, top_p=0.6, min_p=0.2),
    Sampling(min_p=0.3),
    Sampling(temperature=0.0),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def slowly(row: list[float], s: Sampling, order: tuple[str, ...]) -> list[float]:
    """The law of one position in plain Python: probabilities by token, renormalised after each setting; 0 is outside."""

    def softmax(logits: dict[int, float]) -> dict[int, float]:
        top = max(logits.values())
        total = math.fsum(math.exp(v - top) for v in logits.values())
        return {token: math.exp(v - top) / total for token, v in logits.items()}

    alive = dict(enumerate(row))
    for name in order:
        chances = softmax(alive)
        ranked = sorted(alive, key=lambda token: -chances[token])
        if name == "temperature":
            alive = {token: v / s.temperature for token, v in alive.items()}
        elif name == "top_k" and s.top_k:
            alive = {token: alive[token] for token in ranked[: s.top_k]}
        elif name == "top_p" and s.top_p < 1:
            mass, kept = 0.0, []
            for token in ranked:
                kept.append(token)
                mass += chances[token]
                if mass >= s.top_p:
                    break
            alive = {token: alive[token] for token in kept}
        elif name == "min_p" and s.min_p:
            alive = {token: v for token, v in alive.items() if chances[token] >= s.min_p * chances[ranked[0]]}
    final = softmax(alive)
    return [final.get(token, 0.0) for token in range(len(row))]


@pytest.mark.parametrize("order", [EMBEDDED, VLLM, LLAMA_SERVER])
def test_laws_equal_a_slow_reference(order: tuple[str, ...]) -> None:
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(1)) * 2
    for s in SETTINGS[:-1]:
        found = laws(logits, s, order).exp()
        for row, law in zip(logits.tolist(), found.tolist(), strict=True):
            assert law == pytest.approx(slowly(row, s, order), abs=1e-6)


@pytest.mark.parametrize("p", [0.2, 0.9, 0.999])
def test_a_nucleus_is_the_same_whether_it_lies_among_the_likeliest_or_reaches_further(p: float) -> None:
    """Also where chances are equal, as in rounded logits."""
    for logits in (
        torch.randn(4, 3000, generator=torch.Generator().manual_seed(3)).mul(3).bfloat16().float(),
        torch.zeros(1, 3000),
    ):
        chances, places = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
        inside = (chances.cumsum(-1) - chances < p).sum(-1).tolist()
        law = laws(logits, Sampling(top_p=p))
        for row, order, count in zip(law, places, inside, strict=True):
            assert set((row > -math.inf).nonzero()[:, 0].tolist()) == set(order[:count].tolist())


def test_the_order_is_part_of_the_law() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    s = Sampling(temperature=2.0, top_p=0.8)
    assert (laws(logits, s, EMBEDDED) > -math.inf).sum() == 3  # flattened first, 0.8 takes one more
    assert (laws(logits, s, LLAMA_SERVER) > -math.inf).sum() == 2


def test_at_one_without_truncation_it_is_the_plain_scorer(folder: Path) -> None:
    pairs: list[tuple[str | list[Message], str]] = [
        ("The river", " Tolmar flows past"),
        ("", "Ada"),
        ([user("How many?")], "7"),
        ("x", ""),
    ]
    plain, law = HFScorer(folder).logprobs(pairs), LawScorer(folder, batch_tokens=40).logprobs(pairs)
    for one, other in zip(plain, law, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_scores_equal_a_direct_computation(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    s, text = Sampling(temperature=1.7, top_k=300, top_p=0.97), " The salt widow built it."
    ids = tokenizer("Who built the bridge?", add_special_tokens=False)["input_ids"]
    expected = []
    for token in [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]:
        with torch.no_grad():
            expected.append(slowly(model(torch.tensor([ids])).logits[0, -1].tolist(), s, EMBEDDED)[token])
        ids = [*ids, token]
    found = LawScorer(folder, s, ends=True).logprobs([("Who built the bridge?", text), ("x", " y")])[0]
    assert [math.exp(value) for value in found] == pytest.approx(expected, abs=1e-6)


async def written(folder: Path, s: Sampling, draws: int = 60) -> list[Call]:
    """Answers of the tiny model that its tokenizer reads back as they were drawn."""
    model = HF(folder, batch=32)
    calls = await asyncio.gather(
        *(model(Prompt((user("Who built the bridge?"),), sampling=s, draw=d)) for d in range(draws))
    )
    await model.aclose()
    return [call for call in calls if call.text.isascii() and "\ufffd" not in call.text]


async def test_answers_score_again_what_they_scored_when_drawn(folder: Path) -> None:
    for s in (
        Sampling(temperature=0.7, top_k=60, max_tokens=3),
        Sampling(temperature=1.2, top_p=0.6, min_p=0.01, max_tokens=2),
    ):
        calls = await written(folder, s)
        pairs = [
            (call, again)
            for call, again in zip(calls, rescored(calls, LawScorer(folder, s, ends=True)), strict=True)
            if again.as_drawn and again.logprob is not None
        ]
        assert len(pairs) >= 5
        for call, again in pairs:
            assert again.logprob == pytest.approx(call.logprob, abs=1e-3) and again.tokens == call.tokens_out
            assert again.law == f"{call.law}, scored again with the end of the answer"


async def test_another_temperature_than_the_answers_is_refused(folder: Path) -> None:
    calls = await written(folder, Sampling(temperature=0.5, max_tokens=3))
    with pytest.raises(SynthgainError, match=r"sampled from softmax at T=0\.5, but scored under softmax at T=1"):
        rescored(calls, LawScorer(folder))


def call(
    text: str, finish: str = "stop", tokens: int = 3, messages: tuple[Message, ...] = (user("Hi"),), **law: object
) -> Call:
    sampling = Sampling(**law)  # type: ignore[arg-type]
    return Call(
        "0" * 64, Prompt(messages, sampling=sampling), assistant(text), "openai/x", finish=finish, tokens_out=tokens
    )


def test_what_cannot_come_from_the_law_is_said(folder: Path) -> None:
    again = rescored([call("Ada Quell apples", top_k=1)], LawScorer(folder, Sampling(top_k=1)))[0]
    assert again.logprob is None and again.law == "the text cannot come from this law: softmax at T=1, top-k 1"
    greedy = rescored([call("Ada Quell apples", temperature=0)], LawScorer(folder, Sampling(temperature=0)))[0]
    assert greedy.logprob is None and "cannot come from this law: greedy" in greedy.law


def test_an_answer_that_was_more_than_its_text_is_not_scored_as_its_text(folder: Path) -> None:
    plain = call("Ada")
    thought = replace(plain, message=Message(role="assistant", content="Ada", reasoning="Who has apples?"))
    offered = replace(plain, prompt=replace(plain.prompt, tools=({"type": "function", "function": {"name": "f"}},)))
    for again, why in zip(rescored([thought, offered], LawScorer(folder)), ("reasoning", "tools")):
        assert again.logprob is None and why in again.law


def test_the_end_counts_where_it_can_be_known(folder: Path) -> None:
    scorer = LawScorer(folder, ends=True)
    whole, cut, stopped = rescored([call("Ada"), call("Ada", "length"), call("Ada", stop=("\n",))], scorer)
    values = scorer.logprobs([([user("Hi")], "Ada")])[0]
    assert whole.logprob == pytest.approx(math.fsum(values), abs=1e-4) and whole.tokens == len(values)
    assert cut.logprob == stopped.logprob == pytest.approx(math.fsum(values[:-1]), abs=1e-4)
    assert whole.law == cut.law and "without the end" in stopped.law
    raw = rescored([call("Ada", messages=(Message(role="raw", content="The river"),))], LawScorer(folder))[0]
    assert raw.logprob == pytest.approx(math.fsum(HFScorer(folder).logprobs([("The river", "Ada")])[0]), abs=1e-4)


def test_what_cannot_be_scored_again_says_why(folder: Path) -> None:
    scorer = LawScorer(folder)
    bound = call("x")
    bound = replace(bound, prompt=replace(bound.prompt, schema={"type": "object"}))
    found = rescored([bound, call("x", presence_penalty=0.5), call("a\ufffd"), call("a" * 3000), call("fine")], scorer)
    reasons = ("schema", "penalties", "replaced character", "does not fit the context")
    for again, why in zip(found, reasons, strict=False):
        assert again.logprob is None and why in again.law
    assert found[-1].logprob is not None and rescored([], scorer) == []
    with pytest.raises(SynthgainError, match="penalties"):
        LawScorer(folder, Sampling(frequency_penalty=1.0))
    with pytest.raises(SynthgainError, match="order names each"):
        LawScorer(folder, order=("temperature",))


def test_calls_are_grouped_by_law(folder: Path) -> None:
    calls = [call("a", temperature=0.5), call("b"), call("c", temperature=0.5, max_tokens=9, stop=("x",))]
    assert by_law(calls) == {Sampling(temperature=0.5): [0, 2], Sampling(): [1]}


def test_identity_is_of_weights_and_law(folder: Path) -> None:
    names = {LawScorer(folder, s, order).identity for s in SETTINGS[:2] for order in (EMBEDDED, VLLM)}
    assert len(names) == 4 and LawScorer(folder).identity == LawScorer(str(folder)).identity  # type: ignore[arg-type]


async def test_a_writer_measured_as_its_own_student_has_nothing_to_learn(folder: Path) -> None:
    """From generation to the meter: log-probabilities when drawn against those of the folder reading the answers."""
    s = Sampling(temperature=1.3, top_k=80, max_tokens=4)
    calls = [c for c in await written(folder, s, 120) if c.text]
    scorer = LawScorer(folder, s, ends=True)
    calls = [
        c
        for c, again in zip(calls, rescored(calls, scorer), strict=True)
        if again.as_drawn and again.logprob is not None
    ]
    data = Data.of(
        [
            {
                "text": c.text,
                "prompt": c.prompt.messages[-1]["content"],
                "anchor_ids": [str(i)],
                "logprob": c.logprob,
                "tokens_out": c.tokens_out,
                "law": c.law,
            }
            for i, c in enumerate(calls)
        ]
    )
    found = {r.name: r for r in surprise(data, scorer=scorer)}
    assert len(calls) >= 10 and found["transfer_kl"].value == pytest.approx(0, abs=1e-4)
    student = {r.name: r for r in surprise(data, scorer=LawScorer(folder, ends=True))}
    assert student["transfer_kl_sample"].value > 0.1  # the plain model, asked to follow its own truncated law
