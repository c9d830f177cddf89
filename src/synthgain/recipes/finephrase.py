"""FinePhrase: a document as a table, a mathematics problem, a list of questions, a tutorial.

arXiv 2604.13977; code huggingface/datatrove (a649de7), `examples/inference/finephrase.py`. Four structured formats, chosen by a study of
many: one call a document and format. Each format teaches something else (the source: tables help on ARC, problems on GSM8K, tutorials on
DROP), and all lose on HellaSwag and PIQA; mixing formats averages and does not add up.

An anchor is a document. Cost: formats calls a document (4), as many for each part of a document longer than `longest`.

Where the numbers come from
    formats = all four        code
    max_tokens = 2048         code
    longest = 6144            code: a context of 8,192 less the answer
    temperature = 1.0, top_p = 0.95, top_k = 64   code of the study; the recipe's own code takes what the model's configuration says
    language = auto           ours: the document's own

Rows are texts. Fields: `format`, `part`, `parts`. An answer that is not in its format falls (check `parse`): no table, no question behind the table,
no problem with a worked solution, no question with an answer, no numbered steps. Answers that were cut off fall too. The source keeps everything.
A solution that is wrong stays, as in the source: no rule here works it out, so the rows are for pretraining and not for supervised training.

What the trainer must do, not this recipe: mix with real text, as much of it as of one format (synthetic text alone loses); score by
category and not the mean alone; count the commonest openings: a writer whose texts begin alike teaches less than one with more mistakes.

Departures
    Prompts are our own; the document stands first and the format last.
    The source cuts a document that is too long at a line; here it is used in parts, and nothing is left out.
    Answers that are not in their format fall.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_pairs import pairs
from synthgain.curate.preamble import strip_preamble
from synthgain.curate.truncated import Truncated
from synthgain.passages import whole_or_chunks
from synthgain.prompting import AUTO, check_language, in_language
from synthgain.settings import at_least, chosen
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, Sampling, drop, user

FORMATS = {
    "table": (
        "Put the key information of the document above into one Markdown table with a heading row. Below the table write one question that "
        "takes some thought and that "
        'the table answers, and its answer. Begin the question with "Question:" and the answer with "Answer:".'
    ),
    "math": (
        "Draw one word problem in mathematics from the document above: it takes several steps, and all that is needed stands in the "
        "problem. Then solve it step by step. Begin "
        'the problem with "Problem:" and the solution with "Solution:", and write nothing else.'
    ),
    "faq": (
        "Turn the document above into a list of questions and answers, from what a beginner would ask to what an expert would. Each can be "
        "understood without the document "
        'and without the others. Begin each question with "Question:" and each answer with "Answer:".'
    ),
    "tutorial": (
        "Turn the document above into a tutorial: numbered steps that lead a learner through all essential information in it, each with its "
        "explanation."
    ),
}
MARKS = {
    "table": 'The marks "Question:" and "Answer:"',
    "math": 'The marks "Problem:" and "Solution:"',
    "faq": 'The marks "Question:" and "Answer:"',
    "tutorial": "",
}
_STEP = re.compile(r"^[\s>#*_\-]*(?:\w+\s+)?\d{1,3}[*_]*\s*[.):\-–]")
_SOLUTION = re.compile(r"(?im)^[\s>#*_\-]*solution\b[*_ \t]*(?:[:.]|$)[*_]*")


def asked(part: str, format: str, draft: FinePhrase, wish: str = "") -> Prompt:
    """The prompt for one format; `wish` is the sentence that asks for a language."""
    law = Sampling(temperature=draft.temperature, top_p=draft.top_p, top_k=draft.top_k, max_tokens=draft.max_tokens)
    return Prompt((user(f"Document:\n\n{part}\n\n(End of the document)\n\n{FORMATS[format]}{wish}"),), sampling=law)


# ---------------------------------------------------------------------------------------------- what an answer must have


def amiss(text: str, format: str) -> str:
    """What an answer lacks of its format, as a reason to count by; "" where nothing."""
    return _AMISS[format](text)


def _table(text: str) -> str:
    lines = text.splitlines()
    rule = next((i for i, line in enumerate(lines) if i and "|" in lines[i - 1] and _is_rule(line)), len(lines))
    if "|" not in "".join(lines[rule + 1 : rule + 2]):
        return "no table"
    behind = "\n".join(line for line in lines[rule + 1 :] if not line.lstrip().startswith("|"))
    return _questions(behind, "no question with an answer behind the table")


def _is_rule(line: str) -> bool:
    """Whether this is the line between a Markdown table's heading row and its other rows."""
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    return "|" in line and all(cell.strip(":") and not cell.strip(":").strip("-") for cell in cells)


