"""M: one file per way to reach a model. A URI opens one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgain.models.scripted import Scripted, open_scripted
from synthgain.types import Model, Scorer, SynthgainError

__all__ = [
    "Reach",
    "Scripted",
    "folder_of",
    "headers_of",
    "key_for",
    "of_role",
    "open_model",
    "open_scorer",
    "server_of",
    "weights_at",
]


@dataclass(frozen=True)
class Reach:
    """How models are reached: what a URI does not say.

    `served_as` and `price` are a text for every role, or texts by role ("": every role that is not named). Keys are no part
    of it: they come from the environment (`key_for`) and are never written. What follows `logprobs` is of servers only: minutes that one
    may be away (None: half a minute), requests to each model a minute, headers as "NAME: VALUE" ($NAME in a value is read from the
    environment; a literal value that looks like a key is refused), and further fields of every request by role ("": for all).
    """

    base_url: str = ""  # of every server whose URI names none; without it OPENAI_BASE_URL
    served_as: str | Mapping[str, str] = ""  # stands for the URL in the identity of calls
    price: str | Mapping[str, str] = ""  # "IN,OUT" in USD per million tokens
    concurrency: int | None = None
    logprobs: bool = True  # False: do not ask for them (they cost the embedded model a quarter of its speed)
    wait: float | None = None
    requests_per_minute: float | None = None
    headers: tuple[str, ...] = ()
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tries: int = 8  # of one call that a server answers with a fault
    runtime: str = "auto"  # what writes with the weights of local/…: llama (llama.cpp), torch (transformers), or the faster of the two

    def extra_for(self, role: str) -> dict[str, Any]:
        """The further fields of a role's requests."""
        return {**self.extra.get("", {}), **self.extra.get(role, {})}


def open_model(uri: str, reach: Reach | None = None, role: str = "writer") -> Model:
    """The model that a URI names for a role: local/…, openai/…, hf/…, reward/…, scripted/…. SynthgainError where it names none."""
    reach = reach or Reach()
    kind, slash, name = ("local", "/", uri) if uri.startswith("hf://") else uri.partition("/")
    if not slash or not name:
        raise SynthgainError(
            f"{uri!r} names no model",
            next="write local/smollm2-135m, openai/NAME, hf/PATH, reward/PATH or scripted/echo",
        )
    if kind == "scripted":
        return open_scripted(name, reach.concurrency)
    if kind == "local":
        from synthgain.models.local import Local

        path, threads = _with_threads(name)
        local = Local(path, slots=reach.concurrency, threads=threads, logprobs=reach.logprobs)
        return local if reach.runtime == "llama" or threads else _either(local, path, reach)
    if kind == "hf":
        from synthgain.models.hf import HF

        return HF(Path(name), batch=reach.concurrency)
    if kind == "reward":
        from synthgain.models.reward import Reward

        return Reward(Path(name), batch=reach.concurrency)
    if kind == "openai":
        from synthgain.models.openai import OpenAI
        from synthgain.models.pacing import USUAL
        from synthgain.models.prices import Price

        name, base_url = server_of(uri, reach)
        price = of_role(reach.price, role)
        return OpenAI(
            name,
            base_url=base_url,
            uri=uri,
            api_key=key_for(role),
            served_as=of_role(reach.served_as, role),
            price=Price.parse(price) if price else None,
            concurrency=reach.concurrency,
            logprobs=reach.logprobs,
            unreachable_after=USUAL if reach.wait is None else 60.0 * reach.wait,
            requests_per_minute=reach.requests_per_minute,
            extra=reach.extra_for(role),
            headers=headers_of(reach.headers),
            tries=reach.tries,
        )
    raise SynthgainError(
        f"there is no way {kind!r} to reach a model",
        where=uri,
        next="use local/…, openai/…, hf/…, reward/… or scripted/… (see `synthgain check --help`)",
    )


def _either(local: Any, path: str, reach: Reach) -> Model:
    """The embedded model with whichever runtime is asked for, or is faster."""
    from synthgain.models import gguf, weights
    from synthgain.models.runtimes import RUNTIMES, Embedded

    if reach.runtime not in RUNTIMES:
        raise SynthgainError(
            f"there is no runtime {reach.runtime!r}", where="--runtime", next=f"write one of {', '.join(RUNTIMES)}"
        )

    def torch() -> Model:
        from synthgain.models.hf import HF

        return HF(
            lambda: gguf.folder_of(weights.find(path)),
            batch=reach.concurrency,
            uri=local.uri,
            identity=lambda: str(local.identity),
            light=True,
        )

    return Embedded(local, torch, reach.runtime)


