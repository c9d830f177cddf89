from dataclasses import replace

import pytest

from synthgain.evaluate import Question, solve
from synthgain.intervals import wilson
from synthgain.models.scripted import Scripted
from synthgain.types import Call, CallFailed, Prompt, Sampling, SynthgainError, assistant, user

QUESTIONS = [Question(str(n), f"{n} + {n}?", answer=str(2 * n)) for n in range(10)]
WARM = Sampling(temperature=0.7)


def correct(text: str, gold: str) -> bool:
    return text.split()[-1] == gold


def knows_even(prompt: Prompt) -> str:
    n = int(prompt.messages[-1]["content"].split()[0])
    return f"Answer: {2 * n}" if n % 2 == 0 else "dunno"


async def test_greedy_accuracy_is_wilsons_and_parsable_is_counted() -> None:
    solved = await solve(Scripted(knows_even), QUESTIONS, correct, parsable=lambda text: "Answer:" in text)
    accuracy = solved.reading("accuracy")
    assert (accuracy.value, accuracy.low, accuracy.high, accuracy.n) == (0.5, *wilson(5, 10), 10)
    assert solved.reading("parsable").value == 0.5
    assert solved.right["2"] == [True] and solved.right["3"] == [False] and solved.said["3"] == ["dunno"]


async def test_draws_are_distinct_calls_and_pass_at_k_counts_any() -> None:
    def third(prompt: Prompt) -> str:
        return knows_even(prompt) if prompt.draw == 2 else "dunno"

    solved = await solve(Scripted(third), QUESTIONS, correct, draws=4, sampling=WARM)
    assert solved.reading("accuracy").value == pytest.approx(5 / 40)
    assert solved.reading("pass_at_1").value == pytest.approx(5 / 40)
    assert solved.reading("pass_at_2").value == pytest.approx(0.25)  # half the questions, half the pairs of draws
    assert solved.reading("pass_at_4").value == 0.5
    assert solved.right["4"] == [False, False, True, False]


async def test_worked_examples_stand_before_the_question() -> None:
    seen: list[Prompt] = []

    def look(prompt: Prompt) -> str:
        seen.append(prompt)
        return "Answer: 0"

    shots = (user("1 + 1?"), assistant("Answer: 2"))
    await solve(
        Scripted(look), QUESTIONS[:1], correct, few_shot=shots, prompt=lambda q: (user(f"Q: {q.question}"),), seed=5
    )
    assert seen[0].messages == (*shots, user("Q: 0 + 0?")) and seen[0].seed == 5 and seen[0].sampling.temperature == 0


async def test_a_failed_call_is_left_out_and_said() -> None:
    def broken(prompt: Prompt) -> str:
        if prompt.messages[-1]["content"].startswith("4"):
            raise CallFailed("no")
        return knows_even(prompt)

    solved = await solve(Scripted(broken), QUESTIONS, correct)
    accuracy = solved.reading("accuracy")
    assert accuracy.value == pytest.approx(4 / 9) and accuracy.n == 9 and accuracy.note.startswith("1 of 10")
    assert "4" not in solved.right


async def test_what_cannot_be_measured_is_refused() -> None:
    def down(prompt: Prompt) -> str:
        raise CallFailed("down")

    with pytest.raises(SynthgainError):
        await solve(Scripted(down), QUESTIONS, correct)

    def stop(prompt: Prompt) -> str:
        raise SynthgainError("no server", code=4)

    with pytest.raises(SynthgainError) as error:
        await solve(Scripted(stop), QUESTIONS, correct)
    assert error.value.code == 4
    with pytest.raises(SynthgainError):
        await solve(Scripted(knows_even), QUESTIONS, correct, draws=3)
    with pytest.raises(SynthgainError):
        await solve(Scripted(knows_even), [], correct)
    with pytest.raises(SynthgainError):
        await solve(Scripted(knows_even), [Question("m", "?", options=("a", "b"), gold=0)], correct)


async def test_answers_that_were_cut_off_are_a_reading_and_above_five_in_a_hundred_a_note() -> None:
    model = Scripted(knows_even)

    async def rambles(prompt: Prompt) -> Call:
        call = await model(prompt)
        return replace(call, finish="length") if int(prompt.messages[-1]["content"].split()[0]) < 3 else call

    few = Sampling(temperature=0, max_tokens=30)
    solved = await solve(rambles, QUESTIONS, correct, sampling=few)
    cut = solved.reading("cut_off")
    assert (cut.value, cut.low, cut.high, cut.n) == (pytest.approx(0.3), *wilson(3, 10), 10)
    assert "3 of 10 answers were cut off at 30 tokens" in cut.note and "--max-tokens" in solved.reading("accuracy").note
    whole = await solve(model, QUESTIONS, correct)
    assert whole.reading("cut_off").value == 0 and whole.reading("accuracy").note == ""


async def test_what_was_thought_is_not_graded() -> None:
    def thinks(prompt: Prompt) -> str:
        n = int(prompt.messages[-1]["content"].split()[0])
        if n == 0:
            return "<think>Surely 0"  # never ends: no answer
        return f"<think>Perhaps {2 * n}</think>Answer: {2 * n if n < 5 else 99}"

    solved = await solve(Scripted(thinks), QUESTIONS, lambda text, gold: gold in text.split())
    assert solved.reading("accuracy").value == 0.4
    assert solved.said["0"] == [""] and solved.said["7"] == ["Answer: 99"]
