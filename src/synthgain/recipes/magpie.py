"""Magpie: an aligned model that is given nothing but the opening of a user's turn writes the instruction itself.

Xu et al., arXiv 2406.08464; code magpie-align/magpie. The model goes on with the text that its own chat template writes before a user's words, so
that what comes is drawn from what it was aligned on. The instruction is then put to it as a chat, and answered greedily. A judge says how hard, how good and of
what kind the instruction is.

An anchor is a system message ("You are a helpful assistant.", or one that names a domain); it stands in the opening where the template has a place for
one. From one anchor come `k` instructions.

The opening is what the model's own template writes (`template=model`): of `local/…` and `hf/…`, and of servers that tell it (llama.cpp's, vLLM). Of other
servers with /completions `template` names the family, or `opening` writes it out, with {system} for the anchor; it must be the model's own, for another family's
does not call forth instructions. A server that does not go on with text, or does not tell its template, says so before anything is bought.

Cost: 3 k calls an anchor: instruction, answer, tags (`tags=false`: 2 k).

Where the numbers come from
    temperature = 1.0, top_p = 1, stop at a line break; the answer greedy     code
    instruction not ending in a colon, quality good or excellent              code (the filter notebook)
    k = 100, tokens = 256, max_tokens = 1024                                  ours

Rows are chats of two turns. Fields: `instruction`, `difficulty` and `quality` (1 to 5, null where the judge did not say), `category`.
Checks: `judge-score` (quality of 4 or more), `near-duplicate` of the question.

Departures
    Near duplicates are found by shared words, not by the distance of sentence vectors.
    One call of the judge gives the three tags; the source has one model call each, and two more for safety and a reward.
    No reward is bought, and the longest answers are not chosen: in the source that choice of 300,000 drives its result, so compare at equal length.
    Only the first line is the instruction, as in the source: instructions of several lines are cut to one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_json import objects_in
from synthgain.curate.judge_score import JudgeScore
from synthgain.curate.near_duplicate import NearDuplicate
from synthgain.curate.template_marks import TemplateMarks
from synthgain.curate.truncated import Truncated
from synthgain.types import (
    Anchor,
    AnyCheck,
    Call,
    Message,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    assistant,
    drop,
    system,
    user,
)

MODEL = "model"  # its own template writes the opening
OPENINGS = {  # what each family's template writes before a user's words; the token that begins a text is the runtime's
    "chatml": "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n",
    "llama-3": "<|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
    "gemma": "<start_of_turn>user\n",
    "phi-3": "<|system|>\n{system}<|end|>\n<|user|>\n",
    "zephyr": "<|system|>\n{system}</s>\n<|user|>\n",
}
QUALITIES = {"very poor": 1, "poor": 2, "average": 3, "good": 4, "excellent": 5}
DIFFICULTIES = {"very easy": 1, "easy": 2, "medium": 3, "hard": 4, "very hard": 5}
CATEGORIES = (
    *("information", "reasoning", "planning", "editing", "coding", "mathematics", "data analysis"),
    *("creative writing", "advice", "role play", "brainstorming", "other"),
)
TAGS = (
    "Below is what a user asked an assistant. Judge the question, do not answer it.\n\n"
    '"quality": how clear, specific and well put it is; "difficulty": how much knowledge and work an answer takes; '
    '"category": what kind of task it is. Answer with JSON that has these three.\n\nQuestion:\n'
)
SCHEMA = {
    "type": "object",
    "properties": {
        "quality": {"enum": list(QUALITIES)},
        "difficulty": {"enum": list(DIFFICULTIES)},
        "category": {"enum": list(CATEGORIES)},
    },
    "required": ["quality", "difficulty", "category"],
    "additionalProperties": False,
}
_TURN = re.compile(r"<\|?/?(?:im_|start_|end_|eot|system|user|assistant|s>)|\[/?INST")


@dataclass(frozen=True)
class Magpie:
    """`k` instructions under each system message, their answers, and with `tags` what a judge says of them."""

    k: int = 100
    template: str = MODEL
    opening: str = ""
    temperature: float = 1.0
    tokens: int = 256
    max_tokens: int = 1024
    tags: bool = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SynthgainError(f"k is 1 or more, not {self.k}", where="magpie")
        if not self.opening and self.template not in (MODEL, *OPENINGS):
            raise SynthgainError(
                f"the opening of a user's turn is not known of {self.template!r}",
                where="magpie",
                next=f"the templates are: {MODEL} (its own), {', '.join(OPENINGS)}; or write it out: --set opening=…",
            )

    def opened(self, anchor: Anchor, draw: int) -> Prompt:
        """The text before a user's words, and nothing else."""
        law = Sampling(temperature=self.temperature, max_tokens=self.tokens, stop=("\n",))
        if not self.opening and self.template == MODEL:
            turns = (system(anchor.text.strip()), Message(role="raw", name="user", content=""))
            return Prompt(turns, sampling=law, draw=draw)
        text = (self.opening or OPENINGS[self.template]).replace("{system}", anchor.text.strip())
        return Prompt((Message(role="raw", content=text),), sampling=law, draw=draw)

    @property
    def roles(self) -> tuple[str, ...]:
        return ("writer", "judge") if self.tags else ("writer",)

    @property
    def checks(self) -> tuple[AnyCheck, ...]:
        good = (JudgeScore(4, "quality"),) if self.tags else ()
        return (NotEmpty(), Truncated(), TemplateMarks(), *good, NearDuplicate(column="prompt"))

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for row in models.side_by_side(self._one(models, anchor, draw) for draw in range(self.k)):
            yield row

    async def _one(self, models: Models, anchor: Anchor, draw: int) -> Row:
        call = await models(self.opened(anchor, draw))
        said = call.text.strip()
        fields: dict[str, str | int | None] = {"instruction": said, "quality": None, "difficulty": None, "category": ""}
        if why := unfit(call, said):
            return Row(messages=(user(said),), calls=(call,), fields=fields, verdicts=(drop(why, check="parse"),))
        calls = [call]
        if self.tags:
            tagged = await models(tags_prompt(said))
            fields |= tags_in(tagged.text)
            calls.append(tagged)
        law = Sampling(temperature=0.0, max_tokens=self.max_tokens)
        answer = await models(Prompt((user(said),), sampling=law))
        turns = (user(said), assistant(answer.text.strip(), answer.message.get("reasoning", "")))
        return Row(messages=turns, calls=(*calls, answer), fields=fields)


