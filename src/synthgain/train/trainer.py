"""TRL's SFTTrainer, with peft for LoRA, over tokens on disk.

The trainer is handed token ids and labels (`tokens.py`) in their final order (`replay.schedule`) and
does nothing to them: no packing, no truncation, no shuffling of its own.

On a CPU the trainer's own loss projects every position onto the vocabulary, the masked ones too
(TRL 1.16, `add_fused_lm_head`: it selects positions on Triton devices only). For chats that is most
of them. So on a CPU the loss is computed here at the labelled positions, which is the same number;
models that scale or cap their logits keep the trainer's way.

Preference pairs have the loss of DPO (Rafailov et al., arXiv 2305.18290, equation 7), as TRL's DPOTrainer has it by default (sigmoid, no
smoothing): −ln σ(β [(ln π(chosen) − ln π(rejected)) − (the same under the base)]). The base's log-probabilities are computed once, before
the first step, so that one model is in memory; TRL's own trainer would tokenise the rows again, by other rules than ours.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthgain.train.replay import Schedule
from synthgain.train.spelling import IGNORED, Example
from synthgain.train.tokens import Tokens
from synthgain.types import SynthgainError

Watch = Callable[[int, int, float], None]  # (step, steps, loss in nats a token, of preference pairs nats a pair)
Curve = list[dict[str, float]]
CURVE = 1000  # points of a training curve at most
WHOLE = "curve.json"  # in a checkpoint: written last
REFERENCE = "reference.npy"


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on all linear layers but the head; merged into the weights at the end."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0


@dataclass(frozen=True)
class Steps:
    """How to step; the order of the data is a `Schedule`. `beta`: of DPO, None for the loss of tokens. `minutes` lie between checkpoints."""

    learning_rate: float
    decay: str  # "cosine", "linear" or "constant"
    warmup: float  # share of the steps
    weight_decay: float
    micro_batch: int
    bf16: bool
    seed: int
    lora: Lora | None = None
    beta: float | None = None
    minutes: float = 10
    watch: Watch | None = None
    embeddings: bool = True  # whether the tables of tokens are trained


def last_whole(work: Path) -> Path | None:
    """The last checkpoint that was written to its end."""
    found = [file.parent for file in work.glob(f"checkpoint-*/{WHOLE}")]
    return max(found, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def trainer_for(
    model: Any, tokenizer: Any, plan: Schedule, data: Tokens, old: Tokens | None, steps: Steps, work: Path
) -> tuple[Any, Curve]:
    """The trainer, and the curve that it will draw."""
    import datasets
    import torch
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import SFTConfig

    args = SFTConfig(
        output_dir=str(work),
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
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
    )
    lora = steps.lora and LoraConfig(
        r=steps.lora.rank,
        lora_alpha=steps.lora.alpha,
        lora_dropout=steps.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )

    def read(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        """The examples of some places, from disk."""
        found = [data[at] if at >= 0 or old is None else old[-1 - at] for at in batch["at"]]
        return {"at": batch["at"], "examples": found}

    watcher, curve = _watcher(plan, steps, last_whole(work))
    trainer = _trainer_class()(
        model=model,
        args=args,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
        data_collator=_Padded(int(tokenizer.pad_token_id or 0)),
        train_dataset=datasets.Dataset.from_dict({"at": plan.order}).with_transform(read),
    )
    trainer.remove_callback(PrinterCallback)
    if steps.beta is not None:
        trainer.prefer(steps.beta, _reference(trainer, data, steps.micro_batch, work))
    return trainer, curve


@dataclass(frozen=True)
class _Padded:
    """Examples as one batch, padded on the right."""

    pad: int

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        import torch

        batch = self.batch([example for sample in samples for example in sample["examples"]])
        return batch | {"at": torch.tensor([int(sample["at"]) for sample in samples])}

    def batch(self, examples: Sequence[Example]) -> dict[str, Any]:
        return padded(examples, self.pad)


def padded(examples: Sequence[Example], pad: int) -> dict[str, Any]:
    """`input_ids`, `labels` and `attention_mask` of examples, padded on the right."""
    import torch

    longest = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), longest), pad)
    labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
    for row, example in enumerate(examples):
        n = len(example.ids)
        ids[row, :n], labels[row, :n] = torch.tensor(example.ids), torch.tensor(example.labels)
        mask[row, :n] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


# ---------------------------------------------------------------------------------------------- the curve, and checkpoints


def _watcher(plan: Schedule, steps: Steps, before: Path | None) -> tuple[Any, Curve]:
    """The callback that draws the curve and asks for checkpoints, and the curve: at most `CURVE` points and one.

    A point stands for the steps since the one before: `loss` is their mean per token with loss, before each step's
    update, `learnt` their tokens with loss, `first` those of the first pass. A point ends where the first pass does.
    Of preference pairs `loss` is the mean of the steps.
    """
    from transformers import TrainerCallback

    after, learnt = plan.tokens_by_step(), plan.learnt_by_step()
    every = -(-plan.steps // CURVE)
    last_new = max((step for step, (_, first) in enumerate(learnt, 1) if first), default=0)
    held = json.loads((before / WHOLE).read_text("utf-8")) if before else {"curve": [], "waiting": []}
    curve: Curve = held["curve"]
    waiting: list[tuple[float, int, int]] = [
        tuple(one) for one in held["waiting"]
    ]  # (loss, tokens with loss, of the first pass) of steps without a point
    saved = time.monotonic()

    class Watcher(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **more: Any) -> None:
            if not logs or "loss" not in logs:
                return
            state.log_history.clear()  # it would grow with the steps; the curve is kept here
            step, loss = int(state.global_step), float(logs["loss"])
            if not math.isfinite(loss):
                raise SynthgainError(
                    f"the loss is not a number at step {step} of {plan.steps}", next="take a lower learning rate"
                )
            waiting.append((loss, *learnt[step - 1]))
            if step % every and step not in (last_new, plan.steps):
                return
            tokens = sum(n for _, n, _ in waiting)
            weights = [n if steps.beta is None else 1 for _, n, _ in waiting]
            mean = math.fsum(one * n for (one, _, _), n in zip(waiting, weights)) / sum(weights)
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
            if steps.watch:
                steps.watch(step, plan.steps, curve[-1]["loss"])

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
            control.should_save = state.global_step < plan.steps and time.monotonic() - saved >= 60 * steps.minutes
            return control

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            nonlocal saved
            saved = time.monotonic()
            here = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            whole = here / f".{WHOLE}"
            whole.write_text(json.dumps({"curve": curve, "waiting": waiting}), "utf-8")
            os.replace(whole, here / WHOLE)
            for other in here.parent.glob("checkpoint-*"):
                if other != here:
                    shutil.rmtree(other, ignore_errors=True)

    return Watcher(), curve


# ---------------------------------------------------------------------------------------------- losses


def _trainer_class() -> Any:
    import torch
    from trl import SFTTrainer

    class Trainer(SFTTrainer):  # type: ignore[misc]
        """TRL's trainer with the loss of a CPU at labelled positions only, and with DPO's (see the top of this file)."""

        beta: float | None = None

        def prefer(self, beta: float, reference: Any) -> None:
            """Learn preference pairs; `reference` holds ln p of chosen and rejected of each place under the base."""
            self.beta, self.reference = beta, torch.as_tensor(reference)
            self.model_accepts_loss_kwargs = False  # the loss is a mean over pairs: micro-batches are averaged

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            places = inputs.pop("at", None)
            whole = _whole(model)
            if self.beta is not None:
                with self.accelerator.autocast():
                    said = logprobs(whole, inputs).reshape(-1, 2)
                known = self.reference[places.cpu()].to(said.device)
                margin = (said - known) @ torch.tensor([1.0, -1.0], device=said.device)
                return -torch.nn.functional.logsigmoid(self.beta * margin).mean()
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
                logits = _labelled_logits(whole, inputs, learns)
            loss = torch.nn.functional.cross_entropy(logits.float(), asked[learns], reduction="sum")
            tokens = learns.sum() if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
            return loss / tokens.clamp(min=1)

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super(SFTTrainer, self)._save_checkpoint(model, trial)  # without a model card

    return Trainer


def logprobs(model: Any, inputs: Any) -> Any:
    """ln p of each example's labelled tokens given what stands before, summed: one number an example."""
    import torch

    asked = inputs["labels"][:, 1:]
    learns = asked != IGNORED
    laws = _labelled_logits(model, inputs, learns).float().log_softmax(-1)
    each = laws.gather(1, asked[learns][:, None])[:, 0]
    return torch.zeros(len(asked), device=each.device).index_add(0, learns.nonzero()[:, 0], each)


