"""The nouns of the theory, and the protocols between the rooms.

The chain of the paper (Gan and Liu, arXiv 2410.01720) in these words:

    S_anchor → p = φ(S_anchor) → M(p) → curation ε → S_gen → student W
    Anchor      Prompt            Call    Verdict       Row      (a folder)

Every noun is a frozen dataclass and imports nothing of ours. Its identity is its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from json.encoder import encode_basestring
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypedDict, TypeVar, overload, runtime_checkable

if TYPE_CHECKING:  # columns travel as Arrow tables; the nouns themselves need only the standard library
    import pyarrow as pa


# ---------------------------------------------------------------------------------------------- errors


class SynthgainError(Exception):
    """Something that a person must act on: what happened, where, and what to do next.

    `code` is the exit code of the command line (CONTRACT): 2 bad usage or input, 3 stopped at a
    budget or a full disk, 4 a model cannot be reached, 5 too many broken drafts, 130 interrupted.
    """

    def __init__(self, what: str, *, where: str = "", next: str = "", code: int = 2) -> None:
        super().__init__(what)
        self.what, self.where, self.next, self.code = what, where, next, code

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        after = f"\n  next: {self.next}" if self.next else ""
        return f"{where}{self.what}{after}"


class CallFailed(Exception):
    """One call came to nothing, for good (the server refused it, or every retry failed).

    It breaks the row that needed it and no other; the chain writes it to `broken/`.
    """


# ---------------------------------------------------------------------------------------------- content


def digest(*parts: str) -> str:
    """SHA-256 in hexadecimal over texts, each length-prefixed, so that no two lists of parts collide."""
    sha = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        sha.update(len(raw).to_bytes(8, "big"))
        sha.update(raw)
    return sha.hexdigest()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def canonical(value: object) -> str:
    """The one JSON text of a value: keys sorted, no spaces, Unicode kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_plain)


_T = TypeVar("_T")


class _once(Generic[_T]):
    """A property that is computed once an object. `functools.cached_property` takes a lock for it on Python 3.11."""

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        self.compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, thing: None, owner: type) -> _once[_T]: ...
    @overload
    def __get__(self, thing: object, owner: type) -> _T: ...
    def __get__(self, thing: object | None, owner: type) -> _T | _once[_T]:
        if thing is None:
            return self
        value = thing.__dict__[self.name] = self.compute(thing)  # found there from now on, without a call
        return value


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class Message(TypedDict):
    """One turn of a chat: `role` is "system", "user" or "assistant"."""

    role: str
    content: str


def user(content: str) -> Message:
    """A user's turn."""
    return {"role": "user", "content": content}


def system(content: str) -> Message:
    """The system's turn."""
    return {"role": "system", "content": content}


def assistant(content: str) -> Message:
    """The assistant's turn."""
    return {"role": "assistant", "content": content}


def _said(messages: Iterable[Message]) -> str:
    """`canonical` of [[role, content], …], written directly: every call and every row needs one."""
    turns = [f"[{encode_basestring(m['role'])},{encode_basestring(m['content'])}]" for m in messages]
    return f"[{','.join(turns)}]"


# ---------------------------------------------------------------------------------------------- S_anchor


@dataclass(frozen=True)
class Anchor:
    """One piece of real text: an element of S_anchor.

    `source` says where it was read ("file#row"); `fields` are the other columns of its row. Only
    `text` and those fields that `reads` names (they enter a prompt) are its identity.
    """

    text: str
    source: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = ()

    @_once
    def id(self) -> str:
        """32 hexadecimal digits of content."""
        seen = {name: self.fields[name] for name in self.reads if name in self.fields}
        return digest(self.text, canonical(seen) if seen else "")[:32]


Group = tuple[Anchor, ...]  # anchors that one draft sees together


# ---------------------------------------------------------------------------------------------- p and M(p)


