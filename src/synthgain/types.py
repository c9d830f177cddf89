"""The nouns of the theory, and the protocols between the rooms.

The chain of the paper (Gan and Liu, arXiv 2410.01720) in these words:

    S_anchor → p = φ(S_anchor) → M(p) → curation ε → S_gen → student W
    Anchor      Prompt            Call    Verdict       Row      (a folder)

Every noun is a frozen dataclass and imports nothing of ours. Its identity is its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from json.encoder import encode_basestring
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NotRequired,
    Protocol,
    TypedDict,
    TypeVar,
    overload,
    runtime_checkable,
)

if TYPE_CHECKING:  # columns travel as Arrow tables; the nouns themselves need only the standard library
    import pyarrow as pa


# ---------------------------------------------------------------------------------------------- errors


class SynthgainError(Exception):
    """Something that a person must act on: what happened, where, and what to do next.

    `code` is the exit code of the command line: 2 bad usage or input, 3 stopped at a budget or a full
    disk, 4 a model cannot be reached, 5 too many broken drafts, 130 interrupted. Of the last four there are
    kinds below, for programs (and a few of 2); making a `SynthgainError` with such a code makes that kind.
    """

    def __new__(cls, what: str = "", *, where: str = "", next: str = "", code: int = 2) -> SynthgainError:
        return super().__new__(_KINDS.get(code, cls) if cls is SynthgainError else cls)

    def __init__(self, what: str, *, where: str = "", next: str = "", code: int = 2) -> None:
        super().__init__(what)
        self.what, self.where, self.next, self.code = what, where, next, code

    def __reduce__(self) -> tuple[Any, ...]:
        return _error, (self.what, self.where, self.next, self.code)

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        after = f"\n  next: {self.next}" if self.next else ""
        return f"{where}{self.what}{after}"


class WrongMessage(SynthgainError):
    """A message that is none: an unknown key, or a value of the wrong kind (code 2). In a draft it breaks that draft."""


class AnotherRequest(SynthgainError):
    """A folder holds rows of another request, which would be replaced (code 2): nothing was changed."""


class BudgetReached(SynthgainError):
    """Stopped at a budget, at a limit of candidates, or at a full disk (code 3): everything bought is kept."""


class Unreachable(SynthgainError):
    """A model or server cannot be reached (code 4): everything bought is kept."""


class TooManyBroken(SynthgainError):
    """Too many drafts or calls failed (code 5): everything bought is kept."""


class Interrupted(SynthgainError, KeyboardInterrupt):
    """Stopped by a person (code 130): everything bought is kept. It is a KeyboardInterrupt too, as notebooks expect."""


_KINDS: dict[int, type[SynthgainError]] = {3: BudgetReached, 4: Unreachable, 5: TooManyBroken, 130: Interrupted}


def _error(what: str, where: str, next: str, code: int) -> SynthgainError:
    return SynthgainError(what, where=where, next=next, code=code)


class CallFailed(Exception):
    """One call came to nothing, for good (the server refused it, or every retry failed).

    It breaks the row that needed it and no other; the chain writes it to `broken/`, with the call's id. `final`: the model was
    asked, refuses this very prompt and would again (moderation), so a resumed run does not ask.
    """

    def __init__(self, what: str = "", *, call: str = "", final: bool = False) -> None:
        super().__init__(what)
        self.call, self.final = call, final


class NoField(KeyError):
    """A field of an anchor was read that it has not; `name` is what was read. It breaks that draft, and the run where no anchor has it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the anchor has no field {self.name!r}"


class Fields(dict[str, Any]):
    """The fields of an anchor that was read from disk: what is not there is a `NoField`, so that nobody takes it for a fault in an answer."""

    def __missing__(self, name: str) -> Any:
        raise NoField(name)


# ---------------------------------------------------------------------------------------------- content


def digest(*parts: str) -> str:
    """SHA-256 in hexadecimal over texts, each length-prefixed, so that no two lists of parts collide."""
    sha = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        sha.update(len(raw).to_bytes(8, "big"))
        sha.update(raw)
    return sha.hexdigest()


VERSION = (
    1  # of the JSON that is hashed; a field that is added later changes no identity, because defaults are left out
)


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


