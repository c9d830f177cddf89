"""Reward models: scores against a forward pass of one conversation at a time, what is refused, and a whole run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

import synthgain as sg
from doubles.tiny import tiny_model
from synthgain.curate.judge_score import JudgeScore
from synthgain.curate.judges import reward_of, reward_prompt
from synthgain.models import open_model
from synthgain.models.reward import Reward
from synthgain.types import (
    Anchor,
    CallFailed,
    Message,
    Model,
    Models,
    Prompt,
    Recipe,
    Row,
    SynthgainError,
    assistant,
    user,
)


def tiny_reward(folder: Path, *, labels: int = 1, template: bool = True, pad: int | None = 0) -> Path:
    """A Llama of random weights with a head for scores, and the tokenizer of the tiny model."""
    tiny_model(folder, template=None) if not template else tiny_model(folder)
    config = LlamaConfig.from_pretrained(folder)
    config.num_labels, config.pad_token_id = labels, pad
    torch.manual_seed(1)
    LlamaForSequenceClassification(config).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_reward(tmp_path_factory.mktemp("reward") / "model")


def directly(folder: Path, text: str) -> float:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        return float(model(torch.tensor([ids])).logits[0, 0])


ANSWERS = (
    "The salt widow.",
    "Four apples and three more are seven apples.",
    "No.",
    "Who built the bridge? The river did.",
)


async def test_scores_side_by_side_are_those_of_each_alone(folder: Path) -> None:
    model = open_model(f"reward/{folder}")
    assert isinstance(model, Reward) and isinstance(model, Model)
    calls = await asyncio.gather(*(model(reward_prompt("Who built the bridge?", answer)) for answer in ANSWERS))
    await model.aclose()
    for answer, call in zip(ANSWERS, calls):
        chat = f"<|start|>user\nWho built the bridge?<|end|>\n<|start|>assistant\n{answer}<|end|>\n"
        assert reward_of(call.text) == pytest.approx(directly(folder, chat), abs=1e-4)
        assert call.finish == "stop" and call.tokens_in > 10 and call.logprob is None
    assert len({call.text for call in calls}) == len(ANSWERS)


async def test_without_padding_and_without_a_template(tmp_path: Path) -> None:
    bare = tiny_reward(tmp_path / "bare", template=False, pad=None)
    model = Reward(bare)
    raw = Prompt((Message(role="raw", content="The river"),))
    calls = await asyncio.gather(model(raw), model(reward_prompt("Who?", "The widow.")))
    await model.aclose()
    assert reward_of(calls[0].text) == pytest.approx(directly(bare, "The river"), abs=1e-4)
    assert reward_of(calls[1].text) is not None


async def test_what_cannot_be_judged_fails_alone(folder: Path) -> None:
    model = Reward(folder)
    prompts = [
        Prompt((user("Who?"),)),
        reward_prompt("?", "long " * 600),
        reward_prompt("?", "!"),
        Prompt((assistant("a"),), schema={}),
    ]
    found = await asyncio.gather(*(model(prompt) for prompt in prompts), return_exceptions=True)
    await model.aclose()
    assert [isinstance(one, CallFailed) for one in found] == [True, True, False, True]
    assert "the context 512" in str(found[1])
    with pytest.raises(SynthgainError):
        await model(prompts[2])


async def test_folders_that_hold_no_reward_model(tmp_path: Path) -> None:
    writer, many, none = tiny_model(tmp_path / "writer"), tiny_reward(tmp_path / "many", labels=3), tmp_path / "none"
    none.mkdir()
    for place, what in ((writer, "random"), (many, "3 labels"), (none, "no transformers folder")):
        model = Reward(place)
        with pytest.raises(SynthgainError, match=what):
            await model(reward_prompt("?", "!"))
        await model.aclose()


async def test_info(folder: Path) -> None:
    model = Reward(folder)
    info = await model.info()
    assert info.context == 512 and info.draws is False and "score" in info.note
    await model.aclose()


def test_it_can_be_checked(folder: Path) -> None:
    info, call = sg.check(f"reward/{folder}")
    assert info.uri == f"reward/{folder}" and reward_of(call.text) is not None


async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    async for answer in models.each(Prompt((user(anchor.text),), draw=draw) for draw in range(3)):
        call = await models(reward_prompt(anchor.text, answer.text))
        yield Row(
            messages=(user(anchor.text), assistant(answer.text)),
            calls=(answer, call),
            fields={"reward": reward_of(call.text)},
        )


def test_scores_are_bought_once_and_thresholds_cost_nothing(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe("rewarded", "1", draft, roles=("writer", "reward"))
    models = {"writer": "scripted/words?n=6", "reward": f"reward/{folder}"}
    run = sg.generate(recipe, ["Who built it?", "When?"], model=models, out=tmp_path / "run")
    assert run.record["counts"]["kept"] == 6 and run.record["counts"]["calls_bought"] == 12
    told = pa.concat_tables([pq.read_table(file) for file in (run.path / "rows").glob("*.parquet")]).column("fields")
    rows = [json.loads(fields)["reward"] for fields in told.to_pylist()]
    assert len(rows) == 6 and all(isinstance(reward, float) for reward in rows)
    checks = [JudgeScore(sorted(rows)[3], "reward")]
    again = sg.generate(recipe, ["Who built it?", "When?"], model=models, out=run.path, with_=checks, replace=True)
    assert again.record["counts"]["calls_bought"] == 0
    assert again.record["counts"]["kept"] == sum(reward >= sorted(rows)[3] for reward in rows) < 6