@dataclass(frozen=True, slots=True)
class Sampling:
    """The law that an answer is drawn from. The defaults are the model's own law, untruncated."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: off
    min_p: float = 0.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            self._refuse(f"temperature is 0 (greedy) or more, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            self._refuse(f"top_p lies above 0 and up to 1, not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            self._refuse(f"min_p lies in 0 to 1, not {self.min_p}")
        if self.top_k < 0:
            self._refuse(f"top_k is 0 (off) or more, not {self.top_k}")
        if self.max_tokens < 1:
            self._refuse(f"max_tokens is 1 or more, not {self.max_tokens}")

    def _refuse(self, what: str) -> None:
        raise SynthgainError(what, where="sampling")

    @property
    def plain(self) -> bool:
        """True where the law is the plain softmax at T = 1, so that plain log-probabilities are exact."""
        return (
            self.temperature == 1.0
            and self.top_p >= 1.0
            and self.top_k == 0
            and self.min_p == 0.0
            and self.presence_penalty == 0.0
            and self.frequency_penalty == 0.0
        )


@dataclass(frozen=True)
class Prompt:
    """What is sent to a model: p of the paper, with the law of the answer.

    `to` names a role ("writer", "judge"), not a model, and is no part of the identity. `draw` is the
    index of this draw among equal prompts; `seed` is the request's. A recipe leaves `seed` alone:
    the chain stamps it. `schema` is a JSON Schema that the answer must follow.
    """

    messages: tuple[Message, ...]
    to: str = "writer"
    sampling: Sampling = Sampling()
    schema: Mapping[str, Any] | None = None
    seed: int = 0
    draw: int = 0

    @_once
    def content(self) -> str:
        """Everything that can change the answer, as one JSON text (without the model)."""
        s = self.sampling
        law = _encode([
            s.temperature, s.top_p, s.top_k, s.min_p, s.max_tokens, s.stop, s.presence_penalty, s.frequency_penalty,
        ])  # fmt: skip
        schema = "null" if self.schema is None else canonical(self.schema)
        return f"[{_said(self.messages)},{law},{schema},{self.seed},{self.draw}]"

    def id(self, identity: str) -> str:
        """The identity of the call that this prompt buys from the model with that identity (64 hex digits)."""
        known: tuple[str, str] | None = self.__dict__.get("_id")  # the chain and the model both ask
        if known is None or known[0] != identity:
            known = self.__dict__["_id"] = identity, digest(identity, self.content)
        return known[1]

    @staticmethod
    def read(content: str, to: str = "writer") -> Prompt:
        """The prompt whose `content` this is."""
        said, law, schema, seed, draw = json.loads(content)
        temperature, top_p, top_k, min_p, max_tokens, stop, presence, frequency = law
        return Prompt(
            messages=tuple({"role": role, "content": text} for role, text in said),
            to=to,
            sampling=Sampling(temperature, top_p, top_k, min_p, max_tokens, tuple(stop), presence, frequency),
            schema=schema,
            seed=seed,
            draw=draw,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """One answer that was paid for: M(p).

    `logprob` is the sum over the answer's tokens of ln M_T(token | before) in nats, under the law
    that the text was sampled from; None with the reason in `law` where the server gives none or
    gives another law's. `finish` is "stop" or "length" (cut off), or what else the server said.
    `seconds` is the time the answer took; `cost` is in US dollars, None where no price is known.
    """

    id: str
    prompt: Prompt
    text: str
    model: str  # the model's URI as asked for: a name for people, not an identity
    finish: str = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    logprob: float | None = None
    law: str = ""
    cost: float | None = None
    seconds: float = 0.0


# ---------------------------------------------------------------------------------------------- ε


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check says of one row. `reason` is a short phrase a person can count by."""

    outcome: Literal["keep", "drop"]
    reason: str = ""
    score: float | None = None
    check: str = ""

    @property
    def keeps(self) -> bool:
        return self.outcome == "keep"


KEEP = Verdict("keep")


def keep(score: float | None = None) -> Verdict:
    """The row stays."""
    return KEEP if score is None else Verdict("keep", score=score)


def drop(reason: str, score: float | None = None, check: str = "") -> Verdict:
    """The row falls, for this reason."""
    return Verdict("drop", reason=reason, score=score, check=check)


# ---------------------------------------------------------------------------------------------- S_gen


