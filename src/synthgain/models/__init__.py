"""M: one file per way to reach a model. A URI opens one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthgain.models.scripted import Scripted, open_scripted
from synthgain.types import Model, Scorer, SynthgainError

__all__ = ["Reach", "Scripted", "folder_of", "open_model", "open_scorer", "weights_at"]


@dataclass(frozen=True)
class Reach:
    """How models are reached: what a URI does not say. Keys come from the environment and are never written."""

    base_url: str = ""
    api_key: str = ""
    served_as: str = ""
    price: str = ""  # "IN,OUT" in USD per million tokens
    concurrency: int | None = None
    logprobs: bool = True  # False: do not ask for them (they cost the embedded model a quarter of its speed)


def open_model(uri: str, reach: Reach | None = None) -> Model:
    """The model that a URI names: local/…, openai/…, hf/…, scripted/…. SynthgainError where it names none."""
    reach = reach or Reach()
    kind, slash, name = uri.partition("/")
    if not slash or not name:
        raise SynthgainError(
            f"{uri!r} names no model", next="write local/smollm2-135m, openai/NAME, hf/PATH or scripted/echo"
        )
    if kind == "scripted":
        return open_scripted(name)
    if kind == "local":
        from synthgain.models.local import Local

        path, threads = _with_threads(name)
        return Local(path, slots=reach.concurrency, threads=threads, logprobs=reach.logprobs)
    if kind == "hf":
        from synthgain.models.hf import HF

        return HF(Path(name))
    if kind == "openai":
        from synthgain.models.openai import OpenAI
        from synthgain.models.prices import Price

        if not reach.base_url:
            raise SynthgainError(
                "no server is named", where=uri, next="set OPENAI_BASE_URL or give --base-url http://HOST:PORT/v1"
            )
        return OpenAI(
            name, base_url=reach.base_url, api_key=reach.api_key, served_as=reach.served_as,
            price=Price.parse(reach.price) if reach.price else None, concurrency=reach.concurrency, logprobs=reach.logprobs,
        )  # fmt: skip
    raise SynthgainError(
        f"there is no way {kind!r} to reach a model", where=uri,
        next="use local/…, openai/…, hf/… or scripted/… (see `synthgain check --help`)",
    )  # fmt: skip


def folder_of(uri: str) -> Path:
    """The transformers folder of local/… or hf/…; SynthgainError for a model whose weights are not here."""
    kind, _, name = uri.partition("/")
    if kind == "hf":
        return Path(name)
    if kind == "local":
        from synthgain.models import gguf, weights

        return gguf.folder_of(weights.find(name))
    raise SynthgainError(f"{uri} names no weights that can be opened here", next="give local/smollm2-135m or hf/PATH")


def weights_at(where: str | Path) -> Path:
    """A folder as it is, else the transformers folder that a URI names."""
    return Path(where) if Path(where).is_dir() else folder_of(str(where))


def open_scorer(where: str | Path, *, ends: bool = False) -> Scorer:
    """Who scores given texts with the weights of a folder or a URI. `ends`: the end of an answer too."""
    from synthgain.models.hf import HFScorer

    return HFScorer(weights_at(where), ends=ends)


def _with_threads(name: str) -> tuple[str, int | None]:
    """ "NAME?threads=1" parted: the runtime's threads wait for each other, so on a crowded machine one is faster than all."""
    path, question, said = name.rpartition("?threads=")
    if not question:
        return name, None
    if not said.isdigit() or int(said) < 1:
        raise SynthgainError(f"threads is a number of 1 or more, not {said!r}", where=f"local/{name}")
    return path, int(said)