def _labelled_logits(model: Any, inputs: Any, learns: Any) -> Any:
    """The logits before each labelled token; only there, where the head is a plain one."""
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    if not _plain_head(model):
        return model(**given, use_cache=False).logits[:, :-1][learns]
    states = model.get_decoder()(**given, use_cache=False)
    return model.get_output_embeddings()(states.last_hidden_state[:, :-1][learns])


def _reference(trainer: Any, data: Tokens, batch: int, work: Path) -> np.ndarray:
    """ln p of chosen and rejected of each pair under the base (pairs × 2), computed once and kept with the checkpoints."""
    import torch

    file = work / REFERENCE
    if file.is_file():
        return np.asarray(np.load(file), np.float32)
    whole, padded = _whole(trainer.model), trainer.data_collator
    device = next(whole.parameters()).device
    found = np.zeros((len(data), 2), np.float32)
    whole.eval()
    with torch.no_grad(), trainer.accelerator.autocast():
        for start in range(0, len(data), batch):
            examples = [example for at in range(start, min(start + batch, len(data))) for example in data[at]]
            inputs = {name: held.to(device) for name, held in padded.batch(examples).items()}
            found[start : start + batch] = logprobs(whole, inputs).reshape(-1, 2).float().cpu().numpy()
    whole.train()
    new = file.with_name(f".{REFERENCE}")
    with new.open("wb") as stream:
        np.save(stream, found)
    new.replace(file)
    return found


def _whole(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


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
