"""MGA: each document told again for five pairs of a genre and an audience that a model thought of for it.

arXiv 2502.04235. One call proposes pairs of a genre (a kind of text, with how it is built and
what tone it has) and an audience (who reads, what they know, why they read), all at once, so that they differ. The document is then reformulated
once for each pair: style, order and length are free, its core facts are not. A judge scores the fidelity of each reformulation from 1 to 5;
3 and above stay, not only the best: the setting with the highest scores behaved like repetition.

An anchor is a whole document; its field `title` is used where given. Cost: 1 + 2 × pairs calls a document (11; without the judge 6), up to
`tries` - 1 more where the pairs cannot be read, and as many for each part of a document longer than `longest`.

Where the numbers come from (of the paper a summary was read, not itself)
    pairs = 5             paper
    calibration = base    paper: strict behaves like repetition, relaxed collapses
    least score = 3       paper (the check `judge-score`; another limit costs nothing: --with judge-score=4)
    temperature = 1.0     ours: the paper's was not found
    max_tokens = 2048     ours
    judge_tokens = 256    ours
    tries = 3             ours
    longest = 6000        ours: with the answer it fits a context of 8,192
    language = auto       ours: the document's own

Rows are texts. Fields: `genre`, `audience`, `place` (the pair's number, from 0), `proposed` (how many pairs were proposed), `fidelity` (1 to 5,
null where the judge's answer cannot be read; not there without a judge), `part`, `parts`.

What the trainer must do, not this recipe: real and reformulated text together, with repetition of the real text at equal tokens as the baseline. The
paper's models have a higher loss on real text and better benchmarks, so validation loss alone misleads.

Departures
    Prompts are our own; the document stands first and the pair last. One model reformulates; the paper tunes a small one on labelled answers of a
    large one.
    The judge scores every reformulation; the paper scores those that it tunes on.
    The paper drops outputs that cover few keywords of their source; its threshold was not found, and the check is not made.
    A document longer than `longest` is reformulated in parts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_json import objects_in
from synthgain.curate.found_score import score_in
from synthgain.curate.judge_score import JudgeScore
from synthgain.curate.preamble import Preamble, strip_preamble
from synthgain.curate.truncated import Truncated
from synthgain.passages import whole_or_chunks
from synthgain.prompting import AUTO, check_language, faithfulness, headed, in_language
from synthgain.settings import at_least, chosen
from synthgain.types import Anchor, Call, Check, Models, Prompt, Recipe, Row, Sampling, drop, system, user

SYSTEM = "You are an author who tells what a document says to many kinds of readers."
PROPOSE = (
    "Propose {n} pairs of a genre and an audience for which the document above could be told again as text. Of a genre give the kind of "
    "text it is and, in "
    "two or three sentences, how such texts are built, what tone they have and by what means they work. Of an audience give in two "
    "sentences their age, background, what they know already and why they would read; among them are people whom the subject hardly interests. "
    "The pairs differ clearly from each other in both. "
    'Answer with JSON that has "pairs", a list of objects with "genre" and "audience".'
)
CALIBRATIONS = {
    "strict": (
        "Keep every statement of the document, its examples and its order as far as the genre allows; only how it is said may change."
    ),
    "base": (
        "You are free in style, order, length and in what you dwell on, and may leave out side matters. The core facts stay as they are: "
        "names, numbers, "
        "events, causes and conclusions are those of the document."
    ),
    "relaxed": "Take the document as what you start from: you may go on from it freely, as suits genre and audience.",
}
REFORMULATE = (
    "Tell what the document above says again, as a text of the genre and for the audience below. {calibration} Write the text only, as its "
    "readers would get it; they do not know of the document."
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"genre": {"type": "string"}, "audience": {"type": "string"}},
                "required": ["genre", "audience"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["pairs"],
    "additionalProperties": False,
}
Pair = tuple[str, str]  # genre and audience


def proposal(head: str, draft: MGA, draw: int) -> Prompt:
    """The prompt that asks for all pairs at once."""
    return _asked(f"{head}\n\n{PROPOSE.format(n=draft.pairs)}", draft, SCHEMA, draw)


def reformulation(head: str, pair: Pair, draft: MGA, wish: str = "") -> Prompt:
    """The prompt for one pair; `wish` is the sentence that asks for a language."""
    task = REFORMULATE.format(calibration=CALIBRATIONS[draft.calibration]) + wish
    return _asked(f"{head}\n\n{task}\n\nGenre: {pair[0]}\nAudience: {pair[1]}", draft)


def _asked(said: str, draft: MGA, schema: Mapping[str, Any] | None = None, draw: int = 0) -> Prompt:
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law, schema=schema, draw=draw)


def pairs_in(text: str) -> list[Pair]:
    """The pairs of an answer, each once: those of the last object with a list of pairs, or objects that are pairs themselves."""
    answers = list(objects_in(text))
    lists = [
        value for answer in answers for value in answer.values() if isinstance(value, list) and any(map(_pair, value))
    ]
    found = [_pair(entry) for entry in (lists[-1] if lists else answers)]
    return list(dict.fromkeys(pair for pair in found if pair))


def _pair(entry: object) -> Pair | None:
    if not isinstance(entry, dict):
        return None
    genre, audience = (_said(entry.get(name)) for name in ("genre", "audience"))
    return (genre, audience) if genre and audience else None


def _said(value: object) -> str:
    """A text, or the texts of an object ({"name": …, "description": …}), in one line."""
    texts = list(value.values()) if isinstance(value, dict) else [value]
    return " ".join(" ".join(text for text in texts if isinstance(text, str)).split())


@dataclass(frozen=True)
class MGA:
    """`pairs` of genre and audience a document, proposed at once; a reformulation for each, and a judge's score unless `judge` is false."""

    pairs: int = 5
    calibration: str = "base"
    judge: bool = True
    tries: int = 3
    longest: int = 6000
    temperature: float = 1.0
    max_tokens: int = 2048
    judge_tokens: int = 256
    language: str = AUTO

    def __post_init__(self) -> None:
        chosen((self.calibration,), CALIBRATIONS, "calibration", "mga")
        at_least(self, "mga", pairs=1, tries=1, longest=10, judge_tokens=1)
        check_language(self.language, "mga")

    @property
    def roles(self) -> tuple[str, ...]:
        return ("writer", "judge") if self.judge else ("writer",)

    @property
    def fields(self) -> tuple[str, ...]:
        return ("genre", "audience", "place", "proposed", "part", "parts", *(["fidelity"] if self.judge else []))

    @property
    def checks(self) -> tuple[Check, ...]:
        always = (NotEmpty(), Truncated(), Preamble())
        return (*always, JudgeScore(3, "fidelity")) if self.judge else always

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        parts = whole_or_chunks(anchor.text, self.longest)
        for number, part in enumerate(parts):
            head, fields = headed(part, anchor.fields), {"part": number, "parts": len(parts)}
            for draw in range(self.tries):
                asked = await models(proposal(head, self, draw))
                if found := pairs_in(asked.text):
                    break
                why = (
                    "cut off before a pair ended" if asked.finish == "length" else "no pair of a genre and an audience"
                )
                told = _told(("", ""), 0, 0, fields)
                yield Row(text=asked.text, calls=(asked,), fields=told, verdicts=(drop(why, check="parse"),))
            told_of = [_told(pair, place, len(found), fields) for place, pair in enumerate(found[: self.pairs])]
            wish = in_language(self.language, anchor.text)
            talks = (self._told_again(models, part, head, one, asked, wish) for one in told_of)
            async for row in models.side_by_side(talks):
                yield row

    async def _told_again(
        self, models: Models, part: str, head: str, fields: dict[str, Any], asked: Call, wish: str
    ) -> Row:
        """One pair's reformulation, with the judge's score; an empty one, or one that was cut off, is not judged."""
        call = await models(reformulation(head, (fields["genre"], fields["audience"]), self, wish))
        text, calls = strip_preamble(call.text), (asked, call)
        if not self.judge or not text or call.finish == "length":
            return Row(text=text, calls=calls, fields=fields)
        judged = await models(faithfulness(part, text, self.judge_tokens))
        fields = fields | {"fidelity": score_in(judged.text, 1, 5)}
        return Row(
            text=text, calls=(asked, judged, call), fields=fields
        )  # the writer's last: checks look at how it ended


