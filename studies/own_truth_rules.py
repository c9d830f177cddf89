"""The recipe of the study `own_truth`: answers to prompts with one rule that a program can verify, checked by that rule."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from synthgain.curate.empty import NotEmpty
from synthgain.curate.instructions import Instructions
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, Sampling, assistant, user

TASKS = (
    "Write a short note about {}.",
    "Describe {} to a child.",
    "Give a reason to like {}.",
    "Tell a very short story about {}.",
    "Explain why people need {}.",
    "Recommend {} to a friend.",
)
THINGS = (
    "rain boots",
    "a lighthouse",
    "fresh bread",
    "a garden gate",
    "night trains",
    "wool socks",
    "a village well",
    "old maps",
    "paper boats",
    "a tin whistle",
    "winter apples",
    "a market square",
    "a wooden ladder",
    "beeswax candles",
    "a stone bridge",
    "lemon tea",
    "a slow river",
    "snow shovels",
    "a school bell",
    "roof tiles",
    "a fishing net",
    "honey cakes",
    "a rope swing",
    "clay pots",
)
RULES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Write in lower case letters only.", "change_case:english_lowercase", {}),
    ("Write in capital letters only.", "change_case:english_capital", {}),
    ("Do not use any commas.", "punctuation:no_comma", {}),
    ("Use fewer than 20 words.", "length_constraints:number_words", {"relation": "less than", "num_words": 20}),
    ("Put the whole answer in double quotation marks.", "startend:quotation", {}),
    (
        "End with the exact words: That is all.",
        "startend:end_checker",
        {"end_phrase": "That is all."},
    ),
    (
        "Answer with exactly 3 bullet points, each begun by * .",
        "detectable_format:number_bullet_lists",
        {"num_bullets": 3},
    ),
    ("Begin with a title in double angular brackets, such as <<a title>>.", "detectable_format:title", {}),
)


def prompts(split: str, n: int) -> Iterator[dict[str, Any]]:
    """`n` anchors of a split ("train" or "test"), rules in turn; the two splits share no pair of task and thing."""
    pairs = [(task, thing) for task in TASKS for thing in THINGS]
    random.Random(1).shuffle(pairs)
    half = len(pairs) // 2
    of_split = pairs[:half] if split == "train" else pairs[half:]
    for place in range(n):
        task, thing = of_split[place % half]
        said, kind, arguments = RULES[(place + place // half) % len(RULES)]
        yield {
            "id": f"{split}-{place}",
            "text": f"{task.format(thing)} {said}",
            "instruction_id_list": [kind],
            "kwargs": [arguments],
        }


@dataclass(frozen=True)
class Obey:
    """`k` answers to each prompt, nothing before it."""

    k: int = 1
    temperature: float = 0.7
    max_tokens: int = 80

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        law = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
        asked = (Prompt((user(anchor.text),), sampling=law, draw=draw) for draw in range(self.k))
        async for call in models.each(asked):
            yield Row(
                messages=(user(anchor.text), assistant(call.text)), fields={"id": str(anchor.fields.get("id", ""))}
            ).stamped(calls=(call,))


RECIPE = Recipe(
    name="obey",
    version="1",
    draft=Obey(),
    checks=(NotEmpty(), Instructions()),
    examples=(
        Anchor(
            "Name a bird. Do not use any commas.",
            "example#1",
            {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
        ),
    ),
    source="ours",
    stage="a study",
    anchors="prompts with IFEval's fields",
    calls="k (1)",
)