def unfit(call: Call, said: str) -> str:
    """Why what was written in a user's place is no instruction; "" where it is one."""
    if not any(c.isalnum() for c in said):
        return "no instruction"
    if call.finish == "length":
        return "the instruction was cut off"
    if _TURN.search(said):
        return "marks of a template in it"
    return "ends in a colon" if said.endswith(":") else ""


def tags_prompt(instruction: str) -> Prompt:
    """The judge's question: the task first, the instruction last."""
    law = Sampling(temperature=0.0, max_tokens=128)
    return Prompt((user(TAGS + instruction),), to="judge", sampling=law, schema=SCHEMA)


def tags_in(text: str) -> dict[str, str | int | None]:
    """The tags of an answer; what is not said, or is no tag, is None (the category "")."""
    told = next((found for found in objects_in(text) if "quality" in found), {})
    words = {name: str(told.get(name, "")).strip().lower() for name in ("quality", "difficulty", "category")}
    return {
        "quality": QUALITIES.get(words["quality"]),
        "difficulty": DIFFICULTIES.get(words["difficulty"]),
        "category": words["category"] if words["category"] in CATEGORIES else "",
    }


EXAMPLES = (
    Anchor("You are a helpful assistant.", "example#1"),
    Anchor("You help people who keep bees.", "example#2"),
)

RECIPE = Recipe(
    name="magpie",
    version="2",
    draft=Magpie(),
    fields=("instruction", "quality", "difficulty", "category"),
    examples=EXAMPLES,
    source="Magpie, arXiv 2406.08464; code magpie-align/magpie",
    stage="post-training (supervised)",
    anchors="system messages",
    calls="3 k (300)",
    sources={
        "k": "ours: the source draws millions from one opening",
        "template": f"code: the model's own; written out here: {', '.join(OPENINGS)}",
        "opening": "ours: any other template, written out",
        "temperature": "code",
        "tokens": "ours",
        "max_tokens": "ours",
        "tags": "code: difficulty, quality, category",
    },
    departures=(
        "near duplicates by shared words, not by sentence vectors",
        "one judge's call for three tags; no safety model, no reward model",
        "the longest answers are not chosen",
    ),
)
