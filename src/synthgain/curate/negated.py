"""Claims that a text denies and its source states, or the other way round: by rule, English, and only where both say nearly the same words.

A sentence of the text is set beside the sentence of the source that shares most of its words. Where one of the two denies a word
("did not attend", "no evidence", "never married": the first word that carries meaning after the denial) that the other has plainly, with no denial
of any kind in it, the claim is turned round. A denial that is said otherwise ("failed to", "refused", "unable") is
taken for one, so it never counts as plain. What is not seen: antonyms ("rose", "fell"), and denials of what the source says in other words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from synthgain.passages import sentences

SHARED = 0.6  # share of a sentence's words that a sentence of the source must have
FEWEST = 4  # words that both must have
REACH = 4  # words after a denial among which the denied one is

_SAID = "not never no none nobody nothing nowhere neither nor without"
_DENIALS = frozenset(_SAID.split())
_SOFT = re.compile(
    r"\b(?:fail|refus|den(?:y|ie)|lack|absen|avoid|prevent|stop|hardly|barely|scarcely|rarely|seldom|few|little|reject|declin|impossib|unless|except|exclud"
    r"|un(?!i|der|til|less)\w{4,}|dis(?!cuss|c|tr|play|ea)\w{4,}|in(?:correct|accurate|valid|sufficient|adequate))\w*"
)
_LITTLE = (
    "a an the of and or to in on at by for from with as that which who whom whose this these those it its he him his she her they them their "
    "we us our you your i me my is are was were be been being am do does did done has have had having will would shall should can could may "
    "might must s t d ll ve re m n so also very just there here any some all both each more most such than then too yet ever even still now "
    "about into over after before between up out said says say"
)
EMPTY = frozenset(_LITTLE.split())  # words that carry no meaning by themselves
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")
_SPLIT = re.compile(r"\s[.!?]\s|\n|;")
_ENDINGS = re.compile(r"(?:ing|edly|ed|es|s|e|ly)$")


@dataclass(frozen=True)
class Claim:
    """A sentence: its words that carry meaning, as stems, those of them that it denies, and whether a denial of another kind is in it."""

    text: str
    words: frozenset[str]
    denied: frozenset[str]
    soft: bool

    @staticmethod
    def of(sentence: str) -> Claim:
        tokens = _tokens(sentence)
        denied = frozenset(stem for at, token in enumerate(tokens) if token in _DENIALS for stem in _next(tokens, at))
        words = frozenset(_stem(token) for token in tokens if token not in EMPTY and token not in _DENIALS)
        return Claim(sentence, words, denied, _SOFT.search(sentence.lower()) is not None)


def claims_of(text: str) -> list[Claim]:
    """The sentences of a text, without questions."""
    return [
        Claim.of(part)
        for sentence in sentences(text)
        for part in _SPLIT.split(sentence)
        if part.strip() and not part.rstrip().endswith("?")
    ]


def turned_round(said: list[Claim], source: list[Claim]) -> tuple[int, list[Claim]]:
    """How many claims of a text have a sentence of the source beside them, and those that are denied where that states them, or the other way round."""
    compared, turned = 0, []
    for claim in said:
        if near := _nearest(claim, source):
            compared += 1
            turned += [claim] if all(_against(claim, other) for other in near) else []
    return compared, turned


def _nearest(claim: Claim, source: list[Claim]) -> list[Claim]:
    """The sentences that share the most words with it, if these are enough."""
    shared = [len(claim.words & other.words) for other in source]
    most = max(shared, default=0)
    if most < FEWEST or most < SHARED * len(claim.words):
        return []
    return [other for other, n in zip(source, shared) if n == most]


def _against(claim: Claim, other: Claim) -> bool:
    if claim.denied and not other.denied:
        return bool(claim.denied & other.words) and not other.soft
    if other.denied and not claim.denied:
        return bool(other.denied & claim.words) and not claim.soft
    return False


def _tokens(sentence: str) -> list[str]:
    """Words in lower case; "didn't" and "did n't" are "did" and "not"."""
    text = sentence.lower().replace("’", "'")
    text = re.sub(r"\bcan'?t\b|\bcannot\b", "can not", text)
    text = re.sub(r"\bwon't\b", "will not", text)
    text = re.sub(r"\s?n't\b", " not", text)
    text = re.sub(r"\bnot only\b|\bno doubt\b|\bno (?:longer|more) than\b|\bno\.\s*(?=\d)", " ", text)
    return [token.split("'")[0] for token in _TOKEN.findall(text)]


def _next(tokens: list[str], at: int) -> Iterator[str]:
    """The stem of the first word with meaning after a denial, if it is near."""
    for token in tokens[at + 1 : at + 1 + REACH]:
        if token not in EMPTY and token not in _DENIALS:
            yield _stem(token)
            return


def _stem(word: str) -> str:
    bare = _ENDINGS.sub("", word) if len(word) > 4 else word
    return bare[:7]
