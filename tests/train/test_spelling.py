"""Rows to token ids and labels: what the model is given, and what it learns to say."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from doubles.spelled import blocks, chats, found
from doubles.tiny import tiny_model
from synthgain.train import TrainingRow, spelling
from synthgain.train.spelling import IGNORED, Example, text_of
from synthgain.train.weights import load_tokenizer
from synthgain.types import SynthgainError, assistant, system, user

CHAT = {"messages": [user("Who built the bridge?"), assistant("The salt widow.")]}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return load_tokenizer(tiny_model(tmp_path_factory.mktemp("tiny")))


def test_loss_is_on_the_answer_and_its_end_and_on_nothing_else(tokenizer) -> None:  # type: ignore[no-untyped-def]
    example = chats([TrainingRow("x", messages=tuple(CHAT["messages"]))], tokenizer, 512).examples[0]
    learnt = [i for i, label in zip(example.ids, example.labels) if label != IGNORED]
    given = [i for i, label in zip(example.ids, example.labels) if label == IGNORED]
    assert tokenizer.decode(learnt) == "The salt widow.<|end|>"
    assert tokenizer.decode(given) == "<|start|>user\nWho built the bridge?<|end|>\n<|start|>assistant\n"
    assert all(label in (token, IGNORED) for token, label in zip(example.ids, example.labels))
    asked = tokenizer.apply_chat_template(CHAT["messages"][:1], add_generation_prompt=True)["input_ids"]
    assert list(example.ids[: len(asked)]) == asked  # exactly what the student will be given when it answers


def learnt(example: Example, tokenizer: Any) -> list[str]:
    """The runs of tokens with loss, as texts."""
    runs: list[list[int]] = []
    for n, label in enumerate(example.labels):
        if label != IGNORED:
            if n == 0 or example.labels[n - 1] == IGNORED:
                runs.append([])
            runs[-1].append(label)
    return [tokenizer.decode(run) for run in runs]


def row(*turns: Any, **more: Any) -> TrainingRow:
    return TrainingRow("f:1", messages=turns, **more)


def test_each_answer_of_a_longer_chat_is_learnt(tokenizer) -> None:  # type: ignore[no-untyped-def]
    chat = (system("Be brief."), user("One?"), assistant("Yes."), user("Two?"), assistant("No."))
    example = chats([row(*chat)], tokenizer, 512).examples[0]
    assert learnt(example, tokenizer) == ["Yes.<|end|>", "No.<|end|>"]
    whole = tokenizer.apply_chat_template(list(chat), tokenize=False)
    assert tokenizer.decode(example.ids) == whole.rstrip("\n")


TOOLS = ({"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}},)
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo", "n": null}'}}
ASKS: Any = {"role": "assistant", "content": "", "tool_calls": [CALL]}
SAYS: Any = {"role": "tool", "content": "4 C", "tool_call_id": "c1"}


def test_the_template_gets_the_tools_and_the_calls_are_learnt(tokenizer) -> None:  # type: ignore[no-untyped-def]
    chat = row(user("Weather?"), ASKS, SAYS, assistant("Cold."), tools=TOOLS)
    every = chats([chat], tokenizer, 512)
    example = every.examples[0]
    call = '<call>weather {"city": "Oslo", "n": null}</call>'
    assert learnt(example, tokenizer) == [f"{call}<|end|>", "Cold.<|end|>"] and every.sum("tools_unwritten") == 0
    assert tokenizer.decode(example.ids).startswith('<|start|>system\nTools:\n{"type": "function"')
    objects = {
        **ASKS,
        "tool_calls": [{**CALL, "function": {"name": "weather", "arguments": {"city": "Oslo", "n": None}}}],
    }
    for asked, answer in (([user("Weather?")], 0), ([user("Weather?"), objects, SAYS], 1)):
        given = tokenizer.apply_chat_template(asked, tools=list(TOOLS), add_generation_prompt=True)["input_ids"]
        starts = [n for n, label in enumerate(example.labels) if label != IGNORED and example.labels[n - 1] == IGNORED]
        assert list(example.ids[: starts[answer]]) == given  # exactly what the student will be given when it answers
    assert "<call>weather" in text_of(chat, tokenizer) and "Tools:" in text_of(chat, tokenizer)


def test_arguments_that_are_no_json_stay_as_they_were_written(tokenizer) -> None:  # type: ignore[no-untyped-def]
    broken = {**ASKS, "tool_calls": [{**CALL, "function": {"name": "weather", "arguments": "{city"}}]}
    example = chats([row(user("w?"), broken)], tokenizer, 512).examples[0]
    assert learnt(example, tokenizer) == ['<call>weather "{city"</call><|end|>']


def test_learn_says_otherwise(tokenizer) -> None:  # type: ignore[no-untyped-def]
    """A masked answer has no loss, a learnt question has; the ids do not change by it."""
    plain = row(system("Be brief."), user("One?"), assistant("Yes."), user("Two?"), assistant("No."))
    usual = chats([plain], tokenizer, 512).examples[0]
    told = list(plain.messages or ())
    for at, learn in ((0, True), (2, False), (3, True)):
        told[at] = {**told[at], "learn": learn}  # type: ignore[typeddict-item]
    example = chats([row(*told)], tokenizer, 512).examples[0]
    assert learnt(example, tokenizer) == ["Be brief.<|end|>", "Two?<|end|>", "No.<|end|>"]
    whole = tokenizer(tokenizer.decode(usual.ids), add_special_tokens=False)["input_ids"]
    assert list(example.ids) == whole == list(usual.ids)
    last = chats([row(user("q"), assistant("a"), {**user("Thanks."), "learn": True})], tokenizer, 512).examples[0]
    assert learnt(last, tokenizer) == ["a<|end|>", "Thanks.<|end|>"]
    tool = chats([row(user("w?"), ASKS, {**SAYS, "learn": True}, tools=TOOLS)], tokenizer, 512).examples[0]
    assert learnt(tool, tokenizer)[1:] == ["4 C<|end|>"]
    for nothing in (row(user("q"), {**assistant("a"), "learn": False}), row(assistant("a"), user("q"))):
        assert chats([nothing], tokenizer, 64).sum("no_answer") == 1


def test_reasoning_is_read_only_where_it_is_asked_for(tokenizer) -> None:  # type: ignore[no-untyped-def]
    chat = row(user("1+1?"), {**assistant("2"), "reasoning": "One and one."})
    assert learnt(chats([chat], tokenizer, 512).examples[0], tokenizer) == ["2<|end|>"]
    asked = chats([chat], tokenizer, 512, reasoning=True).examples[0]
    assert learnt(asked, tokenizer) == ["<think>One and one.</think>2<|end|>"]
    assert "One and one" not in text_of(chat, tokenizer) and "One and one" in text_of(chat, tokenizer, reasoning=True)


def test_a_template_without_tools_is_told(tokenizer) -> None:  # type: ignore[no-untyped-def]
    deaf = deepcopy(tokenizer)
    deaf.chat_template = (
        "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    )
    assert chats([row(user("q"), assistant("a"), tools=TOOLS)] * 2, deaf, 64).sum("tools_unwritten") == 2
    with pytest.raises(SynthgainError, match="does not write tool calls"):
        chats([row(user("q"), ASKS, tools=TOOLS)], deaf, 64)
    deaf.chat_template = None
    for lost in (row(user("q"), ASKS), row(user("q"), assistant("a"), tools=TOOLS)):
        with pytest.raises(SynthgainError, match="with tools"):
            blocks([lost], deaf, 64)
    hides = deepcopy(tokenizer)
    hides.chat_template = "{% for m in messages %}<|start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}{{ m['content'] }}{% endif %}<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    with pytest.raises(SynthgainError, match="turn 1"):
        chats([row({**user("q"), "learn": True}, assistant("a"))], hides, 64)


def test_a_template_that_rewrites_earlier_turns_gives_one_example_an_answer(tokenizer) -> None:  # type: ignore[no-untyped-def]
    thinks = deepcopy(tokenizer)
    thinks.chat_template = (
        "{% for m in messages %}<|start|>{{ m['role'] }}\n{% if loop.last and m['role'] == 'assistant' %}<think></think>{% endif %}"
        "{{ m['content'] }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    )
    chat = (user("One?"), assistant("Yes."), user("Two?"), assistant("No."))
    every = chats([TrainingRow("x", messages=chat)], thinks, 512)
    said = [thinks.decode([label for label in e.labels if label != IGNORED]) for e in every.examples]
    assert said == ["<think></think>Yes.<|end|>", "<think></think>No.<|end|>"] and len(every.each) == 1
    asks = (*chat, {**user("Three?"), "learn": True})
    said = [
        thinks.decode([label for label in e.labels if label != IGNORED])
        for e in chats([row(*asks)], thinks, 512).examples
    ]
    assert said == ["<think></think>Yes.<|end|>", "<think></think>No.<|end|>", "Three?<|end|>"]


def test_what_is_cut_or_left_out_is_counted(tokenizer) -> None:  # type: ignore[no-untyped-def]
    rows = [
        TrainingRow("x", messages=tuple(CHAT["messages"])),
        TrainingRow("y", messages=(user("Who? " * 60), assistant("I."))),
    ]
    full = len(chats(rows[:1], tokenizer, 512).examples[0].ids)
    every = chats(rows, tokenizer, full - 1)
    assert (every.sum("cut"), every.sum("no_answer"), len(every.examples)) == (2, 1, 1)
    assert len(every.examples[0].ids) == full - 1


def test_a_question_alone_and_an_answer_that_says_nothing_are_counted(tokenizer) -> None:  # type: ignore[no-untyped-def]
    silent = [
        row(user("only a question")),
        row(user("q"), assistant(" ")),
        row(user("q"), {**assistant(""), "reasoning": "Hm."}),
    ]
    every = chats(silent, tokenizer, 64)
    assert every.examples == [] and every.sum("no_answer") == 3


def test_blocks_hold_every_token_once_with_an_end_after_each_document(tokenizer) -> None:  # type: ignore[no-untyped-def]
    rows = [
        TrainingRow("a", text="The river Tolmar flows."),
        TrainingRow("b", messages=tuple(CHAT["messages"])),
        TrainingRow("c", text="Ada has four apples."),
    ]
    every = blocks(rows, tokenizer, 8).examples
    stream = [token for e in every for token in e.ids]
    assert all(len(e.ids) == 8 for e in every[:-1]) and all(e.ids == e.labels for e in every)
    said = tokenizer.decode(stream)
    chat = tokenizer.apply_chat_template(CHAT["messages"], tokenize=False).rstrip("\n")
    expected = f"The river Tolmar flows.<|end|>{chat}Ada has four apples.<|end|>"
    assert (
        expected.startswith(said) and len(tokenizer(expected)["input_ids"]) - len(stream) <= 1
    )  # a block of one token teaches nothing


def test_a_block_names_the_rows_that_it_holds(tokenizer) -> None:  # type: ignore[no-untyped-def]
    rows = [TrainingRow(str(n), text=f"The river Tolmar flows past {n}. " * (n + 1)) for n in range(4)]
    owners: list[int] = []  # the row of each token
    for n, row in enumerate(rows):
        owners += [n] * (len(tokenizer(row.text)["input_ids"]) + 1)
    every = blocks(rows, tokenizer, 16).examples
    held = [owners[16 * i : 16 * i + len(e.ids)] for i, e in enumerate(every)]
    assert [e.rows for e in every] == [(min(one), max(one)) for one in held]
    several = chats([TrainingRow("x", messages=tuple(CHAT["messages"]))] * 3, tokenizer, 512)
    assert [e.rows for e in several.examples] == [(0, 0), (1, 1), (2, 2)]


def test_a_text_among_chats_is_learnt_whole_in_pieces(tokenizer) -> None:  # type: ignore[no-untyped-def]
    mixed = [TrainingRow("a", text="Ada"), row(user("q"), assistant("a")), TrainingRow("b", text="apples " * 50)]
    every = chats(mixed, tokenizer, 16)
    assert tokenizer.decode(every.examples[0].ids) == "Ada<|end|>"
    long = [e for e in every.examples if e.rows == (2, 2)]
    assert tokenizer.decode([i for e in long for i in e.ids]) == "apples " * 50 + "<|end|>"
    assert all(e.ids == e.labels and len(e.ids) <= 16 for e in long) and every.sum("cut") == 0


# ---------------------------------------------------------------------------------------------- how a template ends a turn

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def other_end(tokenizer: Any, template: str = CHATML) -> Any:
    """The same tokenizer with ChatML's marks, whose end of a turn is not its end of a text."""
    other = deepcopy(tokenizer)
    other.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    other.chat_template = template
    return other