def in_order(value: object) -> str:
    """JSON without spaces whose keys stay as they were given: of a schema or a tool their order can change the answer."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def offered(tools: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tools as models and chat templates get them: plain JSON, the type first, all else in the order given.

    Templates write tools in the order of their keys, so a student must be asked in the order in which it learnt.
    """
    plain = json.loads(json.dumps(list(tools), default=_plain))
    return [{"type": tool["type"]} | tool if "type" in tool else tool for tool in plain]


class Message(TypedDict):
    """One turn of a chat. `role` is "system", "user", "assistant" or "tool".

    "raw" is text that the model goes on with, without a template; behind a chat, with the `name` "user" or "assistant", it begins that turn.

    The other keys stand only where they say something; any key that is not here is refused where a prompt or row is made.
    """

    role: str
    content: str
    tool_calls: NotRequired[
        Sequence[Mapping[str, Any]]
    ]  # of an assistant: [{"id", "type": "function", "function": {"name", "arguments"}}]
    tool_call_id: NotRequired[str]  # of a tool's turn: which call it answers
    name: NotRequired[str]
    reasoning: NotRequired[str]  # what was thought before the content; no part of the answer
    learn: NotRequired[bool]  # whether a student learns this turn; left out: see `is_learnt`


KEYS = frozenset(Message.__annotations__)


def is_learnt(turn: Mapping[str, Any], place: int) -> bool:
    """Whether a student learns the turn at this place of a chat: what its `learn` says, else answers (of the assistant, to something)."""
    says = turn.get("learn")
    return bool(turn["role"] == "assistant" and place > 0 if says is None else says)


def user(content: str) -> Message:
    """A user's turn."""
    return {"role": "user", "content": content}


def system(content: str) -> Message:
    """The system's turn."""
    return {"role": "system", "content": content}


def assistant(content: str, reasoning: str = "") -> Message:
    """The assistant's turn, with what it thought where it thought."""
    turn: Message = {"role": "assistant", "content": content}
    if reasoning:
        turn["reasoning"] = reasoning
    return turn


def message(given: Mapping[str, Any]) -> Message:
    """A turn from anybody's mapping: keys with null left out, null content as "". SynthgainError says what is wrong with it."""
    turn = {name: value for name, value in given.items() if value is not None}
    turn.setdefault("content", "")
    _checked(turn)
    return turn  # type: ignore[return-value]


def _checked(turn: Mapping[str, Any]) -> None:
    if not isinstance(turn, Mapping):
        raise WrongMessage(f"a message is {turn!r:.60}", where="message", next='write {"role": "user", "content": "…"}')
    if len(turn) == 2 and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str):
        return
    wrong = [f"a message has the key {name!r}" for name in sorted(map(str, turn.keys() - KEYS))]
    wrong += [f"a message has no {name!r}" for name in ("role", "content") if name not in turn]
    wrong += [
        f"a message's {name!r} is {turn[name]!r}"
        for name in turn.keys() & _KINDS_OF_KEYS
        if not _fits(name, turn[name])
    ]
    if wrong:
        raise WrongMessage(
            wrong[0],
            where="message",
            next=f"its keys are role and content (texts), and where they say something {', '.join(sorted(KEYS - {'role', 'content'}))}; "
            "a tool call is {id, type, function: {name, arguments}}",
        )


_KINDS_OF_KEYS: dict[str, Any] = {name: str for name in KEYS} | {"tool_calls": list | tuple, "learn": bool}


def _fits(name: str, value: Any) -> bool:
    if not isinstance(value, _KINDS_OF_KEYS[name]):
        return False
    return name != "tool_calls" or all(
        isinstance(call, Mapping)
        and not call.keys() - {"id", "type", "function"}
        and isinstance(function := call.get("function"), Mapping)
        and not function.keys() - {"name", "arguments"}
        and isinstance(function.get("name"), str)
        and isinstance(function.get("arguments", ""), str | Mapping)
        for call in value
    )


