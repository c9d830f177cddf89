"""Recorded calls in place of a model: which recordings are meant, whether they are of the models asked for, and whom the rest is bought from."""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.api.asking import Asked, opened_models
from synthgain.api.telling import remark
from synthgain.chain import NotBought, Recorded, Request
from synthgain.machine import processor
from synthgain.models import Reach, of_role
from synthgain.store import CallMemory, Run
from synthgain.store.recorded import GIVE, Recording
from synthgain.types import Call, Model, ModelInfo, Prompt, SynthgainError

Calls = str | Path | Run | Sequence[str | Path | Run]
SHOWN = 6  # models that are named
Told = tuple[str, str]  # URI and identity of a model


@dataclass(frozen=True)
class Remembered:
    """A model known by name only: its answers are in the memory, and it gives no others."""

    uri: str
    identity: str
    width: int = 64

    async def __call__(self, prompt: Prompt) -> Call:
        raise NotBought

    async def info(self) -> ModelInfo:
        return ModelInfo(self.uri)

    async def aclose(self) -> None:
        return None


def recordings_at(calls: Calls, out: Path | None = None) -> list[Recording]:
    """The recordings that somebody named; one that is gone by what the run `out` took over of it. SynthgainError where one is none, or is the
    run's own folder."""
    given = [calls] if isinstance(calls, str | Path | Run) else calls
    found = [_recording_at(one.path if isinstance(one, Run) else Path(one), out) for one in given]
    for one in found:
        if out is not None and out.resolve() in (one.path.resolve(), one.path.resolve().parent):
            raise SynthgainError(
                "these are the run's own calls, which serve anyway",
                where=f"--calls {one.path}",
                next="leave the option out, or give another folder with -o",
            )
    return found


def _recording_at(path: Path, out: Path | None) -> Recording:
    if out is not None and not path.expanduser().exists():
        with suppress(SynthgainError):
            for asked in Request.read(Run(out).request).calls:
                if asked.file == str(path) and (kept := Recording.taken_over(path, asked.sha256, out)) is not None:
                    remark(f"{path} is gone; what it held was taken over before, and serves")
                    return kept
    return Recording.at(path)


def as_asked(recordings: Iterable[Recording]) -> tuple[Recorded, ...]:
    """The recordings as a request names them."""
    return tuple(Recorded(str(one.path), one.sha256) for one in recordings)


def served_by(ask: Asked, reach: Reach | None, recordings: Sequence[Recording], run: Run) -> dict[str, Model]:
    """The models by role. With `calls_only` none of them is opened to answer, and one that is not here is known by the recording.

    SynthgainError where the recordings hold no answer of any model that is asked for. What a recording lacks altogether is said.
    """
    request = ask.request
    here = _remembered(run)
    held = [model for one in recordings for model in one.models]
    if not request.calls_only:
        models = opened_models(request, ask.objects, reach)
    elif not held and not here:
        raise SynthgainError(
            "--calls-only buys nothing, and no calls are recorded here",
            where="--calls-only",
            next=f"--calls FILE: {GIVE}",
        )
    else:
        models = {role: _known(role, ask, reach, [*held, *here]) for role in request.models}
    if held:
        _of_these(models, held, request)
    return models


def _remembered(run: Run) -> list[Told]:
    """URI and identity of each model that the run has answers of already."""
    if not any(run.calls.glob("*.sqlite")):
        return []
    with closing(run.memory(readonly=True)) as memory:
        return memory.models()


def _known(role: str, ask: Asked, reach: Reach | None, held: Sequence[Told]) -> Remembered:
    """A role's model by name: its own identity where it can say that here, else the one under which its answers were recorded."""
    uri = ask.request.models[role].uri
    recorded = [identity for name, identity in held if name == uri]
    only = ask.request.changed(models={role: ask.request.models[role]}, headers=())
    with suppress(SynthgainError, ImportError, OSError):
        identity = opened_models(only, ask.objects, reach)[role].identity
        which = reach is not None and (reach.base_url or of_role(reach.served_as, role))  # which server, if it was said
        if not recorded or identity in recorded or not _is_server(uri) or "@http" in uri or which:
            return Remembered(uri, identity)
    return Remembered(uri, recorded[0] if recorded else f"not here: {uri}")


def _is_server(uri: str) -> bool:
    return uri.startswith("openai/")


def _of_these(models: Mapping[str, Model], held: Sequence[Told], request: Request) -> None:
    """SynthgainError where nobody asked for was recorded; a remark where one of several was not."""
    known = {identity for _, identity in held}
    lacking = {role: model for role, model in models.items() if model.identity not in known}
    if not lacking:
        return
    asked = ", ".join(
        _named(model.uri, model.identity, held) for model in {m.identity: m for m in lacking.values()}.values()
    )
    others = ", ".join(
        _named(uri, identity, [(m.uri, m.identity) for m in models.values()])
        for uri, identity in dict.fromkeys(held[:SHOWN])
    )
    more = f" and {len(set(held)) - SHOWN:,} more" if len(set(held)) > SHOWN else ""
    if len(lacking) == len(models) and not request.round:
        raise SynthgainError(
            f"no answer of {asked} is recorded there; recorded are answers of {others}{more}",
            where=", ".join(f"--calls {one.file}" for one in request.calls),
            next=f"ask for that model (-m {shlex.quote(held[0][0])}{_served_as(*held[0])}), or leave --calls out",
        )
    missing = "breaks" if request.calls_only else "is bought"
    remark(
        f"{', '.join(lacking)}: no answer of {asked} is recorded, so what it is asked {missing} (recorded: {others}{more})"
    )


def _named(uri: str, identity: str, others: Sequence[Told]) -> str:
    """A model by its URI, and where another one has the same by what tells them apart."""
    twin = any(name == uri and other != identity for name, other in others)
    return f"{uri} ({identity:.60})" if twin else uri


def _served_as(uri: str, identity: str) -> str:
    """How a server elsewhere is asked for by what it was known as."""
    label = re.match(r'\["((?:[^"\\]|\\.)*)"', identity) if _is_server(uri) and "@http" not in uri else None
    return f" --served-as {shlex.quote(label[1])}" if label else ""


def taken_over(recordings: Sequence[Recording], run: Run) -> None:
    """The recordings' calls serve in this run from now on. What of them is left out is said."""
    for one in recordings:
        known = one.take_over(run.path)
        if left_out := known.get("left_out"):
            n = f"{left_out:,} call{'s are' if left_out > 1 else ' is'}"
            remark(f"{one.path}: {n} not what the id says, and left out ({known['calls']:,} are taken over)")


def recorded_in(memory: CallMemory, served: Mapping[str, int]) -> list[dict[str, Any]]:
    """What is known of each recording that served, and how many calls."""
    return [{**about, "served": served[name]} for name, about in memory.recordings().items() if served.get(name)]


def licences_said(recordings: Iterable[Recording]) -> dict[str, str | None]:
    """The licences that recordings say, by the models' URIs."""
    return {m["uri"]: m["licence"] for one in recordings for m in one.about["models"] if "licence" in m}


def licences_of(memory: CallMemory) -> dict[str, str]:
    """The licences that recordings say, by the models' identities."""
    return {
        model["identity"]: model["licence"]
        for about in memory.recordings().values()
        for model in about["models"]
        if "licence" in model
    }


def machine() -> str:
    """What this machine is, without its name."""
    return f"{processor('model name') or platform.machine()}, {os.cpu_count()} processors, {platform.system()}"
