"""What every figure is, and what became of every quantity that the paper names.

What is said stands in `explained/`: the readings of the meter by what they are of, and the words of Gan and Liu (arXiv 2410.01720) with what can be measured
of each. docs/theory.md says the same at length; the counter-examples that it rests on are tests/theory/.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from synthgain.meanings import MEANINGS, known, meaning
from synthgain.measure.explained import gains, rows, students
from synthgain.measure.explained.entry import NOT, PAPER, Figure, Word
from synthgain.measure.explained.paper import WORDS
from synthgain.types import SynthgainError


@dataclass(frozen=True)
class Explanation:
    """One figure, or one quantity of the paper. `kind` is a reading's class, or says that a quantity is not measurable.

    `readings` are the figures that measure it, or that have to be read beside it.
    """

    name: str
    symbols: tuple[str, ...]
    meaning: str
    definition: str
    estimator: str
    unit: str
    kind: str
    interval: str
    not_for: str
    reference: str
    readings: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """One JSON object; `kind` is called "class" and `not_for` "must_not_be_taken_for" there."""
        names = ("name", "symbols", "meaning", "definition", "estimator", "unit", "interval", "reference", "readings")
        told = {n: list(v) if isinstance(v := getattr(self, n), tuple) else v for n in names}
        return told | {"class": self.kind, "must_not_be_taken_for": self.not_for}

    def __str__(self) -> str:
        symbols = f" ({', '.join(self.symbols)})" if self.symbols else ""
        lines = (
            ("definition", self.definition),
            ("estimator", self.estimator),
            ("unit", self.unit),
            ("class", self.kind),
            ("interval", self.interval),
            ("not to be taken for", self.not_for),
            ("read with", ", ".join(self.readings)),
            ("reference", self.reference),
        )
        return "\n".join(
            [f"{self.name}{symbols}", self.meaning, *(f"  {name}: {said}" for name, said in lines if said)]
        )


# ---------------------------------------------------------------------------------------------- the tables, built


def _figure(name: str, said: Figure) -> Explanation:
    return Explanation(
        name,
        (said.symbols,) if said.symbols else (),
        MEANINGS[name],
        said.definition,
        said.estimator,
        said.unit,
        said.kind,
        said.interval,
        said.not_for,
        said.reference,
        _split(said.beside, ", "),
    )


def _word(name: str, said: Word) -> Explanation:
    interval = "" if said.kind == NOT else "that of its readings"
    return Explanation(
        name,
        (name,),
        said.meaning,
        said.definition,
        said.estimator,
        said.unit,
        said.kind,
        interval,
        said.not_for,
        PAPER,
        _split(said.readings, ", "),
    )


def _split(text: str, by: str) -> tuple[str, ...]:
    return tuple(text.split(by)) if text else ()


_FIGURES = gains.FIGURES | rows.FIGURES | students.FIGURES
_READINGS = {name: _figure(name, _FIGURES[name]) for name in MEANINGS if name in _FIGURES}
_PAPER = {name: _word(name, said) for name, said in WORDS.items()}
_BESIDE = ("vendi_anchors", "dup_rate_anchors", "distinct_1_anchors", "distinct_2_anchors")
GREEK = {
    letter: word
    for word in ("alpha", "delta", "epsilon", "eta", "lambda", "phi", "pi", "sigma", "theta")
    for letter in (unicodedata.lookup(f"GREEK SMALL LETTER {word.replace('lambda', 'lamda').upper()}"),)
}


def names() -> tuple[str, ...]:
    """Every name that `explain` knows as it is written: the readings first, then the paper's words."""
    return (*_READINGS, *_BESIDE, *_PAPER)


def explain(name: str) -> Explanation:
    """What a reading is (`proxy_gain`, `vendi_anchors`, `curation_nats/final_answer`), or a quantity of the paper (ΔI, "delta I", "H(e_M)", "bound").

    Upper and lower case, Greek or Latin letters, underscores and brackets make no difference where they need not.
    SynthgainError with the nearest names where the name is not known.
    """
    asked = name.strip()
    found = _exactly(asked) or _PAPER.get(asked) or _exactly_in_any_case(asked)
    found = found or _PAPER.get(_SPELT.get(plain(asked), "")) or _READINGS.get(_TYPED.get(plain(asked), ""))
    if found is None:
        raise SynthgainError(f"no figure is called {name!r}", next=_next(asked))
    return found


def _exactly(name: str) -> Explanation | None:
    entry = known(name)
    if entry is None or entry not in _READINGS:
        return None
    one = _READINGS[entry]
    return one if name == entry else replace(one, name=name, meaning=meaning(name) or one.meaning)


def _exactly_in_any_case(name: str) -> Explanation | None:
    return next((one for key, one in _READINGS.items() if key.casefold() == name.casefold()), None)


def plain(name: str) -> str:
    """A name without case, Greek letters, spaces, underscores, brackets, backslashes and commas."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[^a-z0-9]", "", "".join(GREEK.get(letter, letter) for letter in text))


def _next(asked: str) -> str:
    typed = {plain(spelt): name for spelt, name in (*_SPELT_NAMES.items(), *zip(_READINGS, _READINGS))}
    near = difflib.get_close_matches(plain(asked)[:80], typed, n=3, cutoff=0.55)
    if not near:
        return f"figures: {', '.join(_READINGS)}; of the paper: {', '.join(_PAPER)}"
    *most, last = dict.fromkeys(typed[key] for key in near)
    return f"did you mean {', '.join(most)} or {last}?" if most else f"did you mean {last}?"


_SPELT_NAMES = {other: name for name, said in WORDS.items() for other in (name, *_split(said.spellings, "; "))}
_SPELT = {plain(other): name for other, name in _SPELT_NAMES.items()}
_TYPED = {plain(name): name for name in _READINGS}
