"""Budget forcing, with a model that adds as far as it is let think, and once with the embedded one."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from synthgain import Scripted, evaluate
from synthgain.api.examining import Examination
from synthgain.curate.answers import same_answer
from synthgain.evaluate import BudgetForcing, Question, thinking
from synthgain.examples import write
from synthgain.intervals import mean_t, wilson
from synthgain.models import weights
from synthgain.thinking import apart
from synthgain.types import Call, Prompt, Sampling, SynthgainError, assistant, user

GREEDY = Sampling(temperature=0.0, max_tokens=32)


def adder(steps: int = 99) -> Scripted:
    """Adds one number with each token that it thinks, and stops by itself after `steps` of them; what it has not added is missing from its answer.

    After "Wait" it goes on where it was.
    """

    def reply(prompt: Prompt) -> Call:
        question, begun = prompt.messages[-2]["content"], prompt.messages[-1]["content"]
        numbers = [int(n) for n in re.findall(r"\d+", question)]
        done = len(re.findall(r"\+\d+", begun))
        if "</think>" in begun:
            said, finish = f"Answer: {sum(numbers[:done])}", "stop"
        else:
            assert prompt.sampling.stop == ("</think>",)
            end = min(len(numbers), steps * (1 + begun.count("Wait")))
            more = numbers[done:end][: prompt.sampling.max_tokens]
            said = "".join(f" +{n}" for n in more)
            finish = "length" if len(more) == prompt.sampling.max_tokens else "stop"
        return Call(
            prompt.id("adder"), prompt, assistant(said), "scripted/adder", finish, 9, len(said.split()), cost=0.0
        )

    return Scripted(reply)


def questions(*lengths: int) -> list[Question]:
    """Sums of so many numbers."""
    dice = random.Random(5)
    found = []
    for n, length in enumerate(lengths):
        numbers = [dice.randint(10, 99) for _ in range(length)]
        found.append(Question(str(n), f"Add {' and '.join(map(str, numbers))}.", answer=str(sum(numbers))))
    return found


async def test_accuracy_rises_with_the_tokens_that_may_be_thought() -> None:
    asked = questions(*[2] * 5, *[4] * 3, *[8] * 2)
    curve = await thinking(adder(), asked, same_answer, BudgetForcing((0, 2, 4, 16)), sampling=GREEDY)
    found = {r.name: r for r in curve.readings}
    assert [found[f"accuracy/think={n}"].value for n in (0, 2, 4, 16)] == [0.0, 0.5, 0.8, 1.0]
    thought = [found[f"thinking_tokens/think={n}"] for n in (0, 2, 4, 16)]
    assert [r.value for r in thought] == [0.0, 2.0, 3.0, (5 * 2 + 3 * 4 + 2 * 8) / 10]
    assert all(r.unit == "tokens" and r.n == 10 for r in thought)
    gain = found["accuracy difference/think=4"]
    assert gain.value == pytest.approx(0.8) and gain.low is not None and 0 < gain.low < 0.8 and "think=0" in gain.note
    assert "accuracy difference/think=0" not in found
    assert all(found[f"accuracy/think={n}"].low is not None for n in (0, 2, 4, 16))
    assert [r.name for r in curve.readings][:4] == [
        *("thinking_tokens/think=0", "accuracy/think=0", "thinking_tokens/think=2", "accuracy/think=2")
    ]


async def test_thinking_goes_on_from_the_budget_before_and_is_paid_once() -> None:
    model, asked = adder(), questions(8)
    await thinking(model, asked, same_answer, BudgetForcing((3, 0, 6)), sampling=GREEDY)
    assert model.asked == 2 + 3  # two stretches of thinking, and an answer at each budget
    model = adder()
    await thinking(model, questions(2), same_answer, BudgetForcing((3, 50, 500)), sampling=GREEDY)
    assert model.asked == 2  # it ended by itself: nothing is asked again


async def test_a_model_that_stops_early_is_made_to_go_on() -> None:
    asked = questions(*[6] * 4)
    seen = {}
    for again in (0, 1, 2, 5):
        forcing = BudgetForcing((100,), again=again)
        curve = await thinking(adder(steps=2), asked, same_answer, forcing, sampling=GREEDY)
        found = {r.name: r for r in curve.readings}
        tokens = found["thinking_tokens/think=100"]
        seen[again] = (found["accuracy/think=100"].value, tokens.value)
        assert "4 of 4 thoughts ended by themselves" in tokens.note
        assert (f'"Wait" was written {4 * again} times' in tokens.note) is bool(again)
    assert {n: (right, round(tokens or 0)) for n, (right, tokens) in seen.items()} == {
        **{0: (0.0, 2), 1: (0.0, 4), 2: (1.0, 6)},
        5: (1.0, 6),
    }


async def test_the_prompts_are_the_question_and_an_answer_that_is_begun() -> None:
    texts: list[tuple[str, int]] = []
    inner = adder(steps=2)

    def watched(prompt: Prompt) -> object:
        texts.append((prompt.messages[-1]["content"], prompt.sampling.max_tokens))
        assert [turn["role"] for turn in prompt.messages] == ["user", "raw"]
        return inner.reply(prompt)

    forcing = BudgetForcing((0, 20), again=1, answer="Final Answer:")
    asked = [Question("1", "Add 10 and 20 and 30 and 40.", answer="100")]
    await thinking(Scripted(watched), asked, same_answer, forcing, sampling=GREEDY)  # type: ignore[arg-type]
    end = "\n</think>\n\nFinal Answer:"
    assert texts == [
        (f"<think>\n{end}", 32),
        ("<think>\n", 20),
        ("<think>\n +10 +20\nWait", 18),
        (f"<think>\n +10 +20\nWait +30 +40{end}", 32),
    ]


async def test_thinking_that_came_with_marks_is_read_as_it_came() -> None:
    """A runtime that gives back the opening mark that stood in the prompt."""

    def reply(prompt: Prompt) -> Call:
        begun = prompt.messages[-1]["content"]
        said, finish = ("7", "stop") if "</think>" in begun else ("<think>\nSo far", "length")
        return apart(Call(prompt.id("m"), prompt, assistant(said), "m", finish, 9, 2))

    seen: list[str] = []

    def watched(prompt: Prompt) -> Call:
        seen.append(prompt.messages[-1]["content"])
        return reply(prompt)

    await thinking(
        Scripted(watched), [Question("1", "?", answer="7")], same_answer, BudgetForcing((2,)), sampling=GREEDY
    )
    assert seen[-1] == "<think>\nSo far\n</think>\n\n"


def ender(*, stops: bool = True) -> tuple[Scripted, list[str]]:
    """A model whose mark is three tokens, and the texts that it was to answer behind. It answers what it thought, word by word.

    `stops`: it stops where a piece of its own holds the mark, as runtimes do, which do not look at what stood before; else never.
    """
    tokens, asked = ["one", " two", "\n", "</", "think", ">", "\n\n", "Answer", ":", " 7"], list[str]()

    def reply(prompt: Prompt) -> Call:
        text = prompt.messages[-1]["content"]
        if text.endswith("\n</think>\n\n"):
            asked.append(text)
            said, finish, count = f"Answer: {'7' if text.count('think') == 2 else 'unclear'}", "stop", 2
            return Call(prompt.id("ender"), prompt, assistant(said), "ender", finish, 9, count, cost=0.0)
        begun = text.removeprefix("<think>\n")
        at = next(n for n in range(len(tokens)) if "".join(tokens[:n]) == begun)
        ours, finish = tokens[at : at + prompt.sampling.max_tokens], "length"
        said, count = "".join(ours), len(ours)
        if stops and "</think>" in said:
            said, finish = said.partition("</think>")[0], "stop"
            count = tokens.index(">") + 1 - at
        elif at + len(ours) == len(tokens) and count < prompt.sampling.max_tokens:
            finish = "stop"
        return Call(prompt.id("ender"), prompt, assistant(said), "ender", finish, 9, count, cost=0.0)

    return Scripted(reply), asked


@pytest.mark.parametrize("budgets", [(64,), (4, 64), (5, 64), (6, 64), (4, 5, 64), (2, 3, 4, 5, 6, 64)])
@pytest.mark.parametrize("stops", [True, False])
async def test_a_budget_inside_the_closing_mark_changes_nothing_behind_it(
    budgets: tuple[int, ...], stops: bool
) -> None:
    model, texts = ender(stops=stops)
    curve = await thinking(
        model, [Question("1", "?", answer="7")], same_answer, BudgetForcing(budgets), sampling=GREEDY
    )
    found = {r.name: r for r in curve.readings}
    assert [found[f"accuracy/think={n}"].value for n in budgets] == [1.0] * len(budgets)
    assert set(texts) == {"<think>\none two\n</think>\n\n"}
    assert "1 of 1 thoughts ended" in found["thinking_tokens/think=64"].note
    inside = [n for n in budgets if n in (4, 5)]
    for n in inside:
        assert found[f"thinking_tokens/think={n}"].value == n
    if inside:  # what completes the mark is no thought, and neither is the answer behind it
        assert found["thinking_tokens/think=64"].value == max(inside)


async def test_a_mark_that_never_comes_is_thought() -> None:
    """What looked like the mark's beginning stands in the next budget's thought."""

    def reply(prompt: Prompt) -> Call:
        begun = prompt.messages[-1]["content"]
        if "</think>" in begun:
            return Call(prompt.id("m"), prompt, assistant("Answer: 7"), "m", "stop", 9, 2)
        said = " two" if begun.endswith("<") else "one <"
        return Call(prompt.id("m"), prompt, assistant(said), "m", "length", 9, prompt.sampling.max_tokens)

    model = Scripted(reply)
    forcing, asked = BudgetForcing((2, 3)), Prompt((user("?"),), sampling=GREEDY)
    short, long = await forcing(model, asked)
    assert short.call.prompt.messages[-1]["content"] == "<think>\none\n</think>\n\n"
    assert long.call.prompt.messages[-1]["content"] == "<think>\none < two\n</think>\n\n"
    assert (short.tokens, long.tokens, long.ended) == (2, 3, False)


async def test_thoughts_that_are_all_cut_say_little_of_questions_not_seen() -> None:
    curve = await thinking(adder(), questions(*[9] * 5), same_answer, BudgetForcing((0, 4, 16)), sampling=GREEDY)
    found = {r.name: r for r in curve.readings}
    unseen = wilson(0, 5)[1]
    none, cut, ended = (found[f"thinking_tokens/think={n}"] for n in (0, 4, 16))
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)
    assert (cut.value, cut.low, cut.high) == (4.0, pytest.approx(4 - 4 * unseen), 4.0) and "Wilson" in cut.note
    assert (ended.low, ended.high) == (pytest.approx(9 - 9 * unseen), pytest.approx(9 + 7 * unseen))
    mixed = await thinking(adder(), questions(2, 9, 9), same_answer, BudgetForcing((4,)), sampling=GREEDY)
    [tokens, *_] = mixed.readings
    mean, low, _ = mean_t([2.0, 4.0, 4.0])
    assert (tokens.value, tokens.low, tokens.high) == (mean, low, 4.0) and "Wilson" not in tokens.note


async def test_a_server_that_does_not_count_is_refused() -> None:
    def reply(prompt: Prompt) -> Call:
        return Call(prompt.id("m"), prompt, assistant("So"), "openai/m", "length", 0, 0)

    with pytest.raises(SynthgainError, match="how many tokens"):
        await thinking(
            Scripted(reply), [Question("1", "?", answer="7")], same_answer, BudgetForcing((5,)), sampling=GREEDY
        )


@pytest.mark.parametrize(
    "wrong", [{"budgets": ()}, {"budgets": (-1,)}, {"budgets": (5, 5)}, {"again": -1}, {"closing": " \n"}]
)
def test_bad_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(SynthgainError) as error:
        BudgetForcing(**{"budgets": (5,), **wrong})  # type: ignore[arg-type]
    assert error.value.where.startswith("--think") and error.value.next


def test_answers_are_remembered_and_multiple_choice_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "s.jsonl"
    script.write_text('{"match": "</think>", "answer": "Answer: 7"}\n{"answer": "hm hm"}\n')
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "3 + 4?", "answer": "7"}\n{"question": "3 + 5?", "answer": "8"}\n')
    readings = evaluate(f"scripted/{script}", on=file, think=(0, 8), answers=tmp_path / "answers")
    assert {r.name: r.value for r in readings}["accuracy/think=8"] == 0.5
    again = evaluate(f"scripted/{script}", on=file, think=(0, 8), answers=tmp_path / "answers")
    assert again == readings
    file.write_text('{"question": "?", "options": ["a", "b"], "gold": 0}\n')
    with pytest.raises(SynthgainError, match="nothing is written"):
        evaluate(f"scripted/{script}", on=file, think=(0, 8))


def test_thinking_that_would_be_left_out_or_not_compared_is_refused(tmp_path: Path) -> None:
    pairs, asked, text = (tmp_path / name for name in ("pairs.jsonl", "q.jsonl", "text.txt"))
    pairs.write_text('{"prompt": "Who?", "chosen": "Ann.", "rejected": "Bob."}\n')
    asked.write_text('{"question": "3 + 4?", "answer": "7"}\n')
    text.write_text("The river Tolmar flows past Quell.")
    other = "scripted/echo"
    for wrong, where in (
        ({"on": pairs}, "--think"),
        ({"held_out": text}, "--think"),
        ({"on": asked, "against": other}, "--against"),
        ({"on": asked, "against": other, "general": text}, "--against"),
    ):
        with pytest.raises(SynthgainError) as error:
            evaluate(other, think=(0, 8), answers=tmp_path / "answers", **wrong)  # type: ignore[arg-type]
        assert error.value.where == where and error.value.next
    assert not (tmp_path / "answers").exists()


def test_the_embedded_model_is_forced(tmp_path: Path) -> None:
    """That it runs, on a few shipped questions: this model was never taught to think, and its figures mean nothing."""
    try:
        weights.find("smollm2-135m")
    except SynthgainError:
        pytest.skip("the weights of local/smollm2-135m are not here")
    pytest.importorskip("xllamacpp")
    file = write(tmp_path / "q.jsonl", 3, split="test")
    how = Examination(draws=1, temperature=0.0, max_tokens=24)
    found = {r.name: r for r in evaluate("local/smollm2-135m", on=file, think=(0, 8, 16), examination=how)}
    assert found["thinking_tokens/think=0"].value == 0
    spent = [found[f"thinking_tokens/think={n}"].value for n in (8, 16)]
    assert all(s is not None and s > 0 for s in spent) and spent[0] <= spent[1] <= 16  # type: ignore[operator]
