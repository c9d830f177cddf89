"""W: kept rows to a student.

`FineTune` satisfies `types.Train`: `FineTune(base)(rows, out)` gives the student's folder. The same
request again returns the finished student; another request replaces it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.train.learn import Lora, Steps, Watch, bf16_helps, learn, libraries, load_tokenizer, quiet
from synthgain.train.replay import Schedule, schedule
from synthgain.train.rows import TrainingRows, data_digest, read_rows
from synthgain.train.shapes import TrainingRow
from synthgain.train.siblings import FILE, Split, pairs, record_of, split
from synthgain.train.student import check_model, check_place, fresh, place, read_student, weights_digest
from synthgain.train.tokens import Examples, blocks, chats, learnt_turns, texts
from synthgain.types import SynthgainError, canonical, digest


@dataclass(frozen=True)
class FineTune:
    """Supervised fine-tuning on chats ("sft") or continued pretraining on text ("cpt"), of all weights or by LoRA.

    The budget is `epochs`, or `max_steps` optimiser steps (what arms that are compared should share), or
    `tokens` read (the last batch may go over). `batch` is examples an optimiser step, of which
    `micro_batch` (0: all) go through the model at once. `length` is in tokens: longer chats are cut, and
    how many is in `student.json`; under "cpt" it is the size of a block.

    A chat template gets the chat's tools. Loss falls on assistant turns, their tool calls too, unless a turn's `learn` says
    otherwise; of a row with `rejected` turns the chosen answer is learnt. `learn_reasoning` gives turns' reasoning to the
    template (as `reasoning_content`); without it no reasoning is read.

    `replay` is a file of general text, `replay_share` the probability that a place is given to it: in place
    of a row ("substitute", as EntiGraph's code has it) or besides the rows ("add"). `precision` "auto" takes
    bfloat16 autocast where the machine has it in hardware. Same rows, settings, seed, machine and number of
    threads: same student.

    `hold_out` is the share of the rows that is not learnt, prompt by prompt (`siblings.py`): the measures after
    training need it. 0 switches it off; below 20 different prompts nothing is held out, and `student.json` says so.

    `base_uri` and `base_identity` name the base in the record; without them it is the folder and a hash of it.
    """

    base: Path
    method: Literal["sft", "cpt"] = "sft"
    adapter: Literal["full", "lora"] = "full"
    epochs: float = 3
    max_steps: int | None = None
    tokens: int | None = None
    learning_rate: float = 1e-4
    batch: int = 8
    micro_batch: int = 0
    length: int = 512
    seed: int = 0
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.05
    weight_decay: float = 0.01
    lora: Lora = field(default=Lora())
    replay: Path | None = None
    replay_share: float = 0.1
    replay_mode: Literal["substitute", "add"] = "substitute"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    hold_out: float = 0.1
    learn_reasoning: bool = False
    base_uri: str = ""
    base_identity: str = ""
    watch: Watch | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for wrong, what in (
            (self.method not in ("sft", "cpt"), f"method is {self.method!r}; it is sft or cpt"),
            (self.adapter not in ("full", "lora"), f"adapter is {self.adapter!r}; it is full or lora"),
            (
                self.decay not in ("cosine", "linear", "constant"),
                f"decay is {self.decay!r}; it is cosine, linear or constant",
            ),
            (
                self.precision not in ("auto", "fp32", "bf16"),
                f"precision is {self.precision!r}; it is auto, fp32 or bf16",
            ),
            (
                self.replay_mode not in ("substitute", "add"),
                f"replay_mode is {self.replay_mode!r}; it is substitute or add",
            ),
            (not self.epochs > 0, "epochs must be above 0"),
            (self.max_steps is not None and self.max_steps < 1, "max_steps must be at least 1"),
            (self.tokens is not None and self.tokens < 1, "tokens must be at least 1"),
            (not self.learning_rate > 0, "learning_rate must be above 0"),
            (self.batch < 1, "batch must be at least 1"),
            (
                self.micro_batch < 0 or (self.micro_batch > 0 and self.batch % self.micro_batch > 0),
                "micro_batch must divide batch",
            ),
            (self.length < 2, "length must be at least 2 tokens"),
            (not 0 <= self.warmup < 1, "warmup is a share of the steps, 0 to below 1"),
            (not 0 <= self.hold_out <= 0.5, "hold_out is a share of the rows, 0 to 0.5"),
            (not 0 <= self.replay_share < 1, "replay_share is a probability, 0 to below 1"),
        ):
            if wrong:
                raise SynthgainError(what, where="FineTune")

    def __call__(self, rows: Path, out: Path) -> Path:
        """The student trained on `rows` (a run, a folder, a .parquet or .jsonl file), at `out`."""
        read, old, identity = self._sources(rows, out)
        parts = split(read.rows, self.hold_out, self.seed)
        asked = self._request(read.rows, parts, old, identity)
        done = read_student(out)
        if done is not None and done.get("request") == asked:
            return out
        libraries()
        with quiet():
            return self._train(read, parts, old, identity, asked, out)

    def _sources(self, rows: Path, out: Path) -> tuple[TrainingRows, Sequence[TrainingRow], str]:
        """Everything that can be wrong is looked at before anything is loaded."""
        check_place(out)
        check_model(self.base)
        identity = self.base_identity or weights_digest(self.base)
        read = read_rows(rows)
        old = read_rows(self.replay).rows if self.replay and self.replay_share else ()
        if self.method == "sft":
            for row in (*read.rows, *(row for row in old if row.messages is not None)):
                learnt_turns(row)
        return read, old, identity

    def _request(self, sources: Sequence[TrainingRow], parts: Split, old: Sequence[TrainingRow], identity: str) -> str:
        """The identity of what is asked: settings, rows learnt and held out, replay and base, by content, not by path."""
        elsewhere = ("base", "base_uri", "base_identity", "replay", "watch", "lora")
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in elsewhere} | {
            "lora": asdict(self.lora)
        }
        learnt, held = ((sources[i] for i in places) for places in (parts.learnt, parts.held))
        return digest(canonical(settings), identity, data_digest(learnt), data_digest(held), data_digest(old))[:32]

    def _train(
        self, read: TrainingRows, parts: Split, old: Sequence[TrainingRow], identity: str, asked: str, out: Path
    ) -> Path:
        began, sources = time.perf_counter(), read.rows
        tokenizer = load_tokenizer(self.base)
        learnt = [sources[i] for i in parts.learnt]
        new, replayed, plan = self._plan(learnt, old, tokenizer)
        kin = self._siblings(learnt, [sources[i] for i in parts.held], new, plan, tokenizer)
        bf16 = bf16_helps() if self.precision == "auto" else self.precision == "bf16"
        steps = Steps(
            self.learning_rate,
            self.decay,
            self.warmup,
            self.weight_decay,
            self.micro_batch or self.batch,
            bf16,
            self.seed,
            self.lora if self.adapter == "lora" else None,
            self.watch,
        )
        into = fresh(out)
        try:
            curve = learn(self.base, tokenizer, plan, steps, into)
            if len(kin):
                pq.write_table(kin, into / FILE)
        except BaseException:
            shutil.rmtree(into, ignore_errors=True)
            raise
        record = {
            "synthgain": version("synthgain"),
            "base": self.base_uri or str(self.base),
            "base_identity": identity,
            "method": self.method,
            "adapter": self.adapter,
            "rows": new.rows,
            "examples": len(new.examples),
            "read": self._came_of(read, parts, new),
            "tokens_per_epoch": new.tokens,
            "tokens_seen": plan.tokens,
            "epochs": round(plan.epochs, 4),
            "steps": plan.steps,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "batch": self.batch,
            "length": self.length,
            "decay": self.decay,
            "warmup": self.warmup,
            "weight_decay": self.weight_decay,
            "precision": "bf16" if bf16 else "fp32",
            "lora": asdict(self.lora) if self.adapter == "lora" else None,
            "learn_reasoning": self.learn_reasoning,
            "hold_out": self.hold_out,
            "held_out": record_of(parts, sources, len(kin) // 2),
            "replay": self._replayed(replayed, plan),
            "data_digest": data_digest(sources),
            "request": asked,
            "seconds": round(time.perf_counter() - began, 3),
            "curve": curve,
        }
        return place(into, out, record)

    def _came_of(self, read: TrainingRows, parts: Split, new: Examples) -> dict[str, Any]:
        """What was read and what came of it; `student.said_of_rows` says it in words."""
        return read.json() | {
            "held_out": len(parts.held),
            "learnt": len(parts.learnt),
            "cut": new.cut,
            "no_answer": new.left_out,
            "tools_unwritten": new.tools_unwritten,
            "length": self.length,
        }

    def _plan(
        self, sources: Sequence[TrainingRow], old: Sequence[TrainingRow], tokenizer: Any
    ) -> tuple[Examples, Examples | None, Schedule]:
        spell = chats if self.method == "sft" else blocks
        new = spell(sources, tokenizer, self.length, reasoning=self.learn_reasoning)
        if not new.examples:
            raise SynthgainError(
                f"no answer begins within {self.length} tokens in any of {new.rows} rows",
                next="give a larger length, or shorter prompts",
            )
        replayed = self._old(old, tokenizer) if old else None
        plan = schedule(
            new.examples,
            replayed.examples if replayed else (),
            batch=self.batch,
            epochs=self.epochs,
            max_steps=self.max_steps,
            tokens=self.tokens,
            share=self.replay_share,
            mode=self.replay_mode,
            seed=self.seed,
        )
        return new, replayed, plan

    def _siblings(
        self, learnt: Sequence[TrainingRow], held: Sequence[TrainingRow], new: Examples, plan: Schedule, tokenizer: Any
    ) -> pa.Table:
        """Pairs of rows that the schedule reaches whole and rows that were held out."""
        reached = {id(example) for example in plan.examples}
        left = {row for example, rows in zip(new.examples, new.rows_of) if id(example) not in reached for row in rows}
        begun = {row for rows in new.rows_of for row in rows}
        members = [row for place, row in enumerate(learnt) if place in begun and place not in left] if held else []
        return pairs(
            members,
            held,
            tokenizer=tokenizer,
            method=self.method,
            length=self.length,
            seed=self.seed,
            reasoning=self.learn_reasoning,
        )

    def _old(self, old: Sequence[TrainingRow], tokenizer: Any) -> Examples:
        """Replay under "cpt" is blocks; under "sft", chats keep their answers' loss and texts are learnt whole."""
        if self.method == "cpt":
            return blocks(old, tokenizer, self.length, reasoning=self.learn_reasoning)
        said = [r for r in old if r.messages is not None]
        plain = [r for r in old if r.messages is None]
        a = chats(said, tokenizer, self.length, reasoning=self.learn_reasoning) if said else Examples((), 0)
        b = texts(plain, tokenizer, self.length)
        return Examples(a.examples + b.examples, len(old), a.cut + b.cut, a.left_out + b.left_out)

    def _replayed(self, replayed: Examples | None, plan: Schedule) -> dict[str, Any] | None:
        if replayed is None:
            return None
        return {
            "from": str(self.replay),
            "rows": replayed.rows,
            "examples": len(replayed.examples),
            "cut": replayed.cut,
            "no_answer": replayed.left_out,
            "share": self.replay_share,
            "mode": self.replay_mode,
            "substituted": plan.substituted,
            "added": plan.added,
            "tokens": plan.replay_tokens,
        }
