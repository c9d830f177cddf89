"""GGUF to a transformers folder and back, with the real weights and with a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from doubles.tiny import tiny_gguf, tiny_model
from synthgain.models.gguf import folder_of, requantise, to_folder, to_gguf
from synthgain.models.hf import HF
from synthgain.models.local import Local
from synthgain.models.scorer import HFScorer
from synthgain.models.weights import eight_bit, find, metadata
from synthgain.types import Message, Prompt, Sampling, SynthgainError, user

TEXTS = ("The capital of France is", "Water boils at 100 degrees", "One, two, three,")


@pytest.fixture(scope="module")
def base() -> Path:
    return find("smollm2-135m")


@pytest.fixture(scope="module")
def folder(base: Path) -> Path:
    return folder_of(base)


def greedy(text: str) -> Prompt:
    return Prompt((Message(role="raw", content=text),), sampling=Sampling(temperature=0.0, max_tokens=3))


@pytest.mark.slow
def test_requantised_weights_are_the_same_to_eight_bits(base: Path) -> None:
    import gguf
    import numpy as np

    path = eight_bit(base)
    assert metadata(path) == metadata(base) | {"general.file_type": 7}
    before = {tensor.name: tensor for tensor in gguf.GGUFReader(base).tensors}
    after = gguf.GGUFReader(path).tensors
    assert {tensor.name for tensor in after} == set(before)
    for tensor in after[:40]:
        one = gguf.dequantize(before[tensor.name].data, before[tensor.name].tensor_type)
        other = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.abs(one - other).max() <= np.abs(one).max() / 127 * 0.51
    assert eight_bit(path) == path


@pytest.mark.slow
async def test_the_folder_continues_as_the_runtime_does_and_so_does_the_way_back(
    base: Path, folder: Path, tmp_path: Path
) -> None:
    again = to_gguf(folder, tmp_path / "again.gguf", like=base)
    said = []
    models = (Local(base, slots=2, threads=1, context=256), Local(again, slots=2, threads=1, context=256), HF(folder))
    assert len({model.identity for model in models}) == 3
    for model in models:
        said.append([(await model(greedy(text))).text for text in TEXTS])
        await model.aclose()
    assert said[0] == said[1] == said[2]


async def test_the_scorer_agrees_with_the_log_probability_of_the_runtime(base: Path, folder: Path) -> None:
    local = Local(base, slots=2, threads=1, context=256)
    prompt = Prompt((user("Say hello to Ada."),), sampling=Sampling(max_tokens=4))
    call = await local(prompt)
    await local.aclose()
    assert call.finish == "length" and call.logprob is not None
    scored = HFScorer(folder).logprobs([(prompt.messages, call.text)])[0]
    assert len(scored) == call.tokens_out
    assert sum(scored) == pytest.approx(call.logprob, abs=0.25)  # eight-bit activations in the runtime


def test_a_student_of_another_shape_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match=r"shape|no weight"):
        to_gguf(tiny_model(tmp_path / "tiny"), tmp_path / "tiny.gguf", like=base)
    assert not (tmp_path / "tiny.gguf").exists()


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("no weights")
    with pytest.raises(SynthgainError, match="not a GGUF"):
        requantise(tmp_path / "x.gguf", tmp_path / "y.gguf")


@pytest.mark.parametrize("shape", ["llama", "qwen2"])
def test_weights_turned_tensor_by_tensor_are_what_transformers_reads(tmp_path: Path, shape: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    file = tiny_gguf(shape, tmp_path / "small.gguf")
    slow = AutoModelForCausalLM.from_pretrained(str(tmp_path), gguf_file=file.name, dtype=torch.float32)
    text = torch.tensor([[5, 9, 200, 31]])
    for dtype, near in ((torch.float32, 1e-6), (torch.bfloat16, 2**-8)):
        out = to_folder(file, tmp_path / str(dtype), dtype=str(dtype).removeprefix("torch."))
        quick = AutoModelForCausalLM.from_pretrained(out)
        assert quick.dtype == dtype and quick.config.eos_token_id is not None
        held, wanted = quick.state_dict(), slow.state_dict()
        assert held.keys() == wanted.keys()
        for name, value in wanted.items():
            assert torch.allclose(held[name].float(), value.float(), rtol=near, atol=1e-6), name
    with torch.no_grad():
        again = AutoModelForCausalLM.from_pretrained(tmp_path / "torch.float32")
        assert torch.allclose(again(text).logits, slow(text).logits, atol=1e-3)


def test_a_disk_without_room_for_the_folder_is_said_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tiny_gguf("qwen2", tmp_path / "small.gguf")
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 1000})())
    with pytest.raises(SynthgainError, match="as a transformers folder") as told:
        folder_of(file)
    assert "--runtime llama" in (told.value.next or "")
    assert not [place for place in (tmp_path / "cache").iterdir() if place.name.startswith("small")]