def _said(messages: Iterable[Message], leave: str = "") -> str:
    """The canonical JSON of messages, without the key `leave`; plain turns are written directly: every call and every row needs one."""
    turns = [
        f'{{"content":{encode_basestring(m["content"])},"role":{encode_basestring(m["role"])}}}'
        if len(m) == 2
        else canonical({name: value for name, value in m.items() if name != leave})
        for m in messages
    ]
    return f"[{','.join(turns)}]"


# ---------------------------------------------------------------------------------------------- S_anchor


@dataclass(frozen=True)
class Anchor:
    """One piece of real text: an element of S_anchor.

    `source` says where it was read ("file#row"); `fields` are the other columns of its row. Only `text` and those
    fields that `needs` names (a recipe's: see `Recipe.needs`) are its identity.
    """

    text: str
    source: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @_once
    def id(self) -> str:
        """32 hexadecimal digits of content."""
        names = (name.removesuffix("?") for name in self.needs)
        seen = {name: self.fields[name] for name in names if self.fields.get(name) is not None}
        return digest(self.text, canonical(seen) if seen else "")[:32]


Group = tuple[Anchor, ...]  # anchors that one draft sees together


class Embedder(Protocol):
    """Texts to vectors. `identity` names the weights: vectors are remembered under it."""

    @property
    def identity(self) -> str: ...
    def __call__(self, texts: Sequence[str]) -> Any:
        """One vector a text: a float array (texts × dimensions)."""
        ...


