"""Nemotron-CC: five ways to make more of a web page, four for good pages and one for bad ones.

NVIDIA-NeMo/Curator (1e2e427), `stages/synthetic/nemotron_cc`; the data set's paper is arXiv 2412.02595. A page of low quality is only
worded anew (`paraphrase`), which cleans it; a page of high quality becomes questions and answers behind their source (`diverse-qa`), a
shorter text (`distill`), the knowledge in it as passages of a textbook (`extract`), and a list of facts (`knowledge-list`). Every task cuts
the page in its own way and has its own bounds.

An anchor is a document. Its field `quality` (0 to 20, as the source's classifier gives) parts them: above `threshold` the four tasks, else
the paraphrase; documents without one are taken as `unscored` says. Cost: a call for each segment and task: a document of 1,000 tokens in
lines of ordinary length takes 4 to 6 (high) or 3 (low).

Where the numbers come from
    threshold = 11                     code: of 0 to 20; another classifier's scale needs another number
    unscored = high                    ours: people's own documents are seldom rubbish
    temperature = 0.5, top_p = 0.9     code
    the bounds in TASKS                code
    cut_lines = false                  code: a line that is too long is dropped
    language = auto                    ours: the document's own

What is done to a document, for each task (code): it is dropped where it has fewer tokens than the task's least; its lines are taken, a line
longer than a segment may be is dropped (with `cut_lines` it is cut at sentences); neighbouring lines are joined as long as a segment holds
them; a segment that is too short is dropped. What is dropped is a row without calls that falls (check `segments`), with the text and the
reason; what several tasks drop is one such row, of the first of them.

What is done to an answer (code): one that was cut off or is too short falls; marks of Markdown go. `paraphrase` and `distill` must begin
with the words that were asked for, which refusals do not; the words are then taken off. The paraphrases of a document's segments are joined
to one row. `extract` loses lines that only number passages, `knowledge-list` its bullets and what stands before them. Of `diverse-qa` a
number of pairs drawn from 1 to max(1, 10 × source tokens / 150) stays, in an order drawn too, behind the segment that they are about.

Rows are texts. Fields: `task`, `segment` (its number, from 0; of a joined paraphrase the first), `segments` (how many the row holds, or the
document has), `pairs` (of `diverse-qa`: how many were written; else 0), `quality`.

Departures
    Prompts are our own; the segment stands first and the task last.
    Tokens are estimated, as the recipe knows no tokenizer.
    Draws are keyed by the answer, so they do not depend on order.
    No faithfulness check and no judge, as in the source. A re-test with a writer of 1B parameters (FinePhrase's) found that of the five only
    diverse-qa helped.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_pairs import pairs
from synthgain.passages import chunks, packed, tokens
from synthgain.prompting import AUTO, check_language, in_language
from synthgain.settings import chosen
from synthgain.types import Anchor, Call, Models, Prompt, Recipe, Row, Sampling, Verdict, digest, drop, system, user

SYSTEM = "You work on texts from the web with care, and what you write holds nothing that the given text does not say."
DISTILLING = "You shorten texts for people who have to rely on them: complete in substance, exact in terms and numbers, and nothing of your own."


@dataclass(frozen=True)
class Task:
    """What is asked for, and bounds in tokens: of a document, of a segment, of a prompt, of an answer that is asked for, and of one that is kept."""

    ask: str
    document: int
    segment: int
    prompt: int
    answer: int
    least: int
    lead: str = ""  # words that an answer must begin with
    system: str = SYSTEM
    marks: str = ""


TASKS = {
    "paraphrase": Task(
        "Word the text above anew, throughout, in the clear and even language of an encyclopaedia of high quality, and leave out what "
        "belongs to the web page and not to the text. Begin your answer with "
        'the words "Reworded text:".',
        5, 5, 512, 512, 50, lead="Reworded text:",
    ),
    "diverse-qa": Task(
        "Write up to eight questions on the text above, each with its answer, of as many of these kinds as it allows: yes or no; who, what, "
        "when, where, why, how; a choice of "
        "several options, which stand in the question; comparing two things; what a part of it means; a problem to be solved with what it "
        "says. Each can be understood without the text. "
        'Begin each question with "Question:" and each answer with "Answer:", on lines of their own.',
        30, 30, 1000, 600, 100, marks='The marks "Question:" and "Answer:"',
    ),
    "distill": Task(
        "Write the text above shorter, in full sentences: all that matters stays, with its terms, values, reasons and examples; what is "
        "said twice or says nothing goes. Add nothing. Begin your "
        'answer with the words "Shortened text:".',
        30, 10, 2000, 1600, 50, lead="Shortened text:", system=DISTILLING,
    ),
    "extract": Task(
        "Take the knowledge out of the text above and write it as passages of a textbook or an encyclopaedia, one for each field of "
        "knowledge that it touches, with its facts, "
        "processes and connections. Leave out what is no knowledge: advertising, opinions of no weight, who speaks to whom.",
        30, 30, 1400, 1400, 50,
    ),
    "knowledge-list": Task(
        "List the facts in the text above, each on one line that begins with a hyphen, short and understandable by itself. Leave out what "
        "is no knowledge.",
        30, 30, 1000, 600, 50,
    ),
}  # fmt: skip
LOW, HIGH = ("paraphrase",), tuple(name for name in TASKS if name != "paraphrase")
UNSCORED = {"high": HIGH, "low": LOW, "both": tuple(TASKS)}


def asked(segment: str, task: Task, draft: NemotronCC, wish: str = "") -> Prompt:
    """The prompt for one segment; `wish` is the sentence that asks for a language."""
    law = Sampling(temperature=draft.temperature, top_p=draft.top_p, max_tokens=task.answer)
    said = f"Text:\n\n{segment}\n\n(End of the text)\n\n{task.ask}{wish}"
    return Prompt((system(task.system), user(said)), sampling=law)


# ---------------------------------------------------------------------------------------------- documents in segments


def segments(text: str, task: Task, cut_lines: bool = False) -> tuple[list[str], list[tuple[str, str]]]:
    """A document's segments for a task, and what is dropped of it, with the reason."""
    if tokens(text) < task.document:
        return [], [(text, f"a document of fewer than {task.document} tokens")]
    most = task.prompt - round(tokens(task.system + " " + task.ask)) - 2
    dropped: list[tuple[str, str]] = []
    lines: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if tokens(line) <= most:
            lines.append(line)
        elif cut_lines:
            lines += chunks(line, most)
        else:
            dropped.append((line, "a line longer than a segment may be"))
    found = packed((("\n", line) for line in lines), most)
    short = f"a segment of fewer than {task.segment} tokens"
    dropped += [(one, short) for one in found if tokens(one) < task.segment]
    return [one for one in found if tokens(one) >= task.segment], dropped


