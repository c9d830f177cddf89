"""Other sets that rows are compared with: evaluation sets, or data that is there already (`curate.against`, `curate.decontaminate`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from synthgain.anchors.find import files
from synthgain.anchors.hub import SCHEME
from synthgain.anchors.notes import Notes
from synthgain.api.given import Given, sha256_of
from synthgain.chain import Named
from synthgain.chain.given import asked_of
from synthgain.curate.against import Against
from synthgain.curate.decontaminate import Decontaminate
from synthgain.settings import settings_of
from synthgain.store.rows import spoken
from synthgain.types import AnyCheck, SynthgainError

T = TypeVar("T")


def listed(given: Sequence[T]) -> list[T]:
    """What was given one by one, or alone: `with_="length=3"` is one check, and not eight letters."""
    alone = isinstance(given, str | Path) or callable(given)
    return [cast(T, given)] if alone else list(given)


def against(sets: Sequence[str | Path]) -> list[Against]:
    """The check that drops what is near a row of these sets, or holds one; none where there are none."""
    return [Against(tuple(map(str, listed(sets))), inside=True)] if sets else []


def opened_against(check: AnyCheck, part: Named, *, recorded: bool = False) -> tuple[AnyCheck, Named]:
    """A check with the texts of its sets, and its part of a request with the SHA-256 of their files; any other check as it is.

    `recorded`: a run's record names the sets. They must then be what they were, and nothing is fetched because a record says so.
    """
    if not isinstance(check, Against | Decontaminate):
        return check, part
    if not check.sets:
        typed = "--against DATA" if isinstance(check, Against) else f"--with {check.name}=DATA"
        raise SynthgainError(
            "no set is named that rows are compared with", where=f"--with {check.name}", next=f"use {typed}"
        )
    if recorded and (remote := [name for name in check.sets if name.startswith(SCHEME)]):
        raise _again(
            f"this run was compared with {remote[0]}, and a run folder reaches no server", check.name, remote[0]
        )
    try:
        sha256 = _sha256(check.sets)
    except SynthgainError as error:
        if recorded:
            raise _again(
                f"a set that this run was compared with cannot be read ({error.what})", check.name, error.where
            ) from error
        raise
    if recorded and part.sha256 and part.sha256 != sha256:
        raise _again("a set that this run was compared with has changed since", check.name, ", ".join(check.sets))
    told = replace(part, settings=settings_of(check), sha256=sha256)
    return check.primed(lambda: texts_of(check.sets)), told


def texts_of(sets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(where it stands, text) of every row of the sets: what is asked, and the row as a whole."""
    for name in sets:
        for given in Given(name):
            asked, whole = asked_of(given.row), spoken(given.row.messages, given.row.text)
            yield from ((given.where, text) for text in dict.fromkeys((asked, whole)) if text.strip())


def _sha256(sets: Sequence[str]) -> str:
    """Of the digests of all files, in their order; "" where one is not on this disk."""
    if any(name.startswith(SCHEME) for name in sets):
        return ""
    shas = [sha256_of(found.path) for name in sets for found in files(Path(name).expanduser(), Notes())]
    return hashlib.sha256("".join(shas).encode()).hexdigest()


def _again(what: str, check: str, where: str) -> SynthgainError:
    again = f"--against {where or 'DATA'}" if check == "against" else f"--with {check}={where or 'DATA'}"
    return SynthgainError(
        what,
        where=where,
        next=f"give it again ({again}), or leave the check out (--without {check})",
    )
