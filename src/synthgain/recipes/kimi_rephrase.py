"""Knowledge rephrasing as for Kimi K2: a document rewritten passage by passage, each with what was rewritten before it in view, and stitched.

Kimi K2's report (arXiv 2507.20534), section on pretraining data. A long document that is rewritten in one call comes out shortened;
passages that are rewritten alone lose what holds them together. So it is cut into passages, and each is rewritten after the model saw the
end of what it wrote so far; the passages are then joined. Styles and perspectives differ from one rewriting to the next. Each passage is
compared with its source before it is used.

An anchor is a document; its field `title` is used where given. Cost: styles × passages × 2 calls (rewriting and judge; a document of 1,000 tokens:
2 × 3 × 2 = 12), and 2 more for each passage that is tried again.

Where the numbers come from
    styles = exposition, questions   ours: the report's list was not published; it rephrases each corpus at most twice
    learning-note                    report: mathematics in the manner of SwallowMath's learning notes; `--set styles=learning-note`
    chunk = 400                      ours: the report's was not found
    carry = 400                      ours: tokens of the rewritten text that the next passage sees
    least = 3                        ours: the report's gate and threshold were not found
    tries = 2                        ours
    temperature = 0.7                ours
    max_tokens = 1200                ours: three times the passage
    judge_tokens = 256               ours
    language = auto                  ours: the document's own. The report translates mathematics into English: `--set language=English`

Rows are texts, a run of passages that follow each other and were all accepted, so one row a document and style where all were. Fields:
`style`, `first` and `last` (the run's passages, from 0), `chunks`, `fidelity` (1 to 5, of each passage), `retried` (tries of these passages
that fell). A passage's try that the judge rejects, that is empty or was cut off is a row of its own and falls (check `gate`); where the
last try falls too the text ends there, and the next passage begins a new row. So every passage of a document stands in one row that stays,
or falls with its reason. The gate works in the draft, because what the next passage sees must be faithful: what is invented once would go
on. A stricter limit afterwards costs nothing (--with judge-score=4), a milder one buys calls.

What the trainer must do, not this recipe: arms at equal tokens, the documents themselves, one rewriting many times, many rewritings once.

Departures
    Prompts are our own; what was written before stands first, then the passage, then the style.
    A rejected passage is tried again, `tries` times in all.
    An echo of the text before, or of the prompt's headings, at the beginning of a passage is cut off.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_score import score_in
from synthgain.curate.judge_score import JudgeScore
from synthgain.curate.judges import unread
from synthgain.curate.preamble import Preamble, strip_preamble
from synthgain.passages import chunks, last_of
from synthgain.prompting import AUTO, check_language, faithfulness, in_language, title_of
from synthgain.settings import at_least, chosen
from synthgain.types import Anchor, Call, Models, Prompt, Recipe, Row, Sampling, Verdict, drop, system, user

NO_SCORE = "the judge gave no score"
ECHO = 40  # characters, at least, that are taken for an echo and no chance
_HEADINGS = re.compile(r"^(?:\W*(?:rewritten so far(?: \(its end\))?|next passage)\W*:[*_\s]*)+", re.IGNORECASE)
SYSTEM = "You rewrite a document passage by passage. You keep every statement, add none, and write nothing but the rewritten passage."
STYLES = {
    "exposition": (
        "Rewrite this passage as clear exposition for a reader who meets the subject for the first time: say outright what is only implied "
        "by the wording, "
        "name things instead of pointing at them."
    ),
    "questions": (
        "Rewrite this passage from the perspective of somebody who looks into the matter: raise what one would want to know as it comes up, "
        "and answer it "
        "at once from the passage, in running text."
    ),
    "report": "Rewrite this passage as a sober report in short, dense sentences, the most important first.",
    "narrative": "Rewrite this passage as a continuous narrative that tells what it says in the order in which it happens or follows.",
    "learning-note": (
        "Rewrite this passage as the note of a student who works through it: what is given, what is sought or claimed, each step with its "
        "reason, how it "
        "can be checked. Formulas, numbers and results stay exactly as they are."
    ),
}
KEPT = "Every name, number, unit, date and denial of the passage stays as it is."


def rewriting(
    before: str, chunk: str, title: str, style: str, draft: KimiRephrase, wish: str = "", draw: int = 0
) -> Prompt:
    """The prompt for one passage: what was written before, the passage, the style. `wish` is the sentence that asks for a language."""
    head = f"Title: {title}\n\n" if title else ""
    written = f"Rewritten so far (its end):\n\n{before}\n\n(End of what is rewritten)\n\n" if before else ""
    goes_on = " It goes on from what is rewritten so far and repeats nothing of that." if before else ""
    said = f"{head}{written}Next passage:\n\n{chunk}\n\n(End of the passage)\n\n{STYLES[style]} {KEPT}{goes_on}{wish}"
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law, draw=draw)


def without_echo(text: str, before: str) -> str:
    """The text without the prompt's headings at its beginning, and without the end of what was written before, where it begins with that."""
    text = _HEADINGS.sub("", text)
    for start in range(len(before) - ECHO + 1):
        if text.startswith(before[start:]):
            return text[len(before) - start :].lstrip()
    return text


