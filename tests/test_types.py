import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain.types import Anchor, Message, Prompt, Reading, Row, Sampling, SynthgainError, digest, drop, user

TEXT = st.text(max_size=50)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT}), max_size=4
)


@given(
    MESSAGES, st.floats(0, 2), st.integers(1, 4096), st.lists(TEXT, max_size=2), st.integers(0, 9), st.integers(0, 9)
)
def test_a_prompt_comes_back_from_its_content(
    messages: list[Message], temperature: float, most: int, stop: list[str], seed: int, draw: int
) -> None:
    sampling = Sampling(temperature=temperature, max_tokens=most, stop=tuple(stop))
    prompt = Prompt(tuple(messages), sampling=sampling, schema={"type": "object"}, seed=seed, draw=draw)
    drawn = prompt if temperature else replace(prompt, seed=0, draw=0)
    assert Prompt.read(prompt.content) == drawn


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
ODD = st.text(st.characters(exclude_categories=()), max_size=20)  # control characters and half surrogate pairs too


@given(
    st.lists(st.fixed_dictionaries({"role": TEXT, "content": ODD}), max_size=3),
    st.sampled_from([0.0, 1.0, 0.7, 1e-9, 100.0]),
    st.sampled_from([0.0, 1.0, 1.5]),
    st.none() | st.dictionaries(TEXT, JSON, max_size=3),
)
def test_content_and_ids_are_those_of_the_plain_encoder(
    messages: list[Message], temperature: float, penalty: float, schema: dict[str, Any] | None
) -> None:
    """What was bought is found by these very texts: they may never change. What is at its default is left out."""

    def encoded(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def sha(*parts: str) -> str:
        raws = [part.encode("utf-8", "surrogatepass") for part in parts]
        return hashlib.sha256(b"".join(len(raw).to_bytes(8, "big") + raw for raw in raws)).hexdigest()

    law: dict[str, Any] = {} if penalty == 0 else {"presence_penalty": penalty}
    law |= {"stop": ["x"]} | ({} if temperature == 1 else {"temperature": temperature})
    turns = [{"content": m["content"], "role": m["role"]} for m in messages]
    sampling = Sampling(temperature=temperature, stop=("x",), presence_penalty=penalty)
    prompt = Prompt(tuple(messages), sampling=sampling, schema=schema, seed=3, draw=10**6)
    drawn: dict[str, Any] = {"draw": 10**6} if temperature else {}  # nothing is drawn at temperature 0
    seeded: dict[str, Any] = {"seed": 3} if temperature else {}
    shape: dict[str, Any] = {} if schema is None else {"schema": schema}  # in its own order
    assert prompt.content == encoded(drawn | {"messages": turns, "sampling": law} | shape | seeded | {"v": 1})
    for identity in ("m", "n", "m"):
        assert prompt.id(identity) == sha(identity, prompt.content)
    row, anchor = Row(messages=tuple(messages), anchors=("a",)), Anchor("text", fields={"s": "é"}, needs=("s", "t?"))
    assert row.id == sha(encoded({"anchors": ["a"], "calls": [], "messages": turns, "v": 1}))[:24]
    assert anchor.id == sha("text", '{"s":"é"}')[:32]


def test_identity_holds_everything_that_can_change_the_answer_and_nothing_else() -> None:
    plain = Prompt((user("a"),))
    same = [Prompt((user("a"),), to="judge"), Prompt(({"content": "a", "role": "user"},))]
    other = [
        Prompt((user("b"),)),
        Prompt((user("a"), user(""))),
        Prompt((user("a"),), seed=1),
        Prompt((user("a"),), draw=1),
        Prompt((user("a"),), schema={}),
        Prompt((user("a"),), schema={"x": 1, "y": 2}),
        Prompt((user("a"),), schema={"y": 2, "x": 1}),
        Prompt((user("a"),), sampling=Sampling(temperature=0.9)),
        Prompt((user("a"),), sampling=Sampling(stop=("x",))),
    ]
    ids = {plain.id("m"), plain.id("n"), *(p.id("m") for p in other)}
    assert {p.id("m") for p in same} == {plain.id("m")}
    assert len(ids) == len(other) + 2


@given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4))
def test_digest_tells_lists_of_parts_apart(a: list[str], b: list[str]) -> None:
    assert (digest(*a) == digest(*b)) == (a == b)


def test_an_anchor_is_its_text_and_the_fields_that_enter_a_prompt() -> None:
    plain = Anchor("t", "a#1", {"title": "x", "answer": "4"}, needs=("title",))
    assert plain.id == Anchor("t", "b#9", {"title": "x", "answer": "5"}, needs=("title",)).id
    assert plain.id != Anchor("t", "a#1", {"title": "y"}, needs=("title",)).id
    assert plain.id != Anchor("u", "a#1", {"title": "x"}, needs=("title",)).id


def test_a_row_says_what_the_model_wrote_and_why_it_fell() -> None:
    chat = Row(
        messages=(user("q"), {"role": "assistant", "content": "a"}), verdicts=(drop("too short", check="length"),)
    )
    assert (chat.answer, Row(text="t").answer) == ("a", "t")
    assert chat.fallen is not None and chat.fallen.reason == "too short"
    assert Row(text="t").fallen is None


def test_a_reading_comes_back_from_json() -> None:
    reading = Reading("x", 0.5, 0.4, 0.6, unit="prob", n=10, kind="lower bound")
    assert Reading.read(reading.json()) == reading
    assert reading.json()["class"] == "lower bound"


def test_plain_sampling_is_the_untruncated_law_at_temperature_one() -> None:
    assert Sampling().plain and Sampling(max_tokens=3, stop=("x",)).plain
    assert not any(
        s.plain
        for s in (
            Sampling(temperature=0.9),
            Sampling(top_p=0.9),
            Sampling(top_k=5),
            Sampling(min_p=0.1),
            Sampling(presence_penalty=1),
        )
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_k": -1},
        {"max_tokens": 0},
        {"min_p": 2.0},
    ],
)
def test_a_law_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SynthgainError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]
