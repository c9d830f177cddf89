"""What is asked for: pure data, picklable, written to run.json and read from it. It holds names and settings, never code.

`generate` makes a request from what a person typed; resuming, `preview`, `curate`, the card and the report start from the
record of one. Opening its names (recipes, checks, models) is the business of who puts the rooms together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from synthgain.types import SynthgainError


@dataclass(frozen=True)
class Named:
    """A recipe or a check, by name and settings.

    A shipped part has its name alone. One from a file has the file's path and the SHA-256 of its content: it is opened only where the
    file is given again, and checked. One that was an object of Python (`python` says of which class) has to be given again likewise.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    file: str = ""
    sha256: str = ""
    python: str = ""

    @property
    def shipped(self) -> bool:
        return not (self.file or self.python)


@dataclass(frozen=True)
class Reached:
    """A model in a role: its URI, and what the URI does not say. Keys are never part of a request; `extra` is JSON."""

    uri: str
    base_url: str = ""
    served_as: str = ""
    price: str = ""
    extra: str = ""
    runtime: str = "auto"  # of an embedded model; no part of its identity
    python: bool = False  # it was an object, which no URI opens again


@dataclass(frozen=True)
class Recorded:
    """A recording of calls that serve before any is bought: the file or folder as it was given, and the hash of what it holds."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Request:
    """Everything that decides which calls are bought and which rows are kept.

    `anchors` names where they were read ("" for a Python sequence); as used they lie in RUN/anchors. `limit` counts groups. `max_cost` (USD)
    and `max_tokens` (in and out) are over all calls that the data set uses, reused ones too. `wait` is in minutes; `headers` are
    as they were typed, so a value that came from the environment is not in them. Recorded `calls` serve first; with `calls_only` nothing is
    bought beside them.
    """

    recipe: Named
    checks: tuple[Named, ...] = ()
    models: Mapping[str, Reached] = field(default_factory=dict)
    anchors: str = ""
    text_field: str | None = None
    id_field: str | None = None
    seed: int = 0
    round: int = 0
    accept: int | None = None
    max_candidates: int | None = None
    limit: int | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    concurrency: int | None = None
    wait: float | None = None
    requests_per_minute: float | None = None
    headers: tuple[str, ...] = ()
    embedder: str = "words"
    collapse: str = ""
    stop_on_collapse: bool = False
    calls: tuple[Recorded, ...] = ()
    calls_only: bool = False

    def json(self) -> dict[str, Any]:
        """The request as JSON, what is at its default left out."""
        return _as_json(self)

    @staticmethod
    def read(held: Mapping[str, Any]) -> Request:
        """The request that `json` gave. SynthgainError where it is none."""
        try:
            known = {f.name for f in fields(Request)}
            if unknown := sorted(set(held) - known):
                raise TypeError(f"unknown: {', '.join(unknown)}")
            given = dict(held)
            given["recipe"] = Named(**held["recipe"])
            given["headers"] = tuple(held.get("headers", ()))
            given["checks"] = tuple(Named(**check) for check in held.get("checks", ()))
            given["calls"] = tuple(Recorded(**one) for one in held.get("calls", ()))
            given["models"] = {role: Reached(**model) for role, model in held.get("models", {}).items()}
            return Request(**given)
        except (TypeError, KeyError, AttributeError) as error:
            raise SynthgainError(
                f"this is no request ({error})",
                where="run.json",
                next="give the command that made the run again: calls are kept apart and are not bought twice",
            ) from error

    @property
    def most(self) -> int | None:
        """The limit of candidates (rows): 4 for each row to accept, where nothing else is said; None where all groups are drafted once."""
        return None if self.accept is None else self.max_candidates or 4 * self.accept

    def changed(self, **changes: Any) -> Request:
        return replace(self, **changes)


def _as_json(thing: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for f in fields(thing):
        value = getattr(thing, f.name)
        if is_dataclass(value):
            told[f.name] = _as_json(value)
        elif f.name in ("checks", "models") or (f.name == "calls" and value):
            told[f.name] = (
                {k: _as_json(v) for k, v in value.items()} if f.name == "models" else [_as_json(v) for v in value]
            )
        elif value not in (f.default, None, "", {}, ()):
            told[f.name] = value
    return told
