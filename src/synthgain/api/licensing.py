"""What the licences of a run's models ask of the data: said before it is made, and on its card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synthgain.measure.terms import what_follows
from synthgain.models.licences import Licensed, licensed

NOTHING: Mapping[str, str | None] = {}
_said: set[tuple[str, str]] = set()


def licence_of(uri: str) -> str | None:
    """The licence that a model's weights name; None where it is not known here."""
    found = licensed(uri)
    return None if found is None else found.licence


def terms_by_uri(uris: Iterable[str], licences: Mapping[str, str | None] = NOTHING) -> dict[str, str]:
    """By URI what a model's terms ask of what it writes; models of which nothing is known to follow are left out.

    `licences` are those that a recording says, of models whose weights are not here.
    """
    found = {uri: licensed(uri) or Licensed() for uri in dict.fromkeys(uris)}
    said = {uri: one.licence or licences.get(uri) for uri, one in found.items()}
    terms = {uri: what_follows(said[uri], *one.names) for uri, one in found.items()}
    return {uri: follows for uri, follows in terms.items() if follows}


def news(uris: Iterable[str], licences: Mapping[str, str | None] = NOTHING) -> list[str]:
    """The same in lines, each once in a process."""
    fresh = [(uri, said) for uri, said in terms_by_uri(uris, licences).items() if (uri, said) not in _said]
    _said.update(fresh)
    return [f"{uri}: {said}" for uri, said in fresh]
