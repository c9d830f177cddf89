"""Speeds of a model whose speed is known, and whether models call tools."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from synthgain.api.timing import calls_tools, speeds
from synthgain.models.tool_calls import read_calls
from synthgain.types import Call, CallFailed, ModelInfo, Prompt, assistant

READS, WRITES = 2000.0, 500.0  # tokens a second, of one call


@dataclass
class Clockwork:
    """Takes its time for each token read and written; calls side by side do not hinder each other. Answers tools with `said`."""

    width: int = 4
    said: str = ""
    uri: str = "local/clockwork"
    identity: str = "clockwork"
    seen: list[str] = field(default_factory=list)

    async def __call__(self, prompt: Prompt) -> Call:
        if prompt.tools and not self.said:
            raise CallFailed("the model's chat template has no place for tools")
        words = " ".join(message["content"] for message in prompt.messages)
        read, written = len(words.split()), prompt.sampling.max_tokens
        self.seen.append(words)
        await asyncio.sleep(read / READS + written / WRITES)
        turn = read_calls(assistant(self.said or "x"), prompt.tools, "0123456789abcdef")
        return Call("0" * 64, prompt, turn, self.uri, tokens_in=read, tokens_out=written)

    async def info(self) -> ModelInfo:
        return ModelInfo(self.uri)

    async def aclose(self) -> None:
        return None


def test_speeds_are_those_of_the_model_alone_and_at_its_width() -> None:
    model = Clockwork()
    alone, side_by_side = asyncio.run(speeds(model, seconds=0.1))
    assert (alone.width, side_by_side.width) == (1, 4)
    assert alone.reading is not None and READS / 10 < alone.reading <= READS
    assert alone.writing is not None and WRITES / 10 < alone.writing <= WRITES * 1.5
    assert side_by_side.writing is not None and side_by_side.writing > alone.writing
    assert alone.tokens_written > 0 and side_by_side.tokens_read >= 4 * 8
    long = [words for words in model.seen if len(words.split()) > 20]
    assert len(long) == len(set(long))  # a prompt that was read before would be read in no time


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ('```json\n{"name": "weather", "arguments": {"city": "Bonn"}}\n```', True),
        ("It rains in Bonn.", False),
        ("", False),
    ],
)
def test_whether_a_model_calls_tools_is_found_by_one_call(said: str, calls: bool) -> None:
    found, note = asyncio.run(calls_tools(Clockwork(said=said)))
    assert found is calls and bool(note) == (said.startswith("It"))


@pytest.mark.slow
def test_check_tells_speeds_tools_and_memory_of_an_embedded_model() -> None:
    words = ["check", "local/smollm2-135m", "--concurrency", "2", "--json"]
    done = subprocess.run([sys.executable, "-m", "synthgain", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [speed["width"] for speed in told["speeds"]] == [1, 2] and told["tools"] is False
    assert all(speed["writing"] > 0 and speed["reading"] > 0 for speed in told["speeds"])
    assert told["memory"] > 1e8 and told["licence"] == "Apache-2.0" and not told["terms"]
