"""M behind any OpenAI-compatible server: POST {base_url}/chat/completions over HTTP.

Whoever calls holds a place of `gate` from before the call until the answer is on disk; the model gives it back between two
tries only. A call for which nobody holds a place takes one itself, for as long as it lasts.

A task that is cancelled closes its connection, and an answer in flight is then lost (the server may have charged for
it). So whoever stops a run stops asking and waits for the calls in flight.

What a reply means is read in `answers.py`, what the server takes is learnt in `terms.py`, and when to try again is decided in
`retries.py`.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from synthgain.models import protocol
from synthgain.models.answers import NONE_GIVEN, NOT_LAW, Answer, read
from synthgain.models.pacing import USUAL, Gate, Window
from synthgain.models.prices import Price, known_price
from synthgain.models.retries import KEY, TRIES, URL_OR_NAME, Retries, Server
from synthgain.models.terms import EXTRAS, SAMPLERS, Bodies, Terms, extra_fields
from synthgain.thinking import apart
from synthgain.types import Call, CallFailed, ModelInfo, Prompt, Sampling, SynthgainError, canonical, system, user

LARGE = 1 << 20  # bytes of a body that aiohttp wants to send piece by piece
NO_TEXT = "this prompt is text to go on with, without a chat template, and a server is asked in chats only"
CHATS_ONLY = "use local/… or hf/… for this role; of self-instruct, --set base=false asks in chats"
AT_ONCE = 2.0  # seconds within which a connection that the server had closed already fails
CONTEXT = (
    "loaded_context_length",
    "max_model_len",
    "context_length",
    "context_window",
    "n_ctx",
)  # names in lists of models
LONG = 1024  # tokens, of a prompt for which it is worth asking how long the model's context is


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OpenAI:
    """The model NAME at `base_url`; `uri` is the name that it goes by in records.

    `deadline` is in seconds for one try; `served_as` stands for the URL in the identity of calls. `extra` are further fields of
    every request (part of the identity: they can change answers), `headers` further headers (no part of it, and never shown).
    Without `price`, the list price of the seller is used where the table has one, else cost is None. `learnt` says in words what
    the server was found not to take.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        uri: str = "",
        api_key: str = "",
        served_as: str = "",
        price: Price | None = None,
        concurrency: int | None = None,
        deadline: float = 600.0,
        logprobs: bool = True,
        unreachable_after: float = USUAL,
        requests_per_minute: float | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        tries: int = TRIES,
    ) -> None:
        self._url = endpoint(base_url)
        server = str(self._url).removesuffix("/chat/completions")
        if not api_key.isprintable():
            raise SynthgainError("the key holds a line break or another character that no key has", next=KEY)
        where, more = f"openai/{name} at {server}", extra_fields(extra or {}, f"openai/{name}")
        self._name, self._uri = name, uri or f"openai/{name}"
        self._identity = canonical([served_as or server, name, *([json.loads(more)] if more else [])])
        self._samplers = ", ".join(sorted(SAMPLERS.intersection(extra or {})))
        self._bodies = Bodies(name, more)
        self.price = price or known_price(name, self._url.host or "")
        self._connect = max(1.0, min(10.0, unreachable_after / 3))
        self._headers = dict(headers or {})
        self._server = Server(where, api_key, deadline, tuple(self._headers.values()), tries)
        self._standing = self._server.standing
        self._window = Window(concurrency)
        spacing = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self.gate = Gate(self._window, where, unreachable_after=unreachable_after, spacing=spacing)
        strict = EXTRAS if self._url.host == "api.openai.com" else ()
        self._terms = Terms(frozenset((*strict, *(() if logprobs else ("logprobs",)))))
        self.learnt: list[str] = []
        self._length: asyncio.Future[int | None] | None = None  # the context's, once asked for
        self._loop: asyncio.AbstractEventLoop | None = None
        self._afresh: aiohttp.ClientSession | None = None

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def width(self) -> int:
        return self._window.size

    def served_before(self) -> None:
        """Whoever remembers answers of this model says so: where it then forbids a prompt (403), it forbids that one alone."""
        self._standing.known = True

    # ------------------------------------------------------------------------------------------ one call

    async def __call__(self, prompt: Prompt) -> Call:
        gate, standing = self.gate, self._standing
        own = standing.calls >= gate.held + gate.aside  # every place has its call already: nobody holds one for this
        if own:
            await gate.enter(0)
        standing.begin()
        served = False
        try:
            call = await self._answer(prompt)
            served = True
            return call
        finally:
            standing.end(served=served)
            if own:
                gate.leave()

    async def _answer(self, prompt: Prompt) -> Call:
        """The answer, after as many tries as it takes; a place is held when one begins, and at the end."""
        if any(turn["role"] == "raw" for turn in prompt.messages):
            raise SynthgainError(NO_TEXT, where=self._server.where, next=CHATS_ONLY)
        self._opened()
        await self._refuse_too_long(prompt)
        id, gate, terms = prompt.id(self._identity), self.gate, self._terms
        retries: Retries | None = None
        generation, fresh = gate.generation, False
        while True:
            await gate.turn()
            body, began = self._bodies(prompt, id, terms), monotonic()
            failure: Exception | None = None
            try:
                reply = await self._post(body, fresh=fresh)
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError, too
                if not fresh and _was_closed(error) and monotonic() - began < AT_ONCE:
                    fresh = True  # nothing has failed: another connection serves it
                    continue
                failure = error
            else:
                now = monotonic()
                answer = read(reply.status, reply.body, prompt.sampling)
                if isinstance(answer, Answer):
                    gate.answered(began, now, answer.tokens_out)
                    self._learn(terms, prompt.sampling)
                    return self._call(prompt, id, answer, now - began)
            retries = retries or Retries(self._server, gate, id, generation)
            if failure is not None:
                await retries.unanswered(failure, began)
            else:
                assert not isinstance(answer, Answer)
                terms = await retries.unserved(answer, reply.headers, began, terms, prompt)

    def _learn(self, terms: Terms, law: Sampling) -> None:
        """What was served under these terms holds for all calls from now on."""
        self._standing.laws.add(law)
        if terms is (known := self._terms):
            return
        self._terms = Terms(known.without | terms.without, known.folded or terms.folded)
        self.learnt += self._terms.said(known)

    def _call(self, prompt: Prompt, id: str, answer: Answer, seconds: float) -> Call:
        logprob, law = answer.logprob, answer.law
        if self._samplers and law != NONE_GIVEN:
            logprob, law = None, f"{NOT_LAW}{self._samplers} (extra fields)"
        cost = None
        if self.price is not None and answer.counted:
            cost = self.price.cost(answer.tokens_in, answer.tokens_out, answer.tokens_cached)
        call = Call(
            id,
            prompt,
            answer.message,
            self._uri,
            answer.finish,
            answer.tokens_in,
            answer.tokens_out,
            answer.tokens_cached,
            logprob,
            law,
            cost,
            seconds,
        )
        return apart(call)

    async def _refuse_too_long(self, prompt: Prompt) -> None:
        """CallFailed, before anything is sent, where the prompt alone has more tokens than the context that the server tells."""
        if sum(len(turn["content"]) for turn in prompt.messages) < 2 * LONG or prompt.least < LONG:
            return
        if self._length is None:
            self._length = asyncio.ensure_future(self._context())
        context = await asyncio.shield(self._length)
        if context is not None and prompt.least >= context:
            raise CallFailed(f"longer than the model's context of {context:,} tokens: not asked")

    # ------------------------------------------------------------------------------------------ the session

    def _opened(self) -> None:
        """One keep-alive session for the running loop. The gate decides how many connections there are."""
        if self._loop is asyncio.get_running_loop():
            return
        self._loop, self._length = asyncio.get_running_loop(), None
        self._session, self._afresh = self._session_with(aiohttp.TCPConnector(limit=0)), None

    def _session_with(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json", "User-Agent": "synthgain"}
        if self._server.key:
            headers["Authorization"] = f"Bearer {self._server.key}"
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers | self._headers,
            timeout=aiohttp.ClientTimeout(total=self._server.deadline, sock_connect=self._connect),
            proxy=proxy_of(self._url),
        )

    async def _post(self, body: bytes, *, fresh: bool) -> Reply:
        """The reply; aiohttp.ClientError or OSError where there is none. `fresh`: on a connection that was never used."""
        data = body if len(body) < LARGE else io.BytesIO(body)
        session = self._session
        if fresh:
            if self._afresh is None:
                self._afresh = self._session_with(aiohttp.TCPConnector(limit=0, force_close=True))
            session = self._afresh
        async with session.post(self._url, data=data, allow_redirects=False) as response:
            return Reply(response.status, response.headers, await response.read())

    async def aclose(self) -> None:
        if self._loop is not None:
            self._loop = None
            if self._length is not None:
                self._length.cancel()
            await self._session.close()
            if self._afresh is not None:
                await self._afresh.close()

    # ------------------------------------------------------------------------------------------ what it is

    async def info(self) -> ModelInfo:
        """What the server says of the model: its list of models, and one call of at most 64 tokens (a second one where it was cut off)."""
        self._opened()
        context = await self._context()
        shape = {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        }
        turns = (system("You answer briefly."), user("Say hello."))
        call: Call | None = None
        for most in (64, 1024):  # a model that thinks may refuse few tokens, or not come to the answer
            ask = Prompt(turns, sampling=Sampling(max_tokens=most), schema=shape)
            try:
                call = apart(await self(ask))
                if _obeyed(call, self._terms) is not None:
                    break
            except CallFailed as error:
                if "response_format" in str(error) or "schema" in str(error):
                    self._terms = replace(self._terms, without=self._terms.without | {"response_format"})
                failed = error
        if call is None:
            raise SynthgainError(str(failed), where=self._server.where, next=URL_OR_NAME, code=4) from failed
        terms = self._terms
        return ModelInfo(
            self._uri,
            context=context,
            logprobs=call.logprob is not None,
            seeds=False if "seed" in terms.without else None,
            schema=_obeyed(call, terms),
            reasoning="reasoning" in call.message,
            folds_system=terms.folded,
            left_out=tuple(sorted(terms.without)),
            note="; ".join(self.learnt),
        )

    async def _context(self) -> int | None:
        """The context length in tokens that the server tells: in its list of models, or (llama.cpp) among its properties. Both are optional."""
        root = self._url.parent.parent
        listed = await self._told(root / "models")
        data = listed.get("data") if isinstance(listed, dict) else None
        entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
        for entry in entries:
            if len(entries) == 1 or entry.get("id") == self._name:
                meta = entry.get("meta")
                held = entry | (meta if isinstance(meta, dict) else {})
                if length := next(filter(None, (protocol.count(held.get(name)) for name in CONTEXT)), None):
                    return length
        properties = await self._told(root.parent / "props")
        usual = properties.get("default_generation_settings") if isinstance(properties, dict) else None
        return protocol.count(usual.get("n_ctx")) or None if isinstance(usual, dict) else None

    async def _told(self, url: URL) -> Any:
        """The JSON at a URL of the server; None where there is none: the call says whether the server is there."""
        try:
            async with asyncio.timeout(self._connect), self._session.get(url, allow_redirects=False) as response:
                return json.loads(await response.read()) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, ValueError, RecursionError):
            return None


