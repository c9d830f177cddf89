"""Which runtime writes with the weights of local/…, on doubles that take their time; and on the tiny model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from doubles.tiny import tiny_gguf
from synthgain.api.as_typed import command
from synthgain.api.asking import asked
from synthgain.chain import Request
from synthgain.models import Reach, open_model, runtimes
from synthgain.models.runtimes import HANDFUL, Embedded
from synthgain.types import Call, ModelInfo, Prompt, Sampling, SynthgainError, assistant, user


@dataclass
class Timed:
    """A model of a width that takes a while for every answer."""

    name: str
    width: int
    seconds: float
    path: Path = Path("weights.gguf")
    uri: str = "local/double"
    identity: str = "the weights"
    asked: list[Prompt] = field(default_factory=list)
    closed: bool = False

    async def __call__(self, prompt: Prompt) -> Call:
        assert not self.closed
        self.asked.append(prompt)
        await asyncio.sleep(self.seconds)
        return Call(prompt.id(self.identity), prompt, assistant(self.name), self.uri, "stop", 3, 1)

    async def info(self) -> ModelInfo:
        return ModelInfo(self.uri)

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def may_pay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights for which both runtimes are there, and a cache of this test's own."""
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runtimes, "_why_not", lambda path: None)
    monkeypatch.setattr(runtimes, "_key", lambda local: "these weights here")


def prompts(count: int) -> list[Prompt]:
    return [Prompt((user(f"question {n}"),), sampling=Sampling(max_tokens=4)) for n in range(count)]


async def texts(model: Any, asked: list[Prompt]) -> list[str]:
    return [call.text for call in await asyncio.gather(*(model(prompt) for prompt in asked))]


@pytest.mark.usefixtures("may_pay")
async def test_a_handful_of_calls_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    made: list[Timed] = []
    model = Embedded(Timed("llama", 2, 0.0), lambda: made.append(Timed("torch", 8, 0.0)) or made[-1])  # type: ignore[arg-type, func-returns-value]
    assert set(await texts(model, prompts(HANDFUL))) == {"llama"} and not made
    assert capsys.readouterr().err == ""
    await model.aclose()


@pytest.mark.usefixtures("may_pay")
async def test_the_faster_goes_on_says_why_and_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    llama, torch = Timed("llama", 2, 0.03), Timed("torch", 8, 0.03)
    model = Embedded(llama, lambda: torch)  # type: ignore[arg-type]
    said = await texts(model, prompts(HANDFUL + 6))
    assert said.count("torch") == 6 and llama.closed and model.width == 8 and model.identity == "the weights"
    told = capsys.readouterr().err
    assert "writing with torch" in told and "2 slots" in told and "8 rows" in told and "--runtime" in told
    again = Timed("torch", 8, 0.03)
    second = Embedded(Timed("llama", 2, 0.03), lambda: again)  # type: ignore[arg-type]
    await texts(second, prompts(HANDFUL + 3))
    assert len(again.asked) == 3  # nothing was measured again


@pytest.mark.usefixtures("may_pay")
async def test_the_slower_is_closed_and_llama_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    llama, torch = Timed("llama", 8, 0.02), Timed("torch", 8, 0.1)
    model = Embedded(llama, lambda: torch)  # type: ignore[arg-type]
    assert set(await texts(model, prompts(HANDFUL + 2))) == {"llama"} and torch.closed and not llama.closed
    assert "writing with llama" in capsys.readouterr().err


@pytest.mark.usefixtures("may_pay")
async def test_a_runtime_that_cannot_write_is_said_and_left(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Timed):
        async def __call__(self, prompt: Prompt) -> Call:
            raise SynthgainError("no room on the disk")

    model = Embedded(Timed("llama", 2, 0.0), lambda: Broken("torch", 8, 0.0))  # type: ignore[arg-type]
    assert set(await texts(model, prompts(HANDFUL + 2))) == {"llama"}
    assert "no room on the disk" in capsys.readouterr().err


def test_a_runtime_that_is_none_is_refused() -> None:
    with pytest.raises(SynthgainError, match="no runtime 'gpu'") as told:
        open_model("local/smollm2-135m", Reach(runtime="gpu"))
    assert "auto, llama, torch" in (told.value.next or "")


async def test_weights_written_by_transformers_keep_the_name_and_identity_of_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path / "cache"))
    uri = f"local/{tiny_gguf('qwen2', tmp_path / 'small.gguf')}"
    prompts = [Prompt((user(f"Ada {n}"),), sampling=Sampling(max_tokens=4)) for n in range(3)]
    torch = open_model(uri, Reach(runtime="torch", concurrency=2))
    calls = await asyncio.gather(*(torch(prompt) for prompt in prompts))
    llama = open_model(uri, Reach(runtime="llama"))
    assert torch.identity == llama.identity and {call.model for call in calls} == {uri} and torch.width == 2
    assert [call.id for call in calls] == [prompt.id(llama.identity) for prompt in prompts]
    assert "rows side by side" in (await torch.info()).note
    await torch.aclose()


def test_the_runtime_is_in_the_request_and_in_the_command_that_resumes() -> None:
    named = asked("rephrase", model="local/smollm2-135m", reach=Reach(runtime="torch"), anchors="docs")
    held = named.request.json()
    assert held["models"]["writer"] == {"uri": "local/smollm2-135m", "runtime": "torch"}
    assert Request.read(held) == named.request
    assert "--runtime torch" in command(named.request, Path("r"), named.usual)
    usual = asked("rephrase", model="local/smollm2-135m", anchors="docs").request.json()
    assert usual["models"]["writer"] == {"uri": "local/smollm2-135m"}