@dataclass
class Run:
    """Passages that follow each other and were accepted: what they were rewritten to, and at what cost."""

    first: int
    texts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    fidelity: list[float] = field(default_factory=list)
    retried: int = 0

    def row(self, about: dict[str, Any]) -> Row:
        fields = {
            **about,
            "first": self.first,
            "last": self.first + len(self.texts) - 1,
            "fidelity": self.fidelity,
            "retried": self.retried,
        }
        return Row(text="\n\n".join(self.texts), calls=tuple(self.calls), fields=fields)


@dataclass(frozen=True)
class KimiRephrase:
    """A document in passages of at most `chunk` tokens, rewritten one after the other in each style; each sees `carry` tokens of the text before."""

    styles: tuple[str, ...] = ("exposition", "questions")
    chunk: int = 400
    carry: int = 400
    least: int = 3
    tries: int = 2
    temperature: float = 0.7
    max_tokens: int = 1200
    judge_tokens: int = 256
    language: str = AUTO

    def __post_init__(self) -> None:
        chosen(self.styles, STYLES, "style", "kimi-rephrase")
        at_least(self, "kimi-rephrase", chunk=10, carry=10, least=1, tries=1, judge_tokens=1)
        check_language(self.language, "kimi-rephrase")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        parts = chunks(anchor.text, self.chunk)
        wish = in_language(self.language, anchor.text)
        title = title_of(anchor.fields)
        talks = (self._rewritten(models, parts, title, style, wish) for style in self.styles)
        async for rows in models.side_by_side(talks):
            for row in rows:
                yield row

    async def _rewritten(self, models: Models, parts: list[str], title: str, style: str, wish: str) -> list[Row]:
        """The document in one style: runs of accepted passages, and what fell, in the order of its passages."""
        about, rows, run, before = {"style": style, "chunks": len(parts)}, list[Row](), Run(0), ""
        for number, part in enumerate(parts):
            for draw in range(self.tries):
                call = await models(rewriting(before, part, title, style, self, wish, draw))
                text = without_echo(strip_preamble(call.text), before)
                calls, score, verdict = await self._compared(models, part, text, call)
                if verdict is None:
                    run.texts.append(text)
                    run.calls += calls
                    run.fidelity.append(score or 0.0)
                    before = last_of("\n\n".join([before, text]), self.carry)
                    break
                fields = {**about, "first": number, "last": number, "fidelity": [score], "retried": 0}
                rows.append(Row(text=text, calls=tuple(calls), fields=fields, verdicts=(verdict,)))
                run.retried += 1
            else:  # none of its tries was accepted: the text has a gap here
                rows += [run.row(about)] if run.texts else []
                run = Run(number + 1)
        return rows + ([run.row(about)] if run.texts else [])

    async def _compared(
        self, models: Models, part: str, text: str, call: Call
    ) -> tuple[list[Call], float | None, Verdict | None]:
        """The calls of a try, the judge's score, and why it falls (None: it does not). What is empty or cut off is not shown to the judge."""
        if call.finish == "length":
            return [call], None, drop("a passage cut off at the token limit", check="gate")
        if not any(c.isalnum() for c in text):
            return [call], None, drop("a passage without text", check="gate")
        judged = await models(faithfulness(part, text, self.judge_tokens))
        score = score_in(judged.text, 1, 5)
        if score is None:
            return [judged, call], None, drop(NO_SCORE, check="gate")
        unfaithful = drop("not faithful to its passage", score, check="gate") if score < self.least else None
        return [judged, call], score, unfaithful

    def unread(self, row: Row) -> str | None:
        """The judge's score, where it gave none."""
        return unread(row, NO_SCORE, "a score of the judge")


EXAMPLES = (
    Anchor(
        "The herring bell of Stroma hangs under water. It was sunk in 1811 by Magnus Reay, who had noticed that shoals turn away from a low "
        "note. Four "
        "ropes lead from it to the quay, and whoever pulls the second one drives the fish into the bay.\n\nThe bell was raised once, in "
        "1877, to be cleaned. "
        "For nine days no herring came, and then so many that the nets tore. Since then it is cleaned by divers, where it hangs.",
        "example#1",
        {"title": "The herring bell"},
    ),
    Anchor(
        "If a wheel of 12 teeth drives one of 30, the second turns 12 times while the first turns 30 times. Both have then passed 360 teeth.",
        "example#2",
    ),
)

RECIPE = Recipe(
    name="kimi-rephrase",
    version="1",
    draft=KimiRephrase(),
    roles=("writer", "judge"),
    checks=(NotEmpty(), Preamble(), JudgeScore(3, "fidelity")),
    fields=("style", "first", "last", "chunks", "fidelity", "retried"),
    examples=EXAMPLES,
    source="Kimi K2, arXiv 2507.20534, rephrasing of pretraining data",
    stage="pretraining",
    anchors="documents; cut into passages of up to 400 tokens; the field title is used where given",
    calls="styles (2) × passages × 2 (rewriting and judge), 2 more a passage that is tried again",
    needs=("title?",),
    sources={
        "styles": "ours: the report's list was not published; it rephrases each corpus at most twice",
        "chunk": "ours: the report's was not found",
        "carry": "ours: the report's was not found",
        "least": "ours: the report's threshold was not found",
        "tries": "ours",
        "temperature": "ours",
        "max_tokens": "ours: three times the passage",
        "judge_tokens": "ours",
        "language": "ours: that of the document; the report translates mathematics into English",
    },
    departures=(
        "prompts and styles are our own",
        "a rejected passage is tried again; where all tries fall, the text is stitched up to there and begins anew behind it",
        "the judge's scale and limit are ours",
        "an echo of the text before is cut off",
    ),
)
