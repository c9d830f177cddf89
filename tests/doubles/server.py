"""An OpenAI-compatible server that really listens, in a process of its own, with faults on order.

    with served(latency=0.05) as server:
        model = OpenAI("double", base_url=server.base_url)

or by hand: `python tests/doubles/server.py --latency 0.05 --port 8000`. Answers are words drawn by a
hash of the request's body, so equal bodies (seed included) have equal answers.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from email.utils import formatdate
from itertools import pairwise
from typing import Any

from aiohttp import web

WORDS = tuple(a + b for a in ("ba", "ce", "di", "fo") for b in ("lan", "mer", "nit", "por"))  # 16, uniform


@dataclass(frozen=True)
class Plan:
    """How the server behaves. `first` counts run over requests in order of arrival, faults in the order below."""

    latency: float = 0.0  # seconds an answer takes
    capacity: int = 0  # 0: no limit; else latency grows as in_flight / capacity beyond it
    words: int = 8  # length of an answer, in words (= tokens)
    logprobs: str = "given"  # "given", "absent", "refused" (400), "nan"
    usage: bool = True
    cached: int = 0  # prompt tokens said to come from cache
    finish: str = "stop"
    content: str | None = "words"  # "words", or None: the answer has no content
    message: str = ""  # JSON: keys of the answer's message besides
    answer: str = ""  # the whole body of every answer, whatever it is
    text: str = ""  # the content of every answer, in place of words
    thinks: int = 0  # so many tokens go into reasoning_content before the content begins
    key: str = ""  # the only API key let in
    model: str = ""  # the only model there is
    no_text: int = 0  # status of /completions, which it then has not
    no_text_says: str = ""  # … and what it says
    no_chat: str = ""  # what it says (400) to every chat
    template: str = ""  # how it tells its chat template: "apply" as llama.cpp, "tokenize" as vLLM
    loading: int = 0  # so many requests for it get 503 before
    window: int = 0  # context length that /models gives
    schema: bool = True  # a response_format is obeyed
    refuse: str = ""  # name of one more parameter that is refused with 400
    never_both: str = ""  # "temperature,top_p": 400 where a request has both
    least: int = 0  # fewer tokens to answer than this: 400
    streams: bool = False  # as server-sent events, unless the request says "stream": false
    no_system: int = 0  # status of a request with a system turn, or without user and assistant in turns
    forbid: str = ""  # prompts with this text get 403 always
    reads: int = 0  # of a longer prompt it reads only so many words, the last ones
    hangs_up: bool = False  # the second request of a connection finds it reset
    poison: str = ""  # prompts with this text get 400 always
    broken: str = ""  # prompts with this text get 500 always
    stuck: str = ""  # prompts with this text take an hour
    busy_first: int = 0  # so many requests get 429
    busy_for: float = 0.0  # for so many seconds from the first request, everybody gets 429
    busy_over: int = 0  # more requests than this at once: 429
    retry_after: str = ""  # the header's value; "date:SECONDS" makes an HTTP date
    fault_after: int = 0  # from this request on,
    fault_first: int = 0  # … so many requests get `fault`
    fault: int = 500
    drop_first: int = 0  # then so many are disconnected without an answer
    malformed_first: int = 0  # then so many get half a JSON text


class Double:
    """The handler and its counts."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.asked = self.served = self.in_flight = self.most_in_flight = self.connections = 0
        self.statuses: dict[str, int] = {}
        self.began = 0.0
        self.left = {
            "busy": plan.busy_first,
            "fault": plan.fault_first,
            "drop": plan.drop_first,
            "malformed": plan.malformed_first,
            "loading": plan.loading,
        }
        self.last: dict[str, Any] = {}
        self.heads: dict[str, str] = {}
        self.times: list[float] = []
        self.peers: set[Any] = set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return web.json_response(self.stats() if request.path == "/stats" else self.models())
        raw = await request.content.read()
        self.asked += 1
        self.began = self.began or time.monotonic()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.heads, peer = dict(request.headers), self.peer(request)
        self.times.append(time.monotonic())
        if self.plan.hangs_up and peer in self.peers:
            self.in_flight -= 1
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        self.peers.add(peer)
        try:
            told = self.told(request.path, raw)
            answer = await self.answer(request, raw) if told is None else told
        finally:
            self.in_flight -= 1
        self.statuses[str(answer.status)] = self.statuses.get(str(answer.status), 0) + 1
        return answer

    @staticmethod
    def peer(request: web.BaseRequest) -> Any:
        return request.transport.get_extra_info("peername") if request.transport else None

    def stats(self) -> dict[str, Any]:
        names = ("asked", "served", "in_flight", "most_in_flight", "statuses", "last", "heads", "times")
        return {name: getattr(self, name) for name in names} | {"connections": len(self.peers)}

    def models(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": self.plan.model or "double", "object": "model"}
        return {"object": "list", "data": [entry | ({"max_model_len": self.plan.window} if self.plan.window else {})]}

    def told(self, path: str, raw: bytes) -> web.Response | None:
        """What the chat template writes, at the addresses of llama.cpp and of vLLM; None: another address."""
        of = path.rpartition("/")[2]
        if of not in ("apply-template", "tokenize", "detokenize"):
            return None
        if (self.plan.template, of) not in (
            ("apply", "apply-template"),
            ("tokenize", "tokenize"),
            ("tokenize", "detokenize"),
        ):
            return refusal(404, f"no route {path}")
        if self.plan.loading and self.take("loading"):
            return refusal(503, "Loading model")
        body = json.loads(raw)
        if of == "detokenize":
            return web.json_response({"prompt": "<s>" + "".join(map(chr, body["tokens"]))})
        if self.plan.no_system and body["messages"][:1] and body["messages"][0]["role"] == "system":
            return refusal(400, "System role not supported")
        text = written(body["messages"])
        return web.json_response({"prompt": text} if of == "apply-template" else {"tokens": [ord(c) for c in text]})

    def take(self, what: str) -> bool:
        self.left[what] -= 1
        return self.left[what] >= 0

    async def answer(self, request: web.BaseRequest, raw: bytes) -> web.StreamResponse:
        plan = self.plan
        if plan.key and request.headers.get("Authorization") != f"Bearer {plan.key}":
            return refusal(401, f"Incorrect API key provided: {request.headers.get('Authorization')}")
        if not request.path.endswith("/completions"):
            return refusal(404, f"no route {request.path}")
        text = not request.path.endswith("/chat/completions")
        if text and plan.no_text:
            return refusal(plan.no_text, plan.no_text_says or f"no route {request.path}")
        if plan.no_chat and not text:
            return refusal(400, plan.no_chat)
        if plan.busy_first or plan.busy_for or plan.busy_over:
            over = plan.busy_over and self.in_flight > plan.busy_over
            if over or self.take("busy") or time.monotonic() - self.began < plan.busy_for:
                return refusal(429, "too many requests", headers=retry_after(plan.retry_after))
        if plan.fault_first and self.asked > plan.fault_after and self.take("fault"):
            return refusal(plan.fault, "a fault on order", headers=retry_after(plan.retry_after))
        if plan.drop_first and self.take("drop"):
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        asked = json.loads(raw)
        self.last = asked
        said = asked["prompt"] if text else "\n".join(m["content"] for m in asked["messages"])
        wrong = self.wrong(asked, said)
        if wrong is not None:
            return wrong
        wait = plan.latency * (max(1.0, self.in_flight / plan.capacity) if plan.capacity else 1.0)
        if plan.stuck and plan.stuck in said:
            wait = 3600.0
        if wait:
            await asyncio.sleep(wait)
        if plan.malformed_first and self.take("malformed"):
            return web.Response(text='{"choices": [{"message": ', content_type="application/json")
        self.served += 1
        if plan.answer:
            return web.Response(text=plan.answer, content_type="application/json")
        reply = self.words(asked, said, raw)
        if plan.streams and asked.get("stream", True):
            return web.Response(text=as_events(reply), content_type="text/event-stream")
        return web.Response(body=json.dumps(reply).encode(), content_type="application/json")

    def wrong(self, asked: dict[str, Any], said: str) -> web.Response | None:
        plan = self.plan
        if plan.model and asked["model"] != plan.model:
            return refusal(404, f"The model {asked['model']!r} does not exist")
        if plan.poison and plan.poison in said:
            return refusal(400, "this prompt cannot be served")
        if plan.broken and plan.broken in said:
            return refusal(500, "this prompt breaks the server")
        if plan.forbid and plan.forbid in said:
            return refusal(403, "this prompt is forbidden")
        roles = [m["role"] for m in asked.get("messages", ())]
        if plan.no_system and roles[:1] == ["system"]:
            return refusal(plan.no_system, "Error in the chat template: System role not supported")
        if plan.no_system and any(a == b for a, b in pairwise(roles)):
            return refusal(plan.no_system, "Conversation roles must alternate user/assistant/user/assistant/...")
        if asked.get("max_tokens", plan.least) < plan.least:
            return refusal(400, f"max_tokens must be at least {plan.least} for a model that thinks")
        both = [name for name in plan.never_both.split(",") if name in asked]
        if len(both) > 1:
            return refusal(400, f"`{both[0]}` and `{both[1]}` cannot both be specified for this model.")
        for name in (plan.refuse, "logprobs" if plan.logprobs == "refused" else ""):
            if name and name in asked:
                return refusal(400, f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
        return None

    def words(self, asked: dict[str, Any], said: str, raw: bytes) -> dict[str, Any]:
        """The answer's body."""
        plan = self.plan
        most = asked.get("max_tokens") or asked.get("max_completion_tokens") or plan.words + plan.thinks
        n = min(plan.words, max(0, most - plan.thinks))
        noise = hashlib.shake_128(raw).digest(n)
        text = plan.text or " ".join([WORDS[byte & 15] for byte in noise])
        if plan.schema and "response_format" in asked:
            text = json.dumps({name: True for name in asked["response_format"]["json_schema"]["schema"]["properties"]})
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text if plan.content is not None else None},
            "finish_reason": plan.finish,
        }
        choice["message"] |= json.loads(plan.message or "{}")
        if plan.thinks:
            thought = min(plan.thinks, most)
            choice["message"]["reasoning_content"] = "hmm " * thought
            choice["finish_reason"] = plan.finish if thought + n < most else "length"
            n += thought
        if asked.get("logprobs") and plan.logprobs in ("given", "nan"):
            each = -math.log(16) if plan.logprobs == "given" else math.nan
            choice["logprobs"] = {"content": [{"token": word, "logprob": each} for word in text.split()]}
        if "prompt" in asked:
            choice = as_text(choice)
        reply: dict[str, Any] = {
            "id": "chatcmpl-double",
            "object": "chat.completion",
            "model": asked["model"],
            "choices": [choice],
        }
        if plan.usage:
            came_in = min(len(said.split()), plan.reads or sys.maxsize)
            reply["usage"] = {"prompt_tokens": came_in, "completion_tokens": n, "total_tokens": came_in + n}
            if plan.cached:
                reply["usage"]["prompt_tokens_details"] = {"cached_tokens": plan.cached}
        return reply