def server_of(uri: str, reach: Reach) -> tuple[str, str]:
    """Name and base URL of openai/NAME or openai/NAME@https://HOST/v1; the name may hold "/" and "@"."""
    named = re.fullmatch(r"openai/(.+?)(?:@(https?://.*))?", uri, re.IGNORECASE | re.DOTALL)
    if named is None:
        raise SynthgainError(
            f"{uri!r} names no model of a server", next="write openai/NAME or openai/NAME@https://HOST/v1"
        )
    base_url = named[2] or reach.base_url or os.environ.get("OPENAI_BASE_URL", "")
    if not base_url:
        raise SynthgainError(
            "no server is named",
            where=uri,
            next=f"set OPENAI_BASE_URL or give --base-url http://HOST:PORT/v1; for this model alone write {uri}@http://HOST:PORT/v1",
        )
    return named[1], base_url


def key_for(role: str) -> str:
    """The key for a role's server: OPENAI_API_KEY_ROLE (in capitals, "-" as "_"), else OPENAI_API_KEY; "" without one."""
    own = os.environ.get(f"OPENAI_API_KEY_{role.upper().replace('-', '_')}", "")
    return own or os.environ.get("OPENAI_API_KEY", "")


SECRET = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
SERVER_ONLY = (
    "--wait",
    "--requests-per-minute",
    "--header",
    "--extra",
)  # what says nothing of a model that is no server


def headers_of(given: Sequence[str]) -> dict[str, str]:
    """ "NAME: VALUE" texts as headers, with $NAME read from the environment. SynthgainError: no header, or a key that would be written down."""
    found: dict[str, str] = {}
    for text in given:
        name, colon, value = (part.strip() for part in text.partition(":"))
        if not colon or not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name) or not (value.isascii() and value.isprintable()):
            raise SynthgainError("this is no header", where="--header", next="write --header 'NAME: VALUE'")
        names = [braced or bare for braced, bare in VARIABLE.findall(value)]
        if SECRET.search(name) and not names:
            raise SynthgainError(
                f"the value of {name} looks like a key, and the record of a run would hold it",
                where="--header",
                next=f"put it into an environment variable: --header '{name}: $VARIABLE' (in single quotes)",
            )
        if missing := [variable for variable in names if variable not in os.environ]:
            raise SynthgainError(
                f"the header {name} needs the environment variable {missing[0]}, which is not set",
                where="--header",
                next=f"export {missing[0]}=…",
            )
        found[name] = VARIABLE.sub(lambda named: os.environ[named[1] or named[2]], value)
    return found


def of_role(said: str | Mapping[str, str], role: str) -> str:
    """What holds for a role of what was said for all, or by role."""
    return said if isinstance(said, str) else said.get(role, said.get("", ""))


def folder_of(uri: str) -> Path:
    """The transformers folder of local/… or hf/…; SynthgainError for a model whose weights are not here."""
    kind, _, name = ("local", "/", uri) if uri.startswith("hf://") else uri.partition("/")
    if kind == "hf":
        return Path(name)
    if kind == "local":
        from synthgain.models import gguf, weights

        return gguf.folder_of(weights.find(_with_threads(name)[0]))
    raise SynthgainError(f"{uri} names no weights that can be opened here", next="give local/smollm2-135m or hf/PATH")


def weights_at(where: str | Path) -> Path:
    """A folder as it is, else the transformers folder that a URI names."""
    return Path(where) if Path(where).is_dir() else folder_of(str(where))


def open_scorer(where: str | Path, *, ends: bool = False) -> Scorer:
    """Who scores given texts with the weights of a folder or a URI. `ends`: the end of an answer too."""
    from synthgain.models.scorer import HFScorer

    return HFScorer(weights_at(where), ends=ends)


def _with_threads(name: str) -> tuple[str, int | None]:
    """ "NAME?threads=1" parted: the runtime's threads wait for each other, so on a crowded machine one is faster than all."""
    path, question, said = name.rpartition("?threads=")
    if not question:
        return name, None
    if not said.isdigit() or int(said) < 1:
        raise SynthgainError(f"threads is a number of 1 or more, not {said!r}", where=f"local/{name}")
    return path, int(said)