# ---------------------------------------------------------------------------------------------- answers

_EMPHASIS = re.compile(r"(\*\*|__|\*|`)(?=\S)(.+?)(?<=\S)\1")
_HEADING = re.compile(r"(?m)^[ \t]{0,3}#{1,6}[ \t]+")
_FENCE = re.compile(r"(?m)^[ \t]*```.*$\n?")
_LABEL = re.compile(r"(?i)^\W*(?:passage|section|text)\s*(?:no\.?\s*)?\d*\W*$")
_BULLET = re.compile(r"^\s*(?:[-*•–+]|\d{1,3}[.)])\s+")


def plain(text: str) -> str:
    """A text without Markdown's headings, emphasis and fences."""
    return _EMPHASIS.sub(r"\2", _HEADING.sub("", _FENCE.sub("", text))).strip()


def without_lead(text: str, lead: str) -> str | None:
    """What stands behind the words that were asked for, without quotation marks around it; None where the text does not begin with them."""
    bare = text.lstrip(" \t\n\"'*“„«")
    if bare[: len(lead)].casefold() != lead.casefold():
        return None
    return bare[len(lead) :].strip().strip("\"'“”„«»*").strip()


def without_labels(text: str) -> str:
    """Passages without the lines that only number them."""
    lines = (line.rstrip() for line in text.splitlines() if not _LABEL.match(line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def facts_of(text: str) -> str:
    """The lines of a list without their bullets, and without a first line that is none; "" where there is no list."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and not _BULLET.match(lines[0]):
        del lines[0]
    return "\n".join(_BULLET.sub("", line).strip() for line in lines) if any(map(_BULLET.match, lines)) else ""


def drawn(found: list[tuple[str, str]], source: str) -> list[tuple[str, str]]:
    """Some of the pairs, in an order of their own: at least one, at most 10 for every 150 tokens of the source. Keyed by what they say."""
    draw = random.Random(digest("nemotron-cc", source, *(part for pair in found for part in pair)))
    return draw.sample(found, len(found))[: draw.randint(1, max(1, int(10 * tokens(source) / 150)))]


@dataclass(frozen=True)
class Answer:
    """What an answer comes to: its text, how many pairs were written, and why it falls ("" where it does not)."""

    text: str
    pairs: int = 0
    fell: str = ""

    def row(self, calls: tuple[Call, ...], fields: dict[str, Any]) -> Row:
        verdicts = (drop(self.fell, check="parse"),) if self.fell else ()
        return Row(text=self.text, calls=calls, fields={**fields, "pairs": self.pairs}, verdicts=verdicts)


def read(call: Call, name: str, segment: str) -> Answer:
    """The answer of a task, as it is learnt."""
    task, text = TASKS[name], plain(call.text)
    if call.finish == "length":
        return Answer(text, fell="cut off at the token limit")
    if tokens(text) < task.least:
        return Answer(text, fell=f"fewer than {task.least} tokens")
    if task.lead:
        led = without_lead(text, task.lead)
        return (
            Answer(text, fell="does not begin as asked") if led is None else Answer(led, fell="" if led else "no text")
        )
    if name == "diverse-qa":
        found = [pair for pair in pairs(text) if all(pair)]
        if not found:
            return Answer(text, fell="no question with an answer")
        shown = "\n\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in drawn(found, segment))
        return Answer(f"{segment}\n\n{shown}", len(found))
    text = without_labels(text) if name == "extract" else facts_of(text)
    return Answer(text, fell="" if text else "no list of facts")


# ---------------------------------------------------------------------------------------------- draft


@dataclass(frozen=True)
class NemotronCC:
    """The tasks of a document's quality. `tasks` leaves some of them out."""

    tasks: tuple[str, ...] = tuple(TASKS)
    threshold: float = 11
    unscored: str = "high"
    cut_lines: bool = False
    temperature: float = 0.5
    top_p: float = 0.9
    language: str = AUTO

    def __post_init__(self) -> None:
        chosen(self.tasks, TASKS, "task", "nemotron-cc")
        chosen((self.unscored,), UNSCORED, "way to take unscored document", "nemotron-cc")
        check_language(self.language, "nemotron-cc")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        quality = _quality(anchor.fields.get("quality"))
        wanted = UNSCORED[self.unscored] if quality is None else HIGH if quality > self.threshold else LOW
        for name in wanted:
            if name in self.tasks:
                async for row in self._done(models, anchor.text, name, {"quality": quality}):
                    yield row

    async def _done(self, models: Models, text: str, name: str, about: dict[str, Any]) -> AsyncIterator[Row]:
        """The rows of one task on one document."""
        task = TASKS[name]
        parts, dropped = segments(text, task, self.cut_lines)
        fields = {"task": name, "segment": 0, "segments": len(parts), **about}
        for piece, why in dropped:
            fell: tuple[Verdict, ...] = (drop(why, check="segments"),)
            yield Row(text=piece, fields={**fields, "pairs": 0}, verdicts=fell)
        wish = in_language(self.language, text, task.marks or (f'The words "{task.lead}"' if task.lead else ""))
        joined: list[tuple[int, Call, str]] = []
        prompts = ((number, asked(part, task, self, wish)) for number, part in enumerate(parts))
        async for number, call in models.each(prompts):
            answer = read(call, name, parts[number])
            if name == "paraphrase" and not answer.fell:
                joined.append((number, call, answer.text))
            else:
                yield answer.row((call,), fields | {"segment": number})
        if joined:
            whole = Answer("\n\n".join(said for _, _, said in joined))
            yield whole.row(
                tuple(call for _, call, _ in joined), fields | {"segment": joined[0][0], "segments": len(joined)}
            )


def _quality(given: object) -> float | None:
    """A document's score, None where it has none or what it has is no number."""
    try:
        return float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


EXAMPLES = (
    Anchor(
        "The lock at Wendle has three gates and one keeper. The third gate was added in 1869, when the canal company learnt that eels had "
        "bored through the first. Its planks are larch, boiled in "
        "brine for two days.\nBoats pay by the length of their shadow at noon, which is measured with a marked pole. In winter shadows are "
        "long, and few boats come. The keeper, Tamsin Orrock, "
        "wrote in 1902 that a cloudy noon cost the company more than a week of ice.\nSince 1931 the lock has been worked by the weight of "
        "the water alone.",
        "example#1",
        {"quality": 16},
    ),
    Anchor(
        "HOME | FARES | CONTACT\nthe boats to Ennet leave at 6 and at 11 every day exept Sunday!! you buy the ticket on board from the "
        "mate, it costs 4 crowns and a bicycle goes free, best to sit on "
        "the left side because the seals are there in the morning.",
        "example#2",
        {"quality": 4},
    ),
)

RECIPE = Recipe(
    name="nemotron-cc",
    version="1",
    draft=NemotronCC(),
    checks=(NotEmpty(),),
    fields=("task", "segment", "segments", "pairs", "quality"),
    examples=EXAMPLES,
    source="Nemotron-CC, arXiv 2412.02595; code NVIDIA-NeMo/Curator",
    stage="pretraining",
    anchors="documents; the field quality (0 to 20) parts good from bad",
    calls="segments × tasks (4 of a good document, 1 of a bad one)",
    needs=("quality?",),
    sources={
        "tasks": "code: five, with their bounds",
        "threshold": "code: of 0 to 20",
        "unscored": "ours: people's own documents are seldom rubbish",
        "cut_lines": "code: a line that is too long is dropped",
        "temperature": "code",
        "top_p": "code",
        "language": "ours: that of the document",
    },
    departures=(
        "prompts are our own; segment first, task last",
        "tokens are estimated from words and bytes",
        "what is dropped before a call is a row that falls, and is counted",
        "draws are keyed by the answer",
    ),
)
