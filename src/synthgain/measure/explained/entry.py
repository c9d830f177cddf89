"""What is said of a figure, and of a word of the paper; what several of them name."""

from __future__ import annotations

from typing import NamedTuple

PAPER = "Gan and Liu, arXiv 2410.01720"
V_INFORMATION = "Xu et al. 2020, arXiv 2002.10689 (V-information)"
CMI = "Steinke and Zakynthinou 2020; Harutyunyan et al. 2021; Wang and Mao 2023, arXiv 2302.02432"
BOOTSTRAP = "paired bootstrap over held-out documents, 95 %"
PROMPTS = "prompts resampled whole (or Student's t on prompts), 95 %"
NOT = "not measurable"
NO = "none"


class Figure(NamedTuple):
    """A reading. `kind` is its class, `not_for` what it must not be taken for, `beside` the readings to be read with it (after commas)."""

    definition: str
    estimator: str
    kind: str
    unit: str = ""
    interval: str = ""
    not_for: str = ""
    reference: str = ""
    beside: str = ""
    symbols: str = ""


class Word(NamedTuple):
    """A quantity of the paper: its other spellings (after semicolons), its definition with its place there, and the readings that measure it."""

    meaning: str
    definition: str
    estimator: str
    kind: str
    unit: str = ""
    spellings: str = ""
    not_for: str = ""
    readings: str = ""