class Corpus(Protocol):
    """S_anchor as a recipe's `pick` sees it: anchors in order, made when asked for, with what is computed once over all of them."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, at: int) -> Anchor: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Anchor]: ...
    def __iter__(self) -> Iterator[Anchor]: ...
    def vectors(self, embedder: Embedder | None = None) -> Any:
        """A float32 array (anchors × dimensions) of unit length, computed once and memory-mapped from then on."""
        ...

    def neighbours(self, k: int, embedder: Embedder | None = None) -> Any:
        """An int64 array (anchors × k): the places of the k other anchors nearest to each by cosine, nearest first; remembered."""
        ...


class Pool(Protocol):
    """The rows accepted so far, as a recipe's `pick` sees them, in their order. It grows from wave to wave."""

    def __len__(self) -> int: ...
    def __getitem__(self, at: int) -> Anchor:
        """An accepted row as an anchor: `text` is what a student would read of it, `fields` the row's, `source` "row ID"."""
        ...


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

    @lru_cache(maxsize=1024)  # noqa: B019 (a law is a few numbers, and few laws are used)
    def json(self) -> str:
        """What differs from the defaults, as canonical JSON."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return canonical(told)

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
    the chain stamps it. `schema` is a JSON Schema that the answer must follow; `tools` are the functions that the
    model may call, as OpenAI's protocol has them ({"type": "function", "function": {"name", "description", "parameters"}}).
    """

    messages: tuple[Message, ...]
    to: str = "writer"
    sampling: Sampling = Sampling()
    schema: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    seed: int = 0
    draw: int = 0

    def __post_init__(self) -> None:
        for turn in self.messages:
            _checked(turn)

    @_once
    def content(self) -> str:
        """Everything that can change the answer, as canonical JSON with defaults left out (without the model).

        Schema and tools keep the order of their keys: a model that follows it reasons before it answers, or after.
        Where nothing is drawn (temperature 0) neither seed nor draw can. Which turns are learnt changes no answer either.
        """
        parts = []
        drawn = self.sampling.temperature != 0
        if self.draw and drawn:
            parts.append(f'"draw":{self.draw}')
        parts.append(f'"messages":{_said(self.messages, leave="learn")}')
        if (law := self.sampling.json()) != "{}":
            parts.append(f'"sampling":{law}')
        if self.schema is not None:
            parts.append(f'"schema":{in_order(self.schema)}')
        if self.seed and drawn:
            parts.append(f'"seed":{self.seed}')
        if self.tools:
            parts.append(f'"tools":{in_order(self.tools)}')
        return f'{{{",".join(parts)},"v":{VERSION}}}'

    @_once
    def least(self) -> int:
        """Tokens that it has at least, whatever the tokenizer: nine for ten words, one for sixteen bytes that are no white space."""
        texts = [turn["content"] for turn in self.messages]
        words = [word for text in texts for word in text.split()]
        return max(len(words) * 9 // 10, sum(len(word.encode("utf-8", "replace")) for word in words) // 16)

    def id(self, identity: str) -> str:
        """The identity of the call that this prompt buys from the model with that identity (64 hex digits)."""
        known: tuple[str, str] | None = self.__dict__.get("_id")  # the chain and the model both ask
        if known is None or known[0] != identity:
            known = self.__dict__["_id"] = identity, digest(identity, self.content)
        return known[1]

    @staticmethod
    def read(content: str, to: str = "writer") -> Prompt:
        """The prompt whose `content` this is."""
        held = json.loads(content)
        if held.get("v") != VERSION:
            raise SynthgainError(f"a prompt of version {held.get('v')!r} cannot be read; this is version {VERSION}")
        law = held.get("sampling", {})
        law = law | {"stop": tuple(law["stop"])} if "stop" in law else law
        return Prompt(
            tuple(held["messages"]),
            to,
            Sampling(**law),
            held.get("schema"),
            tuple(held.get("tools", ())),
            held.get("seed", 0),
            held.get("draw", 0),
        )


SHORT = 64  # tokens; of a shorter prompt nobody drops a part
FAULTS = {
    "error": "the server broke off with an error",
    "content_filter": "the server's content filter broke off",
    "no answer": "no answer",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One answer that was paid for: M(p).

    `message` is the answer: an assistant's turn, with tool calls and reasoning where there are such; `text` is its content.
    `logprob` is the sum over the answer's tokens of ln M_T(token | before) in nats, under the law
    that the text was sampled from; None with the reason in `law` where the server gives none or
    gives another law's. `finish` is "stop", "length" (cut off, or nobody said that it is whole), "tool_calls", "content_filter",
    "error", "no answer", or what else the server said.
    `seconds` is the time the answer took; `cost` is in US dollars, None where no price is known. Counts of tokens are 0 where
    the server did not say them.
    `raw` is the message as it came, where thinking was set apart from its content (`thinking.apart`).
    """

    id: str
    prompt: Prompt
    message: Message
    model: str  # the model's URI as asked for: a name for people, not an identity
    finish: str = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    logprob: float | None = None
    law: str = ""
    cost: float | None = None
    seconds: float = 0.0
    raw: Message | None = None

    @property
    def text(self) -> str:
        """What was answered, as checks and parsers read it."""
        return self.message["content"]

    @property
    def fault(self) -> str:
        """How the server broke off, as a reason to count by; "" where it did not. (For thinking without an answer see `thinking`.)"""
        return FAULTS.get(self.finish, "")

    @property
    def counted(self) -> tuple[int | None, int | None]:
        """Tokens in and out; None where the server did not say them (a prompt, and a text, has some)."""
        return self.tokens_in or None, self.tokens_out or (None if self.text else 0)

    @property
    def misread(self) -> bool:
        """Whether the server says to have read fewer tokens than the prompt has: it dropped a part of the prompt, and answered."""
        read = max(self.tokens_in, self.tokens_cached)
        if not read or read * 11 >= 2 * sum(len(turn["content"]) for turn in self.prompt.messages):
            return False  # the usual case, without counting words
        return read < self.prompt.least >= SHORT


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

    A draft gives messages or text, the calls it came from, and fields; `rejected` are the turns that could stand in place of
    the last answer and are worse (a preference pair). An answer that cannot be parsed is a row too, with a `drop` verdict.
    The chain stamps anchors, recipe, round and verdicts.
    """

    messages: tuple[Message, ...] | None = None
    text: str | None = None
    calls: tuple[Call, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    rejected: tuple[Message, ...] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()  # the functions that the chat could call, as `Prompt.tools`
    verdicts: tuple[Verdict, ...] = ()
    anchors: tuple[str, ...] = ()
    recipe: str = ""
    round: int = 0
    repeat: int = 0  # of a data set that somebody else made: how many rows alike came before this one

    def __post_init__(self) -> None:
        for turn in (*(self.messages or ()), *(self.rejected or ())):
            _checked(turn)

    @_once
    def id(self) -> str:
        """24 hexadecimal digits of content, anchors and calls."""
        parts = [f'"anchors":{canonical(self.anchors)},"calls":{canonical([call.id for call in self.calls])}']
        if self.messages is not None:
            parts.append(f'"messages":{_said(self.messages)}')
        if self.rejected is not None:
            parts.append(f'"rejected":{_said(self.rejected)}')
        if self.repeat:
            parts.append(f'"repeat":{self.repeat}')
        if self.messages is None:
            parts.append(f'"text":{encode_basestring(self.text or "")}')
        if self.tools:
            parts.append(f'"tools":{in_order(self.tools)}')
        return digest(f'{{{",".join(parts)},"v":{VERSION}}}')[:24]

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
        """The reading as readings.json has it (`kind` is called "class" there)."""
        names = ("name", "value", "low", "high", "level", "unit", "n", "estimator")
        return {name: getattr(self, name) for name in names} | {"class": self.kind, "note": self.note}

    @staticmethod
    def read(data: Mapping[str, Any]) -> Reading:
        """The reading that `json` wrote."""
        return Reading(**{("kind" if k == "class" else k): v for k, v in data.items()})


# ---------------------------------------------------------------------------------------------- protocols


@dataclass(frozen=True)
class Speed:
    """Tokens a second over `width` calls side by side, and over how many tokens that was seen. None: too short to say."""

    width: int
    reading: float | None
    tokens_read: int
    writing: float | None
    tokens_written: int


@dataclass(frozen=True)
class ModelInfo:
    """What can be known of a model without paying for more than a few small calls. None: not known."""

    uri: str
    licence: str | None = None
    context: int | None = None  # tokens of prompt and answer together
    logprobs: bool | None = None
    draws: bool | None = (
        None  # whether answers differ from draw to draw; False: it is greedy, whatever temperature is asked for
    )
    seeds: bool | None = None
    schema: bool | None = None
    reasoning: bool | None = None  # whether it thinks before it answers, in a field of its own or inline
    folds_system: bool | None = (
        None  # whether a system turn is put into the first user turn, because the template has no place for it
    )
    left_out: tuple[str, ...] = ()  # settings that the server does not take
    note: str = ""
    terms: str = ""  # what its licence asks of the data that it writes, where anything is known to follow
    tools: bool | None = None  # whether it calls a tool that it is offered
    speeds: tuple[Speed, ...] = ()  # of a model in this process
    memory: int | None = None  # the most bytes that this process held
    completes: bool | None = None  # whether it goes on with text (messages of the role "raw")


class Gate(Protocol):
    """The one gate in front of a model's calls: a call holds a place from being sent until its answer is on disk."""

    async def enter(self, rank: int) -> None:
        """Wait for a place; of those who wait the lowest rank goes first. SynthgainError: waiting is hopeless."""
        ...

    def leave(self) -> None:
        """Give the place back."""
        ...


@runtime_checkable
class Model(Protocol):
    """A way to reach M.

    `identity` is what enters the identity of every call: a content hash of the weights, or a
    server's URL and the model's name there. `width` is how many calls in flight are of use now.

    A model that paces itself (a server that pushes back) has a `gate: Gate` besides. Whoever calls such a model holds a place of its
    gate, and the model may give it back and take it again between two tries. In front of any other, the buyer keeps a gate of `width`.
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

    @overload
    def each(self, prompts: Iterable[Prompt]) -> AsyncIterator[Call]: ...
    @overload
    def each(self, prompts: Iterable[tuple[_T, Prompt]]) -> AsyncIterator[tuple[_T, Call]]: ...
    def each(self, prompts: Iterable[Any]) -> AsyncIterator[Any]:
        """Answers in the prompts' order, bought side by side; a failed one is noted as broken and left out.

        `(about, prompt)` pairs give `(about, call)`: what is asked, with why.
        """
        ...

    def side_by_side(self, conversations: Iterable[Awaitable[_T]]) -> AsyncIterator[_T]:
        """What several conversations of one group come to, in their order, each failing alone (noted as broken and left out)."""
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


Judge = Callable[["pa.Table"], Sequence[Verdict]]  # columns of some rows, in their order → one verdict a row


@runtime_checkable
class Fold(Protocol):
    """Rows in their order, each seen once: duplicates, novelty, caps. What was decided stays decided, so cost is linear in rows.

    `begin` gives a judge with a memory of its own, for one run; it is called with the next rows that are still alive, shard by
    shard (a shard ends where a draft ends). The table has the `columns` asked for, out of: id, text (what a student would read), answer,
    prompt (the last user turn), anchor_ids (list), fields (JSON), logprob, tokens_out, vector (where `embedder` is set).
    """

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    def begin(self) -> Judge: ...


@runtime_checkable
class AnchoredFold(Fold, Protocol):
    """A fold that knows the run's anchors too (novelty against seeds). Where there are anchors `begin_beside` is called in place of `begin`."""

    def begin_beside(self, anchors: Iterable[Anchor]) -> Judge: ...


@runtime_checkable
class Selection(Protocol):
    """The whole set, once, at the end: all rows still alive as columns (see `Fold`), memory-mapped; one verdict a row, in order."""

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def selects(self) -> Literal[True]: ...
    def __call__(self, table: pa.Table) -> Sequence[Verdict]: ...


AnyCheck = Check | Fold | Selection
Draft = Callable[..., AsyncIterator[Row]]  # (models, *anchors) → rows
Pick = Callable[[Corpus, Pool, int], Iterable[Group]]  # (corpus, pool, seed) → groups, advanced a wave at a time


def singly(corpus: Corpus, pool: Pool, seed: int) -> Iterable[Group]:
    """Each anchor is a group of its own."""
    return ((anchor,) for anchor in corpus)


@dataclass(frozen=True)
class Recipe:
    """φ and the rest of one system: how anchors become prompts, rows, and what decides about them.

    `draft` is an async generator function or a frozen dataclass with `__call__`; `pick` likewise is a function or a frozen dataclass
    (`pooled` = True in it, or as an attribute, where it looks at the pool: a wave then waits for the one before; `wave`: groups of a wave
    at most, so that the pool grows as often as it should). Their dataclass fields are the recipe's knobs. `needs` are fields that an anchor must have (with "?": that are used where there): they are part of an anchor's
    identity. `calls` says in words what an anchor costs. `stage` is where in a model's life the data is for. `sources` says for each knob
    where its default comes from. A draft may have properties `roles`, `fields` and `checks`, where they hang on its knobs: then its roles and fields are the recipe's, and `checks`
    holds what comes on top (`all_roles`, `all_fields`, `all_checks`). `fields` names all fields that its rows can have (none: not known), so that a check that reads another is
    refused before anything is bought.
    """

    name: str
    version: str
    draft: Draft
    roles: tuple[str, ...] = ("writer",)
    checks: tuple[AnyCheck, ...] = ()
    examples: tuple[Anchor, ...] = ()
    pick: Pick = singly
    needs: tuple[str, ...] = ()
    source: str = ""
    stage: str = ""
    anchors: str = ""
    calls: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    departures: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def all_roles(self) -> tuple[str, ...]:
        """The roles that this draft asks, with its knobs as they are."""
        return tuple(getattr(self.draft, "roles", self.roles))

    @property
    def all_fields(self) -> tuple[str, ...]:
        """All fields that rows of this draft can have, with its knobs as they are; none: not known."""
        return tuple(getattr(self.draft, "fields", self.fields))

    @property
    def all_checks(self) -> tuple[AnyCheck, ...]:
        """The draft's own checks, with its knobs as they are, then `checks`, which take the place of namesakes."""
        mine = {check.name for check in self.checks}
        return (*(check for check in getattr(self.draft, "checks", ()) if check.name not in mine), *self.checks)


Method = Literal[
    "sft", "cpt", "dpo"
]  # how rows are learnt: chats, with loss on answers; text, with loss on every token; preference pairs


class Train(Protocol):
    """W: kept rows to a student folder."""

    def __call__(self, rows: Path, out: Path) -> Path: ...


class Evaluate(Protocol):
    """Err(π): a student's readings on questions."""

    def __call__(self, student: Path) -> list[Reading]: ...
