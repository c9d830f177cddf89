"""What the licences of a run's models ask of the data: said before it is made, and on its card."""

from __future__ import annotations

from collections.abc import Iterable

from synthgain.measure.terms import what_follows
from synthgain.models.licences import licensed

_said: set[tuple[str, str]] = set()


def licence_of(uri: str) -> str | None:
    """The licence that a model's weights name; None where it is not known here."""
    found = licensed(uri)
    return None if found is None else found.licence


def terms_by_uri(uris: Iterable[str]) -> dict[str, str]:
    """By URI what a model's terms ask of what it writes; models of which nothing is known to follow are left out."""
    found = {uri: licensed(uri) for uri in dict.fromkeys(uris)}
    terms = {uri: what_follows(one.licence, *one.names) for uri, one in found.items() if one is not None}
    return {uri: said for uri, said in terms.items() if said}


def news(uris: Iterable[str]) -> list[str]:
    """The same in lines, each once in a process."""
    fresh = [(uri, said) for uri, said in terms_by_uri(uris).items() if (uri, said) not in _said]
    _said.update(fresh)
    return [f"{uri}: {said}" for uri, said in fresh]