def test_the_template_says_what_ends_an_answer(tokenizer) -> None:  # type: ignore[no-untyped-def]
    chat = row(user("One?"), assistant("Yes."), user("Two?"), assistant("No."))
    chatml = other_end(tokenizer)
    assert learnt(chats([chat], chatml, 512).examples[0], chatml) == ["Yes.<|im_end|>", "No.<|im_end|>"]
    both = other_end(tokenizer, CHATML.replace("'<|im_end|>' +", "'<|im_end|><|end|>' +"))
    assert learnt(chats([chat], both, 512).examples[0], both) == ["Yes.<|im_end|>", "No.<|im_end|>"]
    quotes = row(user("How does a turn end?"), assistant("With <|im_end|>, always."))
    assert learnt(chats([quotes], chatml, 512).examples[0], chatml) == ["With <|im_end|>, always.<|im_end|>"]


def test_a_template_of_words_alone_gets_the_end_of_a_text(tokenizer) -> None:  # type: ignore[no-untyped-def]
    words = deepcopy(tokenizer)
    words.chat_template = (
        "{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n\n{% endfor %}"
        "{% if add_generation_prompt %}### assistant:\n{% endif %}"
    )
    every = chats([row(user("One?"), assistant("Yes."), user("Two?"), assistant("No."))], words, 512).examples
    assert [learnt(e, words) for e in every] == [["Yes.<|end|>"], ["No.<|end|>"]]


