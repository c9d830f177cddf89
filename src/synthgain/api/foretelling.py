"""What calls will take that nobody bought yet, by the lengths of their prompts and by what answered ones took.

Answers to prompts of one document are alike, so documents are counted and not calls; and nobody knows whether a longer prompt gets a longer
answer before both were seen, so the range holds what each law says that may be (`foretold`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

FRAME = 32  # tokens that a template puts around a prompt, at most as a rule
STUDENT = (12.7, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # 95 % by degrees of freedom; the last for more
WIDE, CLOSE = 2.0, 1.25  # how far off one document alone is taken to be, either way: of answers, and of prompts' tokens
LEAST, CLOSELY = (
    0.5,
    0.05,
)  # how far documents are taken to differ at least (a share): of answers, and of prompts' tokens
FAR = 1.5  # times longer or shorter on the mean than what was shown: other documents than those
SPREAD = 1.2  # the longest of the shown prompts over the shortest, from which on they tell what length does
Law = Callable[["Size"], float]


@dataclass(frozen=True)
class Span:
    """A figure and between what it may lie: `low` is `high` where it was counted. None: it cannot be told."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def json(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}

    def __add__(self, other: Span) -> Span:
        return Span(*(None if None in (a, b) else a + b for a, b in zip(self._three(), other._three())))  # type: ignore[operator]

    def times(self, other: Span) -> Span:
        """Both uncertain at once."""
        return Span(*(None if a is None or b is None else a * b for a, b in zip(self._three(), other._three())))

    def _three(self) -> tuple[float | None, float | None, float | None]:
        return self.value, self.low, self.high


NOTHING = Span(0.0, 0.0, 0.0)


def fixed(value: float) -> Span:
    """A figure that is what it is."""
    return Span(value, value, value)


@dataclass(frozen=True)
class Size:
    """Of a prompt: its bytes, those that stand in its anchors, and the tokens that its answer may take."""

    whole: int
    own: int
    most: int


@dataclass(frozen=True)
class Took:
    """What one answered call took, and of which document it was."""

    document: tuple[str, ...]
    size: Size
    tokens_in: int
    tokens_out: int
    cost: float | None
    seconds: float


def answers_take(
    due: Sequence[Size], seen: Sequence[Took], figure: Callable[[Took], float], most: bool = False
) -> Span:
    """A figure of answers (tokens, seconds, money), summed over the calls that are due; `most`: no answer is longer than it may be."""
    figures = [figure(took) for took in seen]
    mean, whole, own = fmean(figures), fmean(t.size.whole for t in seen), fmean(t.size.own for t in seen)
    level: Law = lambda size: mean  # noqa: E731
    longer: Law = lambda size: mean * size.whole / whole  # noqa: E731
    told: Law = lambda size: mean * size.own / own if own else longer(size)  # noqa: E731
    laws = [longer, level, told]
    if told_of_lengths(due, seen):
        laws.insert(0, lambda size: (longer(size) + told(size)) / 2)
    elif max(figures) == min(figures):
        laws.insert(0, level)
    elif within(due, seen):
        laws.insert(0, _fitted(seen, figures))
    bounded = [_bounded(law) for law in laws] if most else laws
    return foretold(due, seen, figures, bounded, (WIDE, LEAST))


def prompts_take(due: Sequence[Size], seen: Sequence[Took]) -> Span:
    """Tokens of the prompts that are due: by their bytes, with a template's own tokens or without."""
    figures = [float(took.tokens_in) for took in seen]
    mean, whole = fmean(figures), fmean(took.size.whole for took in seen)
    frame = min(FRAME, min(figures) / 2)
    laws: list[Law] = [
        lambda size: mean * size.whole / whole,
        lambda size: frame + (mean - frame) * size.whole / whole,
    ]
    return foretold(due, seen, figures, laws, (CLOSE, CLOSELY))


def foretold(
    due: Sequence[Size], seen: Sequence[Took], figures: Sequence[float], laws: Sequence[Law], off: tuple[float, float]
) -> Span:
    """What the first law says of all that is due. The range is what any of them says, by as much more or less as documents differ from
    each other: a t interval over them. `off` is by which factor one document alone may be off, or documents of other lengths, and by which
    share documents differ at least."""
    if not due:
        return NOTHING
    alone, least = off
    said = [sum(map(law, due)) for law in laws]
    less, more = _apart(seen, figures, laws[0], alone)
    if told_of_lengths(due, seen):
        less, more = min(less, 1 / alone), max(more, alone)
    least /= sqrt(len({took.document for took in seen}))
    less, more = min(less, 1 - least), max(more, 1 + least)
    return Span(said[0], min(said) * less, max(said) * more)


def _apart(seen: Sequence[Took], figures: Sequence[float], law: Law, alone: float) -> tuple[float, float]:
    """How far off a law may be, as factors, by how far off it is of each document."""
    really, said = defaultdict[tuple[str, ...], float](float), defaultdict[tuple[str, ...], float](float)
    for took, figure in zip(seen, figures):
        really[took.document] += figure
        said[took.document] += law(took.size)
    off = [really[one] / said[one] if said[one] else 1.0 for one in really]
    if len(off) == 1:
        return 1 / alone, alone
    error = STUDENT[min(len(off) - 1, len(STUDENT)) - 1] * stdev(off) / sqrt(len(off))
    return max(1 - error, min(off) / alone), min(1 + error, max(off) * alone)


def within(due: Sequence[Size], seen: Sequence[Took]) -> bool:
    """Whether answered prompts differ in length, and those that are due are on the mean as long as some of them."""
    lengths = [took.size.whole for took in seen]
    mean = fmean(size.whole for size in due) if due else 0.0
    return max(lengths) >= SPREAD * min(lengths) and min(lengths) <= mean <= max(lengths)


def _fitted(seen: Sequence[Took], figures: Sequence[float]) -> Law:
    """Least squares by length; a longer prompt gets no shorter answer, and none that is longer by more than in proportion."""
    mean, whole = fmean(figures), fmean(took.size.whole for took in seen)
    spread = sum((took.size.whole - whole) ** 2 for took in seen)
    slope = sum((took.size.whole - whole) * (y - mean) for took, y in zip(seen, figures)) / spread
    slope = min(max(slope, 0.0), mean / whole)
    return lambda size: mean + slope * (size.whole - whole)


def _bounded(law: Law) -> Law:
    return lambda size: min(size.most, law(size))


def told_of_lengths(due: Sequence[Size], seen: Sequence[Took]) -> str:
    """In words, where what was shown is much shorter or longer than what is due; "" where it is not."""
    if not due or not seen:
        return ""
    shown, all = fmean(took.size.whole for took in seen), fmean(size.whole for size in due)
    if 1 / FAR < all / shown < FAR:
        return ""
    return (
        f"the prompts that were answered have {shown:,.0f} bytes on the mean and the others {all:,.0f}, so the range is wide: "
        "look at more groups (--limit N)"
    )
