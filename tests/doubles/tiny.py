"""A very small Llama with a tokenizer of its own, made here and now: nothing is loaded from anywhere."""

from __future__ import annotations

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