def test_reasoning_stands_before_the_answer_where_the_template_has_no_place_for_it(tokenizer) -> None:  # type: ignore[no-untyped-def]
    chatml = other_end(tokenizer)
    chat = row(user("1+1?"), {**assistant("2"), "reasoning": "One and one."})
    assert learnt(chats([chat], chatml, 512).examples[0], chatml) == ["2<|im_end|>"]
    asked = chats([chat], chatml, 512, reasoning=True).examples[0]
    assert learnt(asked, chatml) == ["<think>\nOne and one.\n</think>\n\n2<|im_end|>"]


# ---------------------------------------------------------------------------------------------- preference pairs


def test_a_pair_is_two_answers_to_one_prompt_with_loss_on_these_alone(tokenizer) -> None:  # type: ignore[no-untyped-def]
    chat = row(user("One?"), assistant("Yes."), user("Two?"), assistant("No."), rejected=(assistant("Never mind."),))
    every = found(spelling.pairs_of([chat, row(user("q"), assistant("a"))], tokenizer, 512))
    chosen, rejected = every.examples
    assert (learnt(chosen, tokenizer), learnt(rejected, tokenizer)) == (["No.<|end|>"], ["Never mind.<|end|>"])
    given = [[i for i, label in zip(e.ids, e.labels) if label == IGNORED] for e in (chosen, rejected)]
    assert given[0] == given[1] and every.sum("unpaired") == 1
    short = found(spelling.pairs_of([chat], tokenizer, len(given[0])))
    assert short.examples == [] and (short.sum("cut"), short.sum("no_answer")) == (1, 1)
