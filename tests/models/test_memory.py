"""What models take together is said before one is loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from synthgain.models import Reach, memory, open_model, weights
from synthgain.models.fetching import NotThere
from synthgain.models.known import Known
from synthgain.types import Prompt, Sampling, SynthgainError, user

SMALL, STRONG = "local/smollm2-135m", "local/qwen2.5-coder-1.5b"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """No models of other tests, an empty cache, and an index that has nothing; what it was asked for."""
    found: list[str] = []
    monkeypatch.setattr(memory, "_planned", type(memory._planned)())
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    def nothing(known: Known, place: Path) -> Path:
        found.append(known.file)
        raise NotThere("the index is not asked here")

    monkeypatch.setattr(weights, "from_index", nothing)
    return found


def call(uri: str, *others: str, slots: int = 8) -> None:
    """The first call of a model that is opened beside others."""
    models = [open_model(each, Reach(concurrency=slots)) for each in (uri, *others)]

    async def work() -> None:
        try:
            await models[0](Prompt((user("Hello."),), sampling=Sampling(max_tokens=1)))
        finally:
            for model in models:
                await model.aclose()

    asyncio.run(work())


def test_too_little_memory_for_all_roles_is_said_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """1.12 GB and 8 slots of 117 MB, and 98 MB and 8 of 94 MB, and what they compute in."""
    monkeypatch.setattr(memory, "free_memory", lambda: 2_500_000_000)
    with pytest.raises(SynthgainError, match=r"too little memory: loading takes about 3\.04 GB") as caught:
        call(STRONG, SMALL)
    said = str(caught.value)
    assert STRONG in said and SMALL in said and "2.50 GB of memory are free" in said
    slots = int(caught.value.next.split("--concurrency ")[1].split()[0])
    assert 1 <= slots < 8
    with pytest.raises(SynthgainError, match="nowhere to be found"):  # it fits now, and the weights are looked for
        call(STRONG, SMALL, slots=slots)


def test_where_no_number_of_slots_helps_a_smaller_model_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1_000_000_000)
    with pytest.raises(SynthgainError, match="too little memory") as caught:
        call(STRONG)
    assert SMALL in caught.value.next and "--concurrency" not in caught.value.next


def test_from_eight_tenths_it_is_a_remark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for free, tight in ((2_400_000_000, True), (3_500_000_000, False)):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        with pytest.raises(SynthgainError, match="nowhere to be found"):
            call(STRONG)
        assert ("memory will be tight" in capsys.readouterr().err) == tight


def test_two_roles_with_the_same_weights_and_slots_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 3_000_000_000)
    with pytest.raises(SynthgainError, match="nowhere to be found"):
        call(STRONG, STRONG)


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 200000\n")
    assert memory._group_left(tmp_path) == 500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._group_left(tmp_path) is None


def test_calls_side_by_side_whose_weights_cannot_be_had_look_for_them_once(asked: list[str]) -> None:
    async def work() -> list[object]:
        model = open_model(STRONG)
        prompts = [Prompt((user(f"Hello {n}."),), sampling=Sampling(max_tokens=1)) for n in range(6)]
        try:
            return list(await asyncio.gather(*map(model, prompts), return_exceptions=True))
        finally:
            await model.aclose()

    assert all(isinstance(error, SynthgainError) for error in asyncio.run(work())) and len(asked) == 1