def _was_closed(error: Exception) -> bool:
    """Whether a request met a connection that the server had closed while nothing was going on (no matter how)."""
    gone = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
    return gone and not isinstance(error, aiohttp.ClientConnectorError)


def _obeyed(call: Call, terms: Terms) -> bool | None:
    """Whether an answer follows the schema that was asked for; None where it was cut off."""
    if "response_format" in terms.without:
        return False
    try:
        return isinstance(json.loads(call.text), dict)
    except (ValueError, RecursionError):
        return None if call.finish == "length" else False


def endpoint(base_url: str) -> URL:
    """The URL of chat completions under a base URL, scheme and host in lower case, no slash at the end."""
    if re.search(r"^[^/]*@|//[^/]*@", base_url):
        raise SynthgainError(
            "the base URL holds a user or a password, which would be written down",
            next="put the key into OPENAI_API_KEY (of one role: OPENAI_API_KEY_ROLE, such as OPENAI_API_KEY_JUDGE)",
        )
    wrong = SynthgainError(
        f"{base_url!r} is no base URL of a server",
        next="write it like http://HOST:PORT/v1 (--base-url, OPENAI_BASE_URL or openai/NAME@URL)",
    )
    try:
        url = URL(base_url.strip())
    except ValueError as error:
        raise wrong from error
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment or url.user:
        raise wrong
    return URL.build(
        scheme=url.scheme,
        host=url.host,
        port=url.explicit_port,
        path=url.path.rstrip("/").removesuffix("/chat/completions") + "/chat/completions",
    )


def proxy_of(url: URL) -> URL | None:
    """The proxy that the environment names for this host, never for this machine itself."""
    host = url.host or ""
    found = None if host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(host) else getproxies().get(url.scheme)
    return URL(found) if found else None
