"""GGUF to a transformers folder and back, with the real weights and with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doubles.tiny import tiny_model
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


def small_file(shape: str, place: Path, hidden: int = 64) -> Path:
    """A GGUF file of random weights in Q8_0 with the tokenizer of the tiny model."""
    import gguf
    import numpy as np

    tiny = json.loads((tiny_model(place.parent / "tiny") / "tokenizer.json").read_text("utf-8"))["model"]
    dice, kinds = np.random.default_rng(0), gguf.GGMLQuantizationType
    words = len(tiny["vocab"])
    writer = gguf.GGUFWriter(place, shape)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(tiny["vocab"], key=tiny["vocab"].get))
    writer.add_token_types([3] * 3 + [1] * (words - 3))
    writer.add_token_merges([" ".join(pair) for pair in tiny["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(hidden // 4)
    writer.add_vocab_size(words)
    half = hidden // 2
    sizes = {"token_embd.weight": (words, hidden), "output_norm.weight": (hidden,), "output.weight": (words, hidden)}
    for n in range(2):
        sizes |= {
            f"blk.{n}.{name}": size
            for name, size in {
                "attn_norm.weight": (hidden,),
                "ffn_norm.weight": (hidden,),
                "attn_q.weight": (hidden, hidden),
                "attn_k.weight": (half, hidden),
                "attn_v.weight": (half, hidden),
                "attn_output.weight": (hidden, hidden),
                "ffn_gate.weight": (96, hidden),
                "ffn_up.weight": (96, hidden),
                "ffn_down.weight": (hidden, 96),
            }.items()
        }
        if shape == "qwen2":
            sizes |= {f"blk.{n}.attn_{part}.bias": (size,) for part, size in (("q", hidden), ("k", half), ("v", half))}
    for name, size in sizes.items():
        values = dice.normal(size=size).astype(np.float32)
        kind = kinds.F32 if len(size) == 1 else kinds.Q8_0
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return place


@pytest.mark.parametrize("shape", ["llama", "qwen2"])
def test_weights_turned_tensor_by_tensor_are_what_transformers_reads(tmp_path: Path, shape: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    file = small_file(shape, tmp_path / "small.gguf")
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
    file = small_file("qwen2", tmp_path / "small.gguf")
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 1000})())
    with pytest.raises(SynthgainError, match="as a transformers folder") as told:
        folder_of(file)
    assert "--runtime llama" in (told.value.next or "")
    assert not [place for place in (tmp_path / "cache").iterdir() if place.name.startswith("small")]
