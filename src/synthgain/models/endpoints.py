"""The endpoints of an OpenAI-compatible server: one for chats, one for text to go on with. Each learns for itself what it takes.

Text needs no template. A text that begins a turn (`begun.py`) needs the model's, which two kinds of servers write out when they are asked: llama.cpp's
(POST /apply-template) and vLLM (POST /tokenize of a chat, then /detokenize; its text holds the token that begins a text, which must not be put
before it again). Of any other server the prompt is refused before a token is bought.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from synthgain.models import protocol
from synthgain.models.answers import refusal
from synthgain.models.retries import URL_OR_NAME, Absent, Server, Standing
from synthgain.models.terms import Terms
from synthgain.types import CallFailed, Message, Model, Prompt, Sampling, SynthgainError

ABSENT = "this server does not go on with text at /completions, and the prompt is text without a chat"
ELSEWHERE = (
    "use local/… or hf/… for this role, or a server that has /completions, such as vLLM or llama.cpp's (of self-instruct, --set base=false "
    f"asks in chats); where it has it, {URL_OR_NAME}"
)
NO_TEMPLATE = "this server does not say what its model's chat template writes, and the prompt begins a turn of it"
TEMPLATE_ELSEWHERE = "use local/… or hf/… for this role, llama.cpp's server or vLLM; the recipe magpie can have the template written out (its knobs template and opening)"
CHATS_ONLY = re.compile(r"completions? api|v1/completions endpoint|chat model", re.IGNORECASE)
KEPT = 4096  # chats whose text is remembered


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unwritten(Exception):
    """A server that is to say what its template writes is busy, or fails: `reply` says how, as one to the call itself would."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass
class Endpoint:
    """One address of a server: how it fares there, and what it was found to take."""

    url: URL
    server: Server
    terms: Terms

    def learn(self, terms: Terms, law: Sampling) -> list[str]:
        """What was served under these terms holds for all calls from now on; what is new in them, in words."""
        self.server.standing.laws.add(law)
        if terms is (known := self.terms):
            return []
        self.terms = Terms(known.without | terms.without, known.folded or terms.folded)
        return self.terms.said(known)


@dataclass
class Templates:
    """What the template of the model `name` writes, as its server says. `post` sends a JSON body to a URL of the server."""

    name: str
    root: URL
    where: str
    post: Callable[[URL, bytes], Awaitable[Reply]]
    begins: bool = False  # whether the text holds the token that begins a text
    _known: dict[str, str] = field(default_factory=dict)

    async def __call__(self, chat: Sequence[Message]) -> str:
        """The chat with the opening of an answer. SynthgainError: no such server. CallFailed: the template refuses it. Unwritten: not now."""
        turns = protocol.sent(chat)
        key = json.dumps(turns)
        if (text := self._known.get(key)) is not None:
            return text
        if (told := await self._told("apply-template", messages=turns)) is not None:
            text = told.get("prompt")
        elif (told := await self._told("tokenize", messages=turns, add_generation_prompt=True)) is not None:
            tokens = told.get("tokens")
            again = await self._told("detokenize", tokens=tokens) if isinstance(tokens, list) and tokens else None
            text, self.begins = (again or {}).get("prompt"), True
        if not isinstance(text, str) or not text:
            raise SynthgainError(NO_TEMPLATE, where=self.where, next=TEMPLATE_ELSEWHERE)
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[key] = text
        return text

    async def _told(self, path: str, **asked: Any) -> dict[str, Any] | None:
        """The JSON that the server gives there; None where it has no such address."""
        reply = await self.post(self.root / path, json.dumps({"model": self.name, **asked}).encode())
        if reply.status >= 500 or reply.status in (408, 429):
            raise Unwritten(reply)
        try:
            body = json.loads(reply.body)
        except (ValueError, RecursionError):
            body = None
        if reply.status == 200:
            return body if isinstance(body, dict) else None
        if reply.status in (400, 422):
            raise CallFailed(f"the model's chat template refuses this chat: {refusal(reply.status, body).said[:300]}")
        return None


def for_text(chats: Endpoint) -> Endpoint:
    """The endpoint for text beside the one for chats. A server that has none says it with 404 or 405, or in words."""
    apart = replace(chats.server, standing=Standing(), absent=ABSENT, instead=ELSEWHERE, never=CHATS_ONLY)
    return Endpoint(chats.url.parent.parent / "completions", apart, chats.terms)


async def goes_on(model: Model) -> tuple[bool | None, str]:
    """Whether a model goes on with text, found out with one token of it; None where that is not known, with the reason."""
    text = Prompt((Message(role="raw", content="Once upon a time"),), sampling=Sampling(max_tokens=1))
    try:
        await model(text)
    except Absent:
        return False, ""
    except (CallFailed, SynthgainError) as error:
        why = error.what if isinstance(error, SynthgainError) else error
        return None, f"whether it goes on with text is not known: {why}"
    return True, ""


def was_closed(error: Exception) -> bool:
    """Whether a request met a connection that the server had closed while nothing was going on (no matter how)."""
    gone = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
    return gone and not isinstance(error, aiohttp.ClientConnectorError)


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
