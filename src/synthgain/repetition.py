"""Repetition calculus: how often a source is read over a training horizon, what reading it again is worth, and what new text would spare it.

    epochs = tokens read of it / unique tokens

What repeats are worth is the law of Muennighoff et al. ("Scaling Data-Constrained Language Models", arXiv 2305.16264): U unique tokens
that are repeated R = epochs − 1 times do for the loss what

    D' = U + U R* (1 − exp(−R / R*)),    R* = 15.387756

tokens would do that are read once (their effective data; R* from their appendix on the derivation). It was fitted on 182 trainings of
decoders from 7 million to 9 billion parameters on C4, an English web crawl, for 1 to 500 epochs, to the loss on held-out text of the same
kind, with one source for the whole training. It lets repeats lose all worth and never do harm, which they do in the end. Nothing is said about facts
learnt by heart, mixtures, or continued pretraining: there it is a guide, and the figures say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synthgain.types import SynthgainError

R_STAR = 15.387756  # repeats after which a further one is worth 1/e of a first reading
LITTLE = 4.0  # epochs up to which the paper found negligible changes to the loss (its abstract)
LAW = {
    "formula": "D' = U + U R* (1 - exp(-(epochs - 1) / R*))",
    "r_star": R_STAR,
    "source": "Muennighoff et al., arXiv 2305.16264",
    "fitted_on": "182 trainings from scratch, 7M to 9B parameters, C4 (English web text), 1 to 500 epochs, one source",
    "not_for": "facts to be learnt by heart, continued pretraining, harm by many repeats; per source of a mixture it is an assumption",
}


def effective_tokens(unique: float, read: float) -> float:
    """How many tokens read once do for the loss what `read` tokens of `unique` different ones do."""
    if read <= unique:
        return read
    repeats = read / unique - 1
    return unique + unique * R_STAR * -math.expm1(-repeats / R_STAR)


def worth(epochs: float) -> float:
    """Effective tokens as a share of those read: 1 up to one epoch, 0.93 at four, 0.66 at sixteen."""
    return effective_tokens(1.0, epochs) / epochs if epochs > 0 else 1.0


def next_worth(epochs: float) -> float:
    """What the next token of a source is worth, against a new one, after so many epochs: the derivative of `effective_tokens`."""
    return math.exp(-max(0.0, epochs - 1) / R_STAR)


def verdict(epochs: float) -> str:
    """What reading so often costs, in a few words."""
    if epochs < 1:
        return "not all of it is read"
    if epochs <= 1 + 1e-9:
        return "read once"
    if epochs <= LITTLE:
        return "repeats cost little"
    return "repeats cost" if epochs <= 1 + R_STAR else "further repeats are worth little"


def new_tokens(unique: float, read: float, epochs: float, synthetic_epochs: float = 1.0) -> float:
    """Synthetic tokens that bring a source down to `epochs`, where they themselves are read `synthetic_epochs` times and the sum stays.

    read = epochs × unique + synthetic_epochs × synthetic. 0 where the source is not read that often.
    """
    return max(0.0, (read - epochs * unique) / synthetic_epochs)


@dataclass(frozen=True)
class Source:
    """A source: its unique tokens, and its share of the horizon. `estimated`: nobody counted, it was reckoned from words and bytes."""

    name: str
    tokens: float
    share: float
    estimated: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tokens) and self.tokens > 0):
            raise SynthgainError(
                f"unique tokens are a number above 0, not {self.tokens}",
                where=f"source {self.name}",
                next="give a source with text in it",
            )
        if not 0 < self.share <= 1:
            raise SynthgainError(
                f"a share of the horizon lies above 0 and up to 1, not {self.share}",
                where=f"source {self.name}",
                next="give a part like 0.5",
            )


@dataclass(frozen=True)
class Yield:
    """What a recipe gave in a run, for each token of what it was made from. None: not known.

    `tokens`: of kept rows. `calls`, `tokens_in`, `tokens_out`, `dollars`, `seconds`: what they took, the rows that fell included.
    """

    name: str
    tokens: float
    calls: float
    tokens_in: float
    tokens_out: float
    dollars: float | None = None
    seconds: float | None = None
    note: str = ""

    def for_tokens(self, synthetic: float, unique: float) -> dict[str, object]:
        """What so many synthetic tokens take, at the yield of the run; `passes`: how often the recipe goes over the whole source."""
        of = synthetic / self.tokens  # tokens of the source that are gone over
        taken = {
            "calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost_usd": self.dollars,
            "seconds": self.seconds,
        }
        told = {name: None if rate is None else rate * of for name, rate in taken.items()}
        return {"recipe": self.name, "passes": of / unique, **told, "note": self.note}


@dataclass(frozen=True)
class Planned:
    """A source over the horizon, and the new tokens that would bring it to the epochs that are wanted."""

    source: Source
    read: float  # tokens
    synthetic: float  # tokens
    options: tuple[Mapping[str, object], ...] = ()

    @property
    def epochs(self) -> float:
        return self.read / self.source.tokens

    @property
    def effective(self) -> float:
        return effective_tokens(self.source.tokens, self.read)

    def json(self) -> dict[str, object]:
        return {
            "name": self.source.name,
            "unique_tokens": self.source.tokens,
            "estimated": self.source.estimated,
            "share": self.source.share,
            "tokens_read": self.read,
            "epochs": self.epochs,
            "effective_tokens": self.effective,
            "worth": worth(self.epochs),
            "next_token_worth": next_worth(self.epochs),
            "verdict": verdict(self.epochs),
            "synthetic_tokens": self.synthetic,
            "options": list(self.options),
        }


def planned(
    sources: Sequence[Source],
    horizon: float,
    *,
    epochs: float = LITTLE,
    synthetic_epochs: float = 1.0,
    yields: Sequence[Yield] = (),
) -> list[Planned]:
    """Each source over `horizon` tokens. SynthgainError where shares add up to more than 1, or a number makes no sense."""
    for name, number in (("horizon", horizon), ("epochs", epochs), ("synthetic epochs", synthetic_epochs)):
        if not (math.isfinite(number) and number > 0):
            raise SynthgainError(
                f"{name} is a number above 0, not {number:g}", where="plan", next="give such a number, or leave it out"
            )
    names = [source.name for source in sources]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise SynthgainError(f"two sources are named {twice!r}", where="plan", next="name them apart: NAME=PATH")
    total = math.fsum(source.share for source in sources)
    if total > 1 + 1e-9:
        raise SynthgainError(
            f"the shares add up to {total:g}", where="plan", next="shares of the horizon add up to 1 at most"
        )
    made = []
    for source in sources:
        read = source.share * horizon
        wanted = new_tokens(source.tokens, read, epochs, synthetic_epochs)
        options = tuple(one.for_tokens(wanted, source.tokens) for one in yields) if wanted else ()
        made.append(Planned(source, read, wanted, options))
    return made
