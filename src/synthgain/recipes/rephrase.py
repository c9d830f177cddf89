"""Rephrasing the web (WRAP): every passage said again in four styles.

Maini et al., arXiv 2401.16380. A frozen instruction model restates each chunk of a document: in very easy
words, in good encyclopaedic English, in terse scholarly language, and as questions and answers. A restatement
adds form, not knowledge.

An anchor is a document; the recipe cuts it into chunks of up to 300 tokens, because longer inputs lose
information. Cost: chunks × styles calls an anchor (a document of 900 words in four styles: 16).

Where the numbers come from (RECIPES' secondary card of the paper, checked there against the PDF)
    styles = easy, medium, hard, qa    paper
    chunk = 300                        paper, tokens
    temperature = 1.0                  ours: the paper's sampling was not found
    max_tokens = 600                   ours: twice the chunk
    language = auto                    ours: the document's own; the paper's is English
    judged = False                     ours: the paper asks no judge

Clean-up as in the paper: typical preambles are stripped ("Sure, here is …"), and a text in which such words remain
falls by the check `preamble` (under 0.1 % there).

What the trainer must do, not this recipe: train on real and synthetic text 1:1, the same documents on both
sides. Trained on the synthetic text alone the paper's models get worse on specialised tasks.

With `--set judged=1` the role "judge" is asked of each sentence of a restatement whether the chunk states it (one call more for each restatement of up
to twelve sentences); its words are the field `stated`, and the check `entailed` drops a restatement with a sentence that is not.

Rows are texts. Fields: `style`, `chunk` (its number in the document, from 0), `chunks`, with a judge `stated`.

Departures
    Prompts are written anew; the passage stands first and the style last, so that the four prompts of a chunk share a prefix.
    Tokens are estimated, as the recipe knows no tokenizer (`passages`). Chunks end with a
    paragraph or a sentence; only a sentence that is too long by itself is cut, between words.
    Answers cut off at the token limit fall (`truncated`), which the paper does not mention.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from synthgain.curate.empty import NotEmpty
from synthgain.curate.entailed import FIELD, Entailed, judged
from synthgain.curate.preamble import Preamble, strip_preamble
from synthgain.curate.truncated import Truncated
from synthgain.passages import chunks
from synthgain.prompting import AUTO, check_language, in_language
from synthgain.settings import at_least, chosen
from synthgain.types import Anchor, Call, Check, Models, Prompt, Recipe, Row, Sampling, system, user

SYSTEM = "You rewrite passages. You keep every fact, add none, and write nothing but the rewritten passage."
STYLES = {
    "easy": (
        "Rewrite the passage above in very easy words and short sentences, so that a small child can follow it. "
        "Keep all names and numbers."
    ),
    "medium": (
        "Rewrite the passage above in clear, well-formed English of high quality, like a good article in an encyclopaedia. "
        "Keep all names and numbers."
    ),
    "hard": (
        "Rewrite the passage above in terse and learned language with rare and exact words, such as only a scholar would use. "
        "Keep all names and numbers."
    ),
    "qa": (
        "Turn the passage above into a conversation of several questions and answers that together cover all it says. "
        'Begin each question with "Question:" and each answer with "Answer:".'
    ),
}


def restated(chunk: str, style: str, draft: Rephrase, wish: str = "") -> Prompt:
    """The prompt for one chunk in one style: the passage first, the style last; `wish` is the sentence that asks for a language."""
    task = STYLES[style].replace("English", "prose") + wish if wish else STYLES[style]
    said = f"Passage:\n\n{chunk}\n\n{task}"
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law)


@dataclass(frozen=True)
class Rephrase:
    """One call for each chunk and style. `chunk` is the most tokens of a chunk. `judged`: a judge reads each restatement."""

    styles: tuple[str, ...] = tuple(STYLES)
    chunk: int = 300
    temperature: float = 1.0
    max_tokens: int = 600
    language: str = AUTO
    judged: bool = False

    @property
    def roles(self) -> tuple[str, ...]:
        return ("writer", "judge") if self.judged else ("writer",)

    @property
    def fields(self) -> tuple[str, ...]:
        return ("style", "chunk", "chunks", *([FIELD] if self.judged else []))

    @property
    def checks(self) -> tuple[Check, ...]:
        always = (NotEmpty(), Truncated(), Preamble())
        return (*always, Entailed()) if self.judged else always

    def __post_init__(self) -> None:
        chosen(self.styles, STYLES, "style", "rephrase")
        at_least(self, "rephrase", chunk=10)
        check_language(self.language, "rephrase")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        parts = chunks(anchor.text, self.chunk)
        plain = in_language(self.language, anchor.text)
        marked = in_language(self.language, anchor.text, 'The marks "Question:" and "Answer:"')
        prompts = (
            ((style, number), restated(part, style, self, marked if style == "qa" else plain))
            for number, part in enumerate(parts)
            for style in self.styles
        )

        def row(about: tuple[str, int], *calls: Call, **more: Any) -> Row:
            style, number = about
            fields = {"style": style, "chunk": number, "chunks": len(parts), **more}
            return Row(text=strip_preamble(calls[-1].text), calls=calls, fields=fields)

        async def read(about: tuple[str, int], prompt: Prompt) -> Row:
            call = await models(prompt)
            verdicts, stated = await judged(models, parts[about[1]], strip_preamble(call.text))
            return row(about, *verdicts, call, **{FIELD: stated})

        if self.judged:
            async for done in models.side_by_side(read(about, prompt) for about, prompt in prompts):
                yield done
        else:
            async for about, call in models.each(prompts):
                yield row(about, call)


EXAMPLES = (
    Anchor(
        "The lighthouse of Perrin Skerry was lit for the first time in 1874. Its keeper, Oda Marrable, counted the "
        "ships that passed and wrote the number on the wall each night.\n\nWhen the wall was full, in 1902, she "
        "painted it white and began again with the number one.",
        "example#1",
    ),
    Anchor(
        "Vessel glass from Tarn is blue because the sand there holds cobalt. It is sold by weight, never by the piece.",
        "example#2",
    ),
)

RECIPE = Recipe(
    name="rephrase",
    version="1",
    draft=Rephrase(),
    examples=EXAMPLES,
    source="WRAP, arXiv 2401.16380",
    stage="pretraining",
    anchors="documents; cut into chunks of up to 300 tokens",
    calls="chunks × styles (4); twice that with judged",
    sources={
        "styles": "paper",
        "chunk": "paper: up to 300 tokens",
        "temperature": "ours: the paper's sampling was not found",
        "max_tokens": "ours: twice the chunk",
        "language": "ours: that of the document; the paper's is English",
        "judged": "ours: the paper asks no judge",
    },
    departures=(
        "prompts are our own; passage first, style last",
        "tokens are estimated from words and bytes",
        "answers cut off at the token limit fall",
        "the 1:1 mix with the real documents is the trainer's part",
    ),
)
