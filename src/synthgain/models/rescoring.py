"""Log-probabilities of answers under the law that they were drawn from, where the server gave another law's or none.

A server that truncates (top-k, top-p, min-p) or sharpens (T ≠ 1) often reports what its model says before that; such figures
are of another law than the text. Here a transformers folder of the same weights reads the answers again, and the writer's
sampling settings are applied to its logits.

The order of the settings is part of the law (see `laws`). A server of OpenAI has temperature and top-p only, in this order: any of the first two. Each setting renormalises before the
next. Penalties and schemas make a law that depends on more than the folder knows: they are refused.

What cannot be had back: an answer is read as its text is tokenised, which is not always how it was drawn; reasoning that a server
left out of the answer is missing; sums in another precision may put a token on the other side of a cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synthgain.models.laws import EMBEDDED, laws, shape
from synthgain.models.local import law_of
from synthgain.models.scorer import HFScorer
from synthgain.types import Call, Message, Sampling, SynthgainError, digest

IMPOSSIBLE = "the text cannot come from this law"


def refused(s: Sampling, schema: object = None) -> str:
    """Why answers of this law cannot be scored again; "" where they can."""
    if schema is not None:
        return "the answer follows a schema, whose law is not known here"
    if s.presence_penalty or s.frequency_penalty:
        return "penalties make a law of what stands before, counted differently by each server"
    return ""


@dataclass
class LawScorer:
    """ln p of given texts under a transformers folder and the sampling settings of the writer: a `Scorer`.

    An `HFScorer` (which says what a pair is, and what `ends` adds) whose tokens' law is the writer's. A token that it never draws has -inf.
    """

    path: Path
    sampling: Sampling = field(default_factory=Sampling)
    order: tuple[str, ...] = EMBEDDED
    ends: bool = False
    device: str = "cpu"
    batch_tokens: int = 2048
    _reader: HFScorer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        why = refused(self.sampling)
        if why:
            raise SynthgainError(why, where=self.law, next="measure answers that were sampled without them")
        if sorted(self.order) != sorted(EMBEDDED):
            raise SynthgainError(f"the order names each of {', '.join(EMBEDDED)} once, not {', '.join(self.order)}")
        self._reader = HFScorer(
            self.path, self.device, self.batch_tokens, self.ends, lambda logits: laws(logits, self.sampling, self.order)
        )

    @property
    def law(self) -> str:
        """The law's name, as `Call.law` has it."""
        name = law_of(self.sampling)
        return name if self.order == EMBEDDED else f"{name} (order: {', '.join(self.order)})"

    @property
    def identity(self) -> str:
        """Content of the folder, and the law."""
        s = self.sampling
        knobs = [s.temperature, s.top_k, s.top_p, s.min_p, self.order, self.ends]
        return digest(self._reader.identity, repr(knobs))

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        """ln p(token | before), nats, for each token of the second text given the first, pair by pair."""
        return self._reader.logprobs(pairs)


# ---------------------------------------------------------------------------------------------- calls


@dataclass(frozen=True)
class Rescored:
    """A call's log-probability read again. `logprob` (nats) is None with the reason in `law`; else `law` names what it is of.

    `tokens` counts the values that `logprob` sums; `as_drawn` says whether that is how many tokens were drawn.
    """

    logprob: float | None
    tokens: int
    law: str
    as_drawn: bool


def rescored(calls: Sequence[Call], scorer: LawScorer) -> list[Rescored]:
    """The log-probability of each call's answer under the law that the call itself asked for, in order.

    The scorer's law must be that of every call, else SynthgainError: a figure under another law is a wrong number. The end of an
    answer counts where it can be known: not for an answer that was cut off, and not where stop texts were given, since
    the text does not say whether one of them or the model ended it. `law` says which, and is alike for calls of one law.
    """
    for call in calls:
        if shape(call.prompt.sampling) != shape(scorer.sampling) and not refused(call.prompt.sampling):
            raise SynthgainError(
                f"sampled from {law_of(call.prompt.sampling)}, but scored under {scorer.law}",
                where=f"call {call.id[:12]}",
                next="score each answer under its own law: LawScorer(path, call.prompt.sampling)",
            )
    found: list[list[float] | str] = [_unreadable(call) for call in calls]
    _scored_again([at for at, why in enumerate(found) if not why], calls, scorer, found)
    return [
        Rescored(None, 0, values, False) if isinstance(values, str) else _summed(call, values, scorer)
        for call, values in zip(calls, found)
    ]


def by_law(calls: Sequence[Call]) -> dict[Sampling, list[int]]:
    """Places of calls by the part of their settings that shapes the law: one `LawScorer` serves each group."""
    groups: dict[Sampling, list[int]] = {}
    for at, call in enumerate(calls):
        groups.setdefault(shape(call.prompt.sampling), []).append(at)
    return groups


def _unreadable(call: Call) -> str:
    """Why the answer cannot be read again; "" where it can."""
    if "\ufffd" in call.text:
        return "the text holds a replaced character: it is not what was drawn"
    if "name" in call.prompt.messages[-1] and call.prompt.messages[-1]["role"] == "raw":
        return "the prompt begins a turn of the template, which is not written again here"
    if call.prompt.tools:
        return "tools were offered, in a form that the server chose"
    if call.message.keys() - {"role", "content"}:
        return "the answer is more than its text: reasoning or tool calls were drawn with it"
    return refused(call.prompt.sampling, call.prompt.schema)


def _scored_again(
    places: Sequence[int], calls: Sequence[Call], scorer: LawScorer, found: list[list[float] | str]
) -> None:
    """Puts values, or why the scorer refuses the call, into `found`. A refused call is looked for by halving."""
    if not places:
        return
    pairs: list[tuple[str | Sequence[Message], str]] = []
    for call in (calls[at] for at in places):
        said = call.prompt.messages
        raw = len(said) == 1 and said[0]["role"] == "raw"
        pairs.append((said[0]["content"] if raw else said, call.text))
    try:
        for at, values in zip(places, scorer.logprobs(pairs), strict=True):
            found[at] = values
    except SynthgainError as error:
        if len(places) == 1:
            found[places[0]] = error.what
            return
        for half in (places[: len(places) // 2], places[len(places) // 2 :]):
            _scored_again(half, calls, scorer, found)


def _summed(call: Call, values: list[float], scorer: LawScorer) -> Rescored:
    stops = bool(call.prompt.sampling.stop)
    if scorer.ends and (stops or call.finish != "stop"):
        values = values[:-1]
    as_drawn = len(values) == call.tokens_out
    if any(map(math.isnan, values)):
        return Rescored(None, len(values), "the folder's figures are not numbers", as_drawn)
    if -math.inf in values:
        return Rescored(None, len(values), f"{IMPOSSIBLE}: {scorer.law}", as_drawn)
    end = "without the end of the answer" if stops or not scorer.ends else "with the end of the answer"
    return Rescored(min(math.fsum(values), 0.0), len(values), f"{scorer.law}, scored again {end}", as_drawn)
