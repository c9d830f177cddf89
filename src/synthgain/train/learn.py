"""The steps themselves, by the field's own trainer: TRL's SFTTrainer, with peft for LoRA.

The trainer is handed token ids and labels (`tokens.py`) in their final order (`replay.schedule`) and
does nothing to them: no packing, no truncation, no shuffling of its own.

On a CPU the trainer's own loss projects every position onto the vocabulary, the masked ones too
(TRL 1.16, `add_fused_lm_head`: it selects positions on Triton devices only). For chats that is most
of them. So on a CPU the loss is computed here at the labelled positions, which is the same number;
models that scale or cap their logits keep the trainer's way.
"""

from __future__ import annotations

import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.train.replay import Schedule
from synthgain.train.tokens import IGNORED
from synthgain.types import SynthgainError

Watch = Callable[[int, int, float], None]  # (step, steps, loss in nats a token)
CURVE = 1000  # points of a training curve at most


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on all linear layers but the head; merged into the weights at the end."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0


@dataclass(frozen=True)
class Steps:
    """How to step; the order of the data is a `Schedule`."""

    learning_rate: float
    decay: str  # "cosine", "linear" or "constant"
    warmup: float  # share of the steps
    weight_decay: float
    micro_batch: int
    bf16: bool
    seed: int
    lora: Lora | None = None
    watch: Watch | None = None


def libraries() -> None:
    """SynthgainError with the install command where the training stack is not installed."""
    try:
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


def load_tokenizer(base: Path) -> Any:
    """The base model's tokenizer, from its folder and never from a hub."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(base), local_files_only=True)
    except (OSError, ValueError) as error:
        raise SynthgainError(f"the base model's tokenizer cannot be opened ({error})", where=str(base)) from error


def load_model(base: Path) -> Any:
    """The base model in float32: small steps are lost in half precision."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError) as error:
        raise SynthgainError(f"the base model cannot be opened ({error})", where=str(base)) from error


def bf16_helps() -> bool:
    """Whether this machine multiplies bfloat16 in hardware; elsewhere autocast only costs."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def learn(base: Path, tokenizer: Any, plan: Schedule, steps: Steps, into: Path) -> list[dict[str, float]]:
    """Train the model of `base` by the plan and write it into a folder, in the base's own precision. The curve."""
    import torch
    from transformers import AutoConfig

    if torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        raise SynthgainError("several GPUs are visible to one process", next="make one visible: CUDA_VISIBLE_DEVICES=0")
    config = AutoConfig.from_pretrained(str(base), local_files_only=True)
    model = load_model(base)
    trainer, curve = _trainer(model, tokenizer, plan, steps, into / ".trainer")
    trainer.train()
    shutil.rmtree(into / ".trainer", ignore_errors=True)
    tuned = trainer.model.merge_and_unload() if steps.lora else trainer.model
    tuned.to(config.dtype or torch.float32)
    tuned.save_pretrained(str(into))
    tokenizer.save_pretrained(str(into))
    return curve


def _trainer(
    model: Any, tokenizer: Any, plan: Schedule, steps: Steps, folder: Path
) -> tuple[Any, list[dict[str, float]]]:
    import datasets
    import torch
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import SFTConfig

    args = SFTConfig(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=steps.micro_batch,
        gradient_accumulation_steps=plan.batch // steps.micro_batch,
        train_sampling_strategy="sequential",
        learning_rate=steps.learning_rate,
        lr_scheduler_type=steps.decay if steps.decay != "constant" else "constant_with_warmup",
        warmup_steps=int(plan.steps * steps.warmup),
        weight_decay=steps.weight_decay,
        bf16=steps.bf16,
        seed=steps.seed,
        data_seed=steps.seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
    )
    distinct = {id(e): e for e in plan.examples}
    rows = {key: n for n, key in enumerate(distinct)}
    columns = {
        "input_ids": [list(e.ids) for e in distinct.values()],
        "labels": [list(e.labels) for e in distinct.values()],
    }
    lora = steps.lora and LoraConfig(
        r=steps.lora.rank,
        lora_alpha=steps.lora.alpha,
        lora_dropout=steps.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    watcher, curve = _watcher(plan, steps.watch)
    trainer = _trainer_class()(
        model=model,
        args=args,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
        train_dataset=datasets.Dataset.from_dict(columns).select([rows[id(e)] for e in plan.examples]),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, curve


def _watcher(plan: Schedule, watch: Watch | None) -> tuple[Any, list[dict[str, float]]]:
    """The callback that draws the curve, and the curve: at most `CURVE` points and one.

    A point stands for the steps since the one before: `loss` is their mean per token with loss, before each step's
    update, `learnt` their tokens with loss, `first` those of the first pass. A point ends where the first pass does.
    """
    from transformers import TrainerCallback

    after, learnt = plan.tokens_by_step(), plan.learnt_by_step()
    every = -(-plan.steps // CURVE)
    last_new = max((step for step, (_, first) in enumerate(learnt, 1) if first), default=0)
    curve: list[dict[str, float]] = []
    waiting: list[tuple[float, int, int]] = []  # (loss, tokens with loss, of the first pass) of steps without a point

    class Watcher(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **more: Any) -> None:
            if not logs or "loss" not in logs:
                return
            step, loss = int(state.global_step), float(logs["loss"])
            if not math.isfinite(loss):
                raise SynthgainError(
                    f"the loss is not a number at step {step} of {plan.steps}", next="take a lower learning rate"
                )
            waiting.append((loss, *learnt[step - 1]))
            if step % every and step not in (last_new, plan.steps):
                return
            tokens = sum(n for _, n, _ in waiting)
            mean = math.fsum(one * n for one, n, _ in waiting) / tokens
            curve.append(
                {
                    "step": step,
                    "loss": mean if len(waiting) > 1 else loss,
                    "tokens": after[step - 1],
                    "lr": float(logs.get("learning_rate", 0.0)),
                    "learnt": tokens,
                    "first": sum(n for _, _, n in waiting),
                }
            )
            waiting.clear()
            if watch:
                watch(step, plan.steps, curve[-1]["loss"])

    return Watcher(), curve


def _trainer_class() -> Any:
    import torch
    from trl import SFTTrainer

    class Trainer(SFTTrainer):  # type: ignore[misc]
        """TRL's trainer with the loss of a CPU at labelled positions only (see the top of this file)."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            whole = model.get_base_model() if hasattr(model, "get_base_model") else model
            if (
                return_outputs
                or self.accelerator.device.type != "cpu"
                or self.accelerator.num_processes > 1
                or not _plain_head(whole)
            ):
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            asked = inputs["labels"][:, 1:]
            learns = asked != IGNORED
            with self.accelerator.autocast():
                states = whole.get_decoder()(
                    input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
                )
                logits = whole.get_output_embeddings()(states.last_hidden_state[:, :-1][learns])
            loss = torch.nn.functional.cross_entropy(logits.float(), asked[learns], reduction="sum")
            tokens = learns.sum() if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
            return loss / tokens.clamp(min=1)

    return Trainer


def _plain_head(model: Any) -> bool:
    """Whether the logits are the head's output as it is: no cap, no scale, no load-balancing loss beside it."""
    config = model.config.get_text_config()
    changed = (
        "final_logit_softcapping",
        "logit_scale",
        "output_multiplier",
        "lm_head_multiplier",
        "logits_scaling",
        "output_router_logits",
    )
    return not any(getattr(config, name, None) for name in changed)