def written(turns: list[dict[str, Any]]) -> str:
    """What the double's chat template makes of a chat, with the opening of an answer."""
    return "".join(f"<{turn['role']}>{turn['content'].strip()}</>" for turn in turns) + "<assistant>"


def as_text(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice as /completions has it: `text`, and log-probabilities side by side in lists."""
    content = (choice.get("logprobs") or {}).get("content")
    values = (
        {"tokens": [t["token"] for t in content], "token_logprobs": [t["logprob"] for t in content]}
        if content
        else None
    )
    return {
        "index": choice["index"],
        "text": choice["message"]["content"] or "",
        "finish_reason": choice["finish_reason"],
        "logprobs": values,
    }


def as_events(reply: dict[str, Any]) -> str:
    """The same answer as a stream: a piece for each three characters, then how it ended, then the counts."""
    choice = reply["choices"][0]
    if "text" in choice:
        return as_text_events(reply, choice)
    message = choice["message"]
    content = message["content"] or ""
    pieces: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}}]
    pieces += [{"delta": {"content": content[i : i + 3]}} for i in range(0, len(content), 3)]
    if message.get("reasoning_content"):
        pieces.insert(1, {"delta": {"reasoning_content": message["reasoning_content"]}})
    for token in (choice.get("logprobs") or {}).get("content", ()):
        pieces.append({"delta": {}, "logprobs": {"content": [token]}})
    pieces.append({"delta": {}, "finish_reason": choice["finish_reason"]})
    chunks: list[dict[str, Any]] = [{"choices": [piece | {"index": 0}]} for piece in pieces]
    chunks.append({"choices": [], "usage": reply.get("usage")})
    head = {"id": reply["id"], "object": "chat.completion.chunk"}
    return "".join(f"data: {json.dumps(head | chunk)}\n\n" for chunk in chunks) + ": bye\n\ndata: [DONE]\n\n"


def as_text_events(reply: dict[str, Any], choice: dict[str, Any]) -> str:
    """The same of /completions: a piece for each word, with its log-probability."""
    words = choice["text"].split(" ")
    values = (choice["logprobs"] or {}).get("token_logprobs")
    pieces: list[dict[str, Any]] = []
    for at, word in enumerate(words):
        piece: dict[str, Any] = {"text": word if at == 0 else f" {word}", "finish_reason": None}
        if values:
            piece["logprobs"] = {"tokens": [word], "token_logprobs": [values[at]]}
        pieces.append(piece)
    pieces.append({"text": "", "finish_reason": choice["finish_reason"]})
    chunks: list[dict[str, Any]] = [{"choices": [piece | {"index": 0}]} for piece in pieces]
    chunks.append({"choices": [], "usage": reply.get("usage")})
    return (
        "".join(f"data: {json.dumps({'object': 'text_completion'} | chunk)}\n\n" for chunk in chunks)
        + "data: [DONE]\n\n"
    )


def refusal(
    status: int, message: str, *, param: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """An error as OpenAI's servers word it."""
    return web.json_response(
        {"error": {"message": message, "type": "double", "param": param}}, status=status, headers=headers
    )


def retry_after(value: str) -> dict[str, str]:
    """The header; "date:SECONDS" as an HTTP date so far ahead."""
    if value.startswith("date:"):
        value = formatdate(time.time() + float(value[5:]), usegmt=True)
    return {"Retry-After": value} if value else {}


class Stage:
    """The double of now: POST /plan puts a new one, with zero counts, in its place."""

    def __init__(self, plan: Plan) -> None:
        self.double = Double(plan)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/plan":
            self.double = Double(Plan(**json.loads(await request.content.read())))
            return web.Response()
        return await self.double(request)


# ------------------------------------------------------------------------------------------ a process of its own


@dataclass
class Server:
    """A running server process."""

    plan: Plan
    port: int
    process: subprocess.Popen[str]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """What it has served so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=10) as answer:
            stats: dict[str, Any] = json.load(answer)
            return stats

    def become(self, **plan: Any) -> None:
        """Another plan and zero counts, in the same process."""
        self.plan = Plan(**plan)
        url, body = f"http://127.0.0.1:{self.port}/plan", json.dumps(asdict(self.plan)).encode()
        urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=10).close()

    def kill(self) -> None:
        """SIGKILL, now."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def again(self, **changes: Any) -> None:
        """Start once more on the same port (after `kill`), with zero counts."""
        self.plan = replace(self.plan, **changes)
        self.process, self.port = _start(self.plan, self.port)


def _start(plan: Plan, port: int) -> tuple[subprocess.Popen[str], int]:
    command = [
        sys.executable,
        __file__,
        "--port",
        str(port),
        "--plan",
        json.dumps(asdict(plan)),
        "--parent",
        str(os.getpid()),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the test server did not start (exit {process.wait()})")
    return process, int(line)


Planned = Callable[
    ..., AbstractContextManager[Server]
]  # a running server that takes a plan (`tests/models/conftest.py`)


@contextmanager
def served(port: int = 0, **plan: Any) -> Iterator[Server]:
    """A server for the length of a `with`; the words are those of `Plan`."""
    made = Plan(**plan)
    process, port = _start(made, port)
    server = Server(made, port, process)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


async def listen(plan: Plan, port: int, parent: int) -> None:
    """Serve until the parent process is gone (0: for ever)."""
    server = web.Server(Stage(plan), access_log=None, keepalive_timeout=75.0)
    runner = web.ServerRunner(server, handle_signals=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=4096, reuse_address=True)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    while not parent or os.getppid() == parent:
        await asyncio.sleep(1.0)
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plan", default="{}", help="JSON of Plan's fields")
    parser.add_argument("--parent", type=int, default=0, help="end when this process is no longer the parent")
    for each in fields(Plan):
        if each.type in ("float", "int"):
            parser.add_argument(f"--{each.name.replace('_', '-')}", type=float if each.type == "float" else int)
        elif each.type == "str":
            parser.add_argument(f"--{each.name.replace('_', '-')}")
    given = vars(parser.parse_args())
    named = {each.name: given[each.name] for each in fields(Plan) if given.get(each.name) is not None}
    asyncio.run(listen(Plan(**(json.loads(given["plan"]) | named)), given["port"], given["parent"]))


if __name__ == "__main__":
    main()