def _questions(text: str, why: str = "no question with an answer") -> str:
    return "" if any(question and answer for question, answer in pairs(text)) else why


def _problem(text: str) -> str:
    mark = _SOLUTION.search(text)
    problem, solution = (text[: mark.start()], text[mark.end() :]) if mark else (text, "")
    if not any(map(str.isalpha, problem)) or not solution.strip():
        return "no problem with a solution"
    return "" if any(map(str.isdigit, solution)) else "a solution without a number"


def _steps(text: str) -> str:
    return "" if sum(bool(_STEP.match(line)) for line in text.splitlines()) > 1 else "no numbered steps"


_AMISS = {"table": _table, "math": _problem, "faq": _questions, "tutorial": _steps}


@dataclass(frozen=True)
class FinePhrase:
    """One call for each of `formats`."""

    formats: tuple[str, ...] = tuple(FORMATS)
    longest: int = 6144
    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 64
    max_tokens: int = 2048
    language: str = AUTO

    def __post_init__(self) -> None:
        chosen(self.formats, FORMATS, "format", "finephrase")
        at_least(self, "finephrase", longest=10)
        check_language(self.language, "finephrase")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        parts = whole_or_chunks(anchor.text, self.longest)
        wishes = {format: in_language(self.language, anchor.text, MARKS[format]) for format in self.formats}
        prompts = (
            ((number, format), asked(part, format, self, wishes[format]))
            for number, part in enumerate(parts)
            for format in self.formats
        )
        async for (number, format), call in models.each(prompts):
            text = strip_preamble(call.text)
            why = amiss(text, format) if text and call.finish != "length" else ""  # those fall by their own checks
            fields = {"format": format, "part": number, "parts": len(parts)}
            yield Row(text=text, calls=(call,), fields=fields, verdicts=(drop(why, check="parse"),) if why else ())


EXAMPLES = (
    Anchor(
        "The snow ferry between Aune and Tilla runs on runners from December to March and on wheels in summer. It carries 14 people; each "
        "pays 3 kroner, "
        "and a dog pays 1. The crossing takes 40 minutes on snow and 65 on wheels. It was built in 1908 by the brothers Stroem, who argued about the "
        "brakes so long that it has two.",
        "example#1",
    ),
    Anchor(
        "To graft a pear on a hawthorn, cut both in February on a dry day. Bind the cut with wool and seal it with wax. Leave two buds, and "
        "wait for 3 years.",
        "example#2",
    ),
)

RECIPE = Recipe(
    name="finephrase",
    version="1",
    draft=FinePhrase(),
    checks=(NotEmpty(), Truncated()),
    fields=("format", "part", "parts"),
    examples=EXAMPLES,
    source="FinePhrase, arXiv 2604.13977; code huggingface/datatrove",
    stage="pretraining",
    anchors="documents",
    calls="formats (4)",
    sources={
        "formats": "code",
        "longest": "code: a context of 8,192 less the answer",
        "temperature": "code of the study",
        "top_p": "code of the study",
        "top_k": "code of the study",
        "max_tokens": "code",
        "language": "ours: that of the document",
    },
    departures=(
        "prompts are our own; document first, format last",
        "documents longer than `longest` are used in parts; the source cuts them off",
        "answers that are not in their format fall; the source keeps everything",
        "the mix with real text is the trainer's part",
    ),
)
