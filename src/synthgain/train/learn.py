"""The steps themselves, by the field's own trainer (`trainer.py`), from a start to weights on disk.

A training writes checkpoints into its work folder and goes on from the last whole one, with the same curve as if nothing
had happened: order, random states and the curve itself are in it.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.machine import multiplies_bfloat16, patient_threads
from synthgain.train.replay import Schedule
from synthgain.train.tokens import Tokens
from synthgain.train.trainer import Curve, Steps, last_whole, trainer_for
from synthgain.train.weights import Start, load_model, save, saved_dtype, settle_generation, tokenizer_folder
from synthgain.types import SynthgainError


@dataclass(frozen=True)
class Learnt:
    """The training curve, what is to be said of the student's files, and the step that a killed training went on from (0: none)."""

    curve: Curve
    notes: tuple[str, ...] = ()
    resumed_at: int = 0


def libraries() -> None:
    """SynthgainError with the install command where the training stack is not installed."""
    try:
        with patient_threads():
            import datasets  # noqa: F401
            import peft  # noqa: F401
            import torch  # noqa: F401
            import transformers  # noqa: F401
            import trl  # noqa: F401
    except ImportError as error:
        raise SynthgainError(f"training needs {error.name}", next='pip install "synthgain[train]"') from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice from the libraries: standard output belongs to whoever calls, and we report ourselves."""
    import transformers

    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with warnings.catch_warnings():
        # accelerate and torch warn of accelerators that a CPU machine does not have, and of their own old names
        warnings.filterwarnings("ignore", message=".*pin_memory.*", category=UserWarning)
        warnings.filterwarnings(
            "ignore", category=FutureWarning, module=r"(torch|transformers|accelerate|peft|trl)\b.*"
        )
        warnings.filterwarnings(
            "ignore", category=DeprecationWarning, module=r"(torch|transformers|accelerate|peft|trl|jinja2)\b.*"
        )
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


def bf16_helps() -> bool:
    """Whether this machine multiplies bfloat16 in hardware; elsewhere autocast only costs."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return multiplies_bfloat16() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def learn(
    start: Start,
    tokenizer: Any,
    end: str,
    plan: Schedule,
    data: Tokens,
    old: Tokens | None,
    steps: Steps,
    work: Path,
    into: Path,
) -> Learnt:
    """Train by the plan and write the student into a folder, in the base's own precision.

    `data` and `old` are the examples that the plan names; `end` is the token that ends a turn; checkpoints lie in `work`.
    """
    import torch

    if torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        raise SynthgainError("several GPUs are visible to one process", next="make one visible: CUDA_VISIBLE_DEVICES=0")
    model = load_model(start, tokenizer, steps.seed)
    notes = settle_generation(model, tokenizer, end)
    ours = copy.deepcopy(tokenizer)  # the trainer gives a tokenizer without a padding token one
    if ours.pad_token is None and ours.eos_token is None:
        ours.pad_token = ours.convert_ids_to_tokens(0)
    if not steps.embeddings:
        for table in filter(None, (model.get_input_embeddings(), model.get_output_embeddings())):
            table.requires_grad_(False)
    trainer, curve = trainer_for(model, ours, plan, data, old, steps, work)
    before = last_whole(work)
    trainer.train(resume_from_checkpoint=None if before is None else str(before))
    tuned = trainer.model.merge_and_unload() if steps.lora else trainer.model
    tuned.to(saved_dtype(start))
    notes += save(tuned, tokenizer, tokenizer_folder(start), into)
    return Learnt(curve, tuple(notes), 0 if before is None else int(before.name.rpartition("-")[2]))