def _told(pair: Pair, place: int, proposed: int, fields: dict[str, Any]) -> dict[str, Any]:
    return {"genre": pair[0], "audience": pair[1], "place": place, "proposed": proposed, **fields}


EXAMPLES = (
    Anchor(
        "Moths find the lamp moss of Harrow Fen by its warmth. The moss grows on drowned oak and is two degrees warmer than the water, because "
        "a yeast lives in its stems. Ida Kellane measured it in 1926 with a thermometer that she had bent over a candle. She thought that the moss "
        "fed on the moths; it does not: they carry the yeast from trunk to trunk.",
        "example#1",
        {"title": "Lamp moss"},
    ),
    Anchor(
        "A toll of one egg was asked on the bridge at Cotter until 1848. The eggs went to the hospital, which had to send the shells back "
        "as a receipt.",
        "example#2",
    ),
)

RECIPE = Recipe(
    name="mga",
    version="1",
    draft=MGA(),
    examples=EXAMPLES,
    source="MGA, arXiv 2502.04235",
    stage="pretraining",
    anchors="whole documents; the field title is used where given",
    calls="1 + 2 × pairs (5); without the judge 1 + pairs",
    needs=("title?",),
    sources={
        "pairs": "paper",
        "calibration": "paper",
        "judge": "paper: fidelity is scored from 1 to 5, and 3 and above is kept",
        "tries": "ours",
        "longest": "ours: with the answer it fits a context of 8,192",
        "temperature": "ours: the paper's was not found",
        "max_tokens": "ours",
        "judge_tokens": "ours",
        "language": "ours: that of the document",
    },
    departures=(
        "prompts are our own; document first, pair last",
        "one model reformulates; the paper tunes a small one",
        "the judge scores every reformulation",
        "no check of keywords: the paper's threshold was not found",
        "documents longer than `longest` are reformulated in parts",
    ),
)