@dataclass(frozen=True)
class Row:
    """One candidate for the data set: a chat (`messages`) or a plain `text`, never both.

    A draft gives messages or text, the calls it came from, and fields. An answer that cannot be
    parsed is a row too, with a `drop` verdict. The chain stamps anchors, recipe, round and verdicts.
    """

    messages: tuple[Message, ...] | None = None
    text: str | None = None
    calls: tuple[Call, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    anchors: tuple[str, ...] = ()
    recipe: str = ""
    round: int = 0

    @_once
    def id(self) -> str:
        """24 hexadecimal digits of content and calls."""
        said = self.text if self.messages is None else _said(self.messages)
        return digest(said or "", *(call.id for call in self.calls))[:24]

    @property
    def answer(self) -> str:
        """What the model wrote, as checks read it: the text, or the last assistant turn."""
        if self.messages is None:
            return self.text or ""
        return next((m["content"] for m in reversed(self.messages) if m["role"] == "assistant"), "")

    @property
    def fallen(self) -> Verdict | None:
        """The first verdict that drops the row."""
        return next((v for v in self.verdicts if not v.keeps), None)

    def stamped(self, **changes: Any) -> Row:
        """The same row with the chain's stamps."""
        return replace(self, **changes)


# ---------------------------------------------------------------------------------------------- readings

ReadingClass = Literal["exact", "estimate", "lower bound", "upper bound", "proxy", "test"]


@dataclass(frozen=True)
class Reading:
    """One figure with its interval. `n` counts independent units (prompts, documents), never tokens.

    A figure that cannot be computed has value None and says why in `note`; it is never 0 instead.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    unit: str = ""
    n: int = 0
    estimator: str = ""
    kind: ReadingClass = "estimate"
    note: str = ""

    def json(self) -> dict[str, Any]:
        """The reading as CONTRACT writes it (`kind` is called "class" there)."""
        names = ("name", "value", "low", "high", "level", "unit", "n", "estimator")
        return {name: getattr(self, name) for name in names} | {"class": self.kind, "note": self.note}

    @staticmethod
    def read(data: Mapping[str, Any]) -> Reading:
        """The reading that `json` wrote."""
        return Reading(**{("kind" if k == "class" else k): v for k, v in data.items()})


# ---------------------------------------------------------------------------------------------- protocols


@dataclass(frozen=True)
class ModelInfo:
    """What can be known of a model without paying for more than one small call. None: not known."""

    uri: str
    licence: str | None = None
    context: int | None = None  # tokens of prompt and answer together
    logprobs: bool | None = None
    seeds: bool | None = None
    schema: bool | None = None
    note: str = ""


KEEPER: ContextVar[Callable[[Call], Awaitable[None]] | None] = ContextVar("KEEPER", default=None)
"""Who writes an answer down, told to the model while a call is under way. A model whose answers cost money calls it before it
frees the answer's place, so that a crash loses what was in flight and no more."""


@runtime_checkable
class Model(Protocol):
    """A way to reach M.

    `identity` is what enters the identity of every call: a content hash of the weights, or a
    server's URL and the model's name there. `width` is how many calls in flight are of use now.
    """

    @property
    def uri(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def width(self) -> int: ...
    async def __call__(self, prompt: Prompt) -> Call:
        """The answer. CallFailed: this call alone is lost. SynthgainError: the run must stop."""
        ...

    async def info(self) -> ModelInfo: ...
    async def aclose(self) -> None: ...


class Models(Protocol):
    """What a draft is handed: the models of a request by role, behind memory and budget."""

    async def __call__(self, prompt: Prompt) -> Call:
        """One answer from the role that the prompt names; CallFailed breaks this draft only."""
        ...

    def each(self, prompts: Iterable[Prompt]) -> AsyncIterator[Call]:
        """Answers in the prompts' order, bought side by side; a failed one is noted as broken and left out."""
        ...


class Scorer(Protocol):
    """Token log-probabilities of given texts: the student's eye on data."""

    @property
    def identity(self) -> str: ...
    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        """ln p(token | before), nats, for each token of the second text given the first."""
        ...


class Check(Protocol):
    """A row check: it looks at one row (and its anchors) and never changes it. `name` is what people type."""

    @property
    def name(self) -> str: ...
    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict: ...


@runtime_checkable
class SetCheck(Protocol):
    """A set check: it sees columns of all rows still alive and gives one verdict a row, in order.

    The table has `id` and the `columns` asked for, out of: text (what a student would read), answer,
    prompt (the last user turn), anchor_ids (list), fields (JSON), logprob, tokens_out.
    """

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    def __call__(self, table: pa.Table) -> Sequence[Verdict]: ...


AnyCheck = Check | SetCheck
Draft = Callable[..., AsyncIterator[Row]]  # (models, *anchors) → rows
Pick = Callable[[Sequence[Anchor]], Iterable[Group]]


def singly(anchors: Sequence[Anchor]) -> Iterable[Group]:
    """Each anchor is a group of its own."""
    return ((anchor,) for anchor in anchors)


@dataclass(frozen=True)
class Recipe:
    """φ and the rest of one system: how anchors become prompts, rows, and what decides about them.

    `draft` is an async generator function or a frozen dataclass with `__call__`; its dataclass
    fields are the recipe's knobs. `reads` are the anchor fields that enter a prompt. `calls` says
    in words what an anchor costs. `stage` is where in a model's life the data is for.
    `sources` says for each knob where its default comes from.
    """

    name: str
    version: str
    draft: Draft
    roles: tuple[str, ...] = ("writer",)
    checks: tuple[AnyCheck, ...] = ()
    examples: tuple[Anchor, ...] = ()
    pick: Pick = singly
    source: str = ""
    stage: str = ""
    anchors: str = ""
    calls: str = ""
    reads: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    departures: tuple[str, ...] = ()


class Train(Protocol):
    """W: kept rows to a student folder."""

    def __call__(self, rows: Path, out: Path) -> Path: ...


class Evaluate(Protocol):
    """Err(π): a student's readings on questions."""

    def __call__(self, student: Path) -> list[Reading]: ...
