"""A very small Llama with a tokenizer of its own, made here and now: nothing is loaded from anywhere."""

from __future__ import annotations

import json
from pathlib import Path

TEMPLATE = (
    "{% if tools %}<|start|>system\nTools:{% for t in tools %}{{ '\n' }}{{ t | tojson }}{% endfor %}<|end|>\n{% endif %}"
    "{% for m in messages %}{{ '<|start|>' + m['role'] + '\n' }}"
    "{% if m.reasoning_content %}{{ '<think>' + m.reasoning_content + '</think>' }}{% endif %}{{ m['content'] }}"
    "{% for c in m.tool_calls %}{{ '<call>' + c.function.name + ' ' }}{{ c.function.arguments | tojson }}</call>{% endfor %}"
    "{{ '<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)  # ChatML-like, with tools as transformers hands them to a template: arguments of a call are an object
CORPUS = (
    "system user assistant Ada has four apples and gets three more. How many apples has she now? Answer: 7",
    "The river Tolmar flows past the town of Quell. Who built the bridge? The salt widow built it in 1417.",
)


def tiny_model(folder: Path, *, seed: int = 0, template: str | None = TEMPLATE) -> Path:
    """A transformers folder: hidden 64, 2 layers, byte-level BPE of at most 400 tokens, about 130,000 random weights."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|none|>", "<|start|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|start|>",
        eos_token="<|end|>",
        pad_token="<|none|>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


def tiny_gguf(shape: str, place: Path, hidden: int = 64) -> Path:
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
    writer.add_chat_template(TEMPLATE)
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
