"""M behind any OpenAI-compatible server: POST {base_url}/chat/completions over HTTP, and {base_url}/completions for text to go on with.

Whoever calls holds a place of `gate` from before the call until the answer is on disk; the model gives it back between two
tries only. A call for which nobody holds a place takes one itself, for as long as it lasts.

A task that is cancelled closes its connection, and an answer in flight is then lost (the server may have charged for
it). So whoever stops a run stops asking and waits for the calls in flight.

What a reply means is read in `answers.py`, what the server takes is learnt in `terms.py`, when to try again is decided in
`retries.py`, and what differs between chats and text stands in `endpoints.py`.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

import aiohttp
from yarl import URL

from synthgain.models import protocol
from synthgain.models.answers import NONE_GIVEN, NOT_LAW, Answer, read
from synthgain.models.begun import NO_TOOLS, before, is_text, text_of
from synthgain.models.endpoints import (
    Endpoint,
    Reply,
    Templates,
    Unwritten,
    endpoint,
    for_text,
    goes_on,
    proxy_of,
    was_closed,
)
from synthgain.models.pacing import USUAL, Gate, Window
from synthgain.models.prices import Price, known_price
from synthgain.models.retries import KEY, TRIES, URL_OR_NAME, Retries, Server
from synthgain.models.terms import EXTRAS, SAMPLERS, Bodies, Terms, extra_fields
from synthgain.thinking import apart
from synthgain.types import Call, CallFailed, ModelInfo, Prompt, Sampling, SynthgainError, canonical, system, user

LARGE = 1 << 20  # bytes of a body that aiohttp wants to send piece by piece
AT_ONCE = 2.0  # seconds within which a connection that the server had closed already fails
CONTEXT = (
    "loaded_context_length",
    "max_model_len",
    "context_length",
    "context_window",
    "n_ctx",
)  # names in lists of models
LONG = 1024  # tokens, of a prompt for which it is worth asking how long the model's context is


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
        self._window = Window(concurrency)
        spacing = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self.gate = Gate(self._window, where, unreachable_after=unreachable_after, spacing=spacing)
        strict = EXTRAS if self._url.host == "api.openai.com" else ()
        terms = Terms(frozenset((*strict, *(() if logprobs else ("logprobs",)))))
        self._chats = Endpoint(self._url, self._server, terms)
        self._texts = for_text(self._chats)
        self._templates = Templates(name, self._url.parent.parent.parent, where, self._post)
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
        self._chats.server.standing.known = self._texts.server.standing.known = True

    # ------------------------------------------------------------------------------------------ one call

    async def __call__(self, prompt: Prompt) -> Call:
        gate, at = self.gate, self._texts if is_text(prompt.messages) else self._chats
        standing, calls = at.server.standing, self._chats.server.standing.calls + self._texts.server.standing.calls
        own = calls >= gate.held + gate.aside  # every place has its call already: nobody holds one for this
        if own:
            await gate.enter(0)
        standing.begin()
        served = False
        try:
            call = await self._answer(prompt, at)
            served = True
            return call
        finally:
            standing.end(served=served)
            if own:
                gate.leave()

    async def _answer(self, prompt: Prompt, at: Endpoint) -> Call:
        """The answer, after as many tries as it takes; a place is held when one begins, and at the end."""
        if prompt.tools and at is self._texts:
            raise CallFailed(NO_TOOLS)
        self._opened()
        await self._refuse_too_long(prompt)
        id, gate, terms = prompt.id(self._identity), self.gate, at.terms
        retries: Retries | None = None
        generation, fresh = gate.generation, False
        while True:
            await gate.turn()
            began = monotonic()
            failure: Exception | None = None
            try:
                reply = await self._sent(prompt, id, terms, at, fresh=fresh)
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError, too
                if not fresh and was_closed(error) and monotonic() - began < AT_ONCE:
                    fresh = True  # nothing has failed: another connection serves it
                    continue
                failure = error
            else:
                now = monotonic()
                answer = read(reply.status, reply.body, prompt.sampling, text=at is self._texts)
                if isinstance(answer, Answer):
                    gate.answered(began, now, answer.tokens_out)
                    self.learnt += at.learn(terms, prompt.sampling)
                    return self._call(prompt, id, answer, now - began)
            retries = retries or Retries(at.server, gate, id, generation)
            if failure is not None:
                await retries.unanswered(failure, began)
            else:
                assert not isinstance(answer, Answer)
                terms = await retries.unserved(answer, reply.headers, began, terms, prompt)

    async def _sent(self, prompt: Prompt, id: str, terms: Terms, at: Endpoint, *, fresh: bool) -> Reply:
        """The reply to a call. Before a text that begins a turn stands what the server says that its template writes."""
        if at is self._chats:
            return await self._post(at.url, self._bodies(prompt, id, terms), fresh=fresh)
        chat = before(prompt.messages)
        try:
            text = text_of(prompt.messages, await self._templates(chat) if chat else "")
        except Unwritten as busy:
            return busy.reply
        body = self._bodies.of_text(text, prompt, id, terms, begins=bool(chat) and self._templates.begins)
        return await self._post(at.url, body, fresh=fresh)

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

    async def _post(self, url: URL, body: bytes, *, fresh: bool = False) -> Reply:
        """The reply; aiohttp.ClientError or OSError where there is none. `fresh`: on a connection that was never used."""
        data = body if len(body) < LARGE else io.BytesIO(body)
        session = self._session
        if fresh:
            if self._afresh is None:
                self._afresh = self._session_with(aiohttp.TCPConnector(limit=0, force_close=True))
            session = self._afresh
        async with session.post(url, data=data, allow_redirects=False) as response:
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
        """What the server says of the model: its list of models, a call of at most 64 tokens (a second one where it was cut off), a token of text."""
        self._opened()
        context = await self._context()
        call = await self._obliged()
        completes, why = await goes_on(self)
        if isinstance(call, CallFailed):
            if not completes:
                raise SynthgainError(str(call), where=self._server.where, next=URL_OR_NAME, code=4) from call
            return ModelInfo(
                self._uri, context=context, completes=True, note=f"it goes on with text, and takes no chats: {call}"
            )
        terms = self._chats.terms
        return ModelInfo(
            self._uri,
            context=context,
            logprobs=call.logprob is not None,
            seeds=False if "seed" in terms.without else None,
            schema=_obeyed(call, terms),
            reasoning="reasoning" in call.message,
            folds_system=terms.folded,
            left_out=tuple(sorted(terms.without)),
            note="; ".join((*self.learnt, *([why] if why else []))),
            completes=completes,
        )

    async def _obliged(self) -> Call | CallFailed:
        """A small answer under a schema; why there is none."""
        shape = {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        }
        turns = (system("You answer briefly."), user("Say hello."))
        found: Call | CallFailed = CallFailed()
        for most in (64, 1024):  # a model that thinks may refuse few tokens, or not come to the answer
            ask = Prompt(turns, sampling=Sampling(max_tokens=most), schema=shape)
            try:
                found = apart(await self(ask))
                if _obeyed(found, self._chats.terms) is not None:
                    break
            except CallFailed as error:
                if "response_format" in str(error) or "schema" in str(error):
                    known = self._chats.terms
                    self._chats.terms = replace(known, without=known.without | {"response_format"})
                found = found if isinstance(found, Call) else error
        return found

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


def _obeyed(call: Call, terms: Terms) -> bool | None:
    """Whether an answer follows the schema that was asked for; None where it was cut off."""
    if "response_format" in terms.without:
        return False
    try:
        return isinstance(json.loads(call.text), dict)
    except (ValueError, RecursionError):
        return None if call.finish == "length" else False
