"""W: kept rows to a student.

`FineTune` satisfies `types.Train`: `FineTune(base)(rows, out)` gives the student's folder. The same
request again returns the finished student; another request replaces it. One that was killed goes on from its last checkpoint.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from itertools import compress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from synthgain.train import siblings, tokens
from synthgain.train.learn import Learnt, bf16_helps, learn, libraries, quiet
from synthgain.train.replay import NOTHING, Lengths, Schedule, schedule
from synthgain.train.rows import TrainingRows, first_row, no_chat, read_rows
from synthgain.train.spelling import blocks, chats, pairs_of
from synthgain.train.student import at_work, check_place, fresh, place, read_student, said_of_kinds, said_of_rows
from synthgain.train.template import Template
from synthgain.train.tokens import Tokens
from synthgain.train.trainer import Lora, Steps, Watch, last_whole
from synthgain.train.weights import Scratch, Start, check_start, load_tokenizer, start_digest
from synthgain.types import Method, SynthgainError, canonical, digest

RATES = {"sft": 1e-4, "cpt": 1e-4, "dpo": 1e-6}  # learning rates where none is given; that of dpo is TRL's
SPELL = {"sft": chats, "cpt": blocks, "dpo": pairs_of}
OURS = (
    "base",
    "base_uri",
    "base_identity",
    "replay",
    "watch",
    "say",
    "lora",
    "strict",
    "minutes",
)  # of the fields: no settings of a student


@dataclass(frozen=True)
class FineTune:
    """Supervised fine-tuning on chats ("sft"), continued pretraining on text ("cpt") or preference pairs ("dpo"), of all weights or by LoRA.

    `base` is a folder with weights, or a `Scratch`: a configuration alone. Without a `method` the rows decide: "dpo" where all are
    preference pairs, "cpt" where all are texts, else "sft". Under "sft" texts among chats are learnt whole and of a pair the chosen answer;
    under "dpo" rows that are no pair are left out; under "cpt" a chat is a text. student.json counts them.

    The budget is `epochs`, or `max_steps` optimiser steps (what arms that are compared should share), or
    `tokens` read (the last batch may go over). `batch` is examples an optimiser step, of which
    `micro_batch` (0: all) go through the model at once. `length` is in tokens: longer chats are cut, and
    how many is in `student.json`; under "cpt" it is the size of a block.

    A chat template gets the chat's tools. Loss falls on assistant turns, their tool calls too, unless a turn's `learn` says
    otherwise. `learn_reasoning` gives turns' reasoning to the template (as `reasoning_content`; in front of the answer between
    <think> and </think>, where the template has no place for it); without it no reasoning is read.

    `replay` is a file of general text, `replay_share` the probability that a place is given to it: in place
    of a row ("substitute", as EntiGraph's code has it) or besides the rows ("add"). `precision` "auto" takes
    bfloat16 autocast where the machine has it in hardware. Same rows, settings, seed, machine and number of
    threads: same student.

    `hold_out` is the share of the rows that is not learnt, prompt by prompt (`siblings.py`): the measures after
    training need it. 0 switches it off; below 20 different prompts nothing is held out, and `student.json` says so; nor of preference pairs.

    `train_embeddings` False leaves the tables of tokens, of the input and of the head, as they are: of a small model a fifth of the work.

    `learning_rate` None: 1e-4, of preference pairs 1e-6; `beta` is DPO's. `strict` refuses rows that cannot be read instead of leaving them out.
    Every `minutes` a checkpoint is written beside `out`.
    `base_uri` and `base_identity` name the base in the record; without them it is the folder and a hash of it.
    """

    base: Start
    method: Method | None = None
    adapter: Literal["full", "lora"] = "full"
    epochs: float = 3
    max_steps: int | None = None
    tokens: int | None = None
    learning_rate: float | None = None
    batch: int = 8
    micro_batch: int = 0
    length: int = 512
    seed: int = 0
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.05
    weight_decay: float = 0.01
    lora: Lora = field(default=Lora())
    beta: float = 0.1
    replay: Path | None = None
    replay_share: float = 0.1
    replay_mode: Literal["substitute", "add"] = "substitute"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    hold_out: float = 0.1
    learn_reasoning: bool = False
    train_embeddings: bool = True
    strict: bool = False
    minutes: float = 10
    base_uri: str = ""
    base_identity: str = ""
    watch: Watch | None = field(default=None, repr=False, compare=False)
    say: Callable[[str], None] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for wrong, what in (
            (self.method not in (None, "sft", "cpt", "dpo"), f"method is {self.method!r}; it is sft, cpt or dpo"),
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
            (self.learning_rate is not None and not self.learning_rate > 0, "learning_rate must be above 0"),
            (not self.beta > 0, "beta must be above 0"),
            (not self.minutes >= 0, "minutes between checkpoints must not be below 0"),
            (
                isinstance(self.base, Scratch) and self.adapter == "lora",
                "random weights cannot be trained by LoRA: take full",
            ),
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
                raise SynthgainError(what, where="FineTune", next="correct it, or leave it out for its default")

    def __call__(self, rows: Path, out: Path) -> Path:
        """The student trained on `rows` (a run, a folder, a .parquet or .jsonl file), at `out`."""
        check_place(out)
        check_start(self.base)
        identity = self.base_identity or start_digest(self.base)
        read = read_rows(rows, strict=self.strict)
        method = self._method(read, rows)
        old = read_rows(self.replay, strict=self.strict) if self.replay and self.replay_share else None
        asked = self._request(method, read, old, identity)
        done = read_student(out)
        if done is not None and done.get("request") == asked:
            return out
        libraries()
        with quiet():
            return _Training(self, method, read, old, identity, asked, out)()

    @property
    def source(self) -> str:
        """What is started from, for the record."""
        return self.base_uri or ("scratch" if isinstance(self.base, Scratch) else str(self.base))

    def rate(self, method: Method) -> float:
        return self.learning_rate or RATES[method]

    def _method(self, read: TrainingRows, rows: Path) -> Method:
        """How the rows are learnt; SynthgainError where they do not allow what is asked."""
        method = self.method or read.method
        if method == "sft" and not read.chats:
            raise no_chat(first_row(rows).where)
        if method == "dpo" and not read.pairs:
            raise SynthgainError(
                "no row is a preference pair: none has rejected turns",
                where=str(rows),
                next="give rows with prompt, chosen and rejected, or leave the method out",
            )
        if method == "dpo" and self.replay:
            raise SynthgainError("preference pairs are learnt without replay", where="--replay", next="leave it out")
        return method

    def _request(self, method: Method, read: TrainingRows, old: TrainingRows | None, identity: str) -> str:
        """The identity of what is asked: settings, rows, replay and base, by content, not by path."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in OURS}
        if self.train_embeddings:
            del settings["train_embeddings"]  # students of before this setting stand
        settings |= {"method": method, "learning_rate": self.rate(method), "lora": asdict(self.lora)}
        return digest(canonical(settings), identity, read.digest, old.digest if old else "")[:32]


@dataclass(frozen=True)
class _Training:
    """One training: what was asked, and the rows that were read."""

    asks: FineTune
    method: Method
    read: TrainingRows
    old: TrainingRows | None
    identity: str
    request: str
    out: Path

    def __call__(self) -> Path:
        began, asks = time.perf_counter(), self.asks
        work = at_work(self.out, self.request)
        tokenizer = load_tokenizer(asks.base)
        parts = self._split()
        try:
            data, old = self._spelled(parts.held, tokenizer, work)
            plan = self._plan(data, old)
            record = self._record(parts, data, old, plan)
            if asks.say:
                asks.say(f"{self.method}: {said_of_kinds(record)}; {plan.steps:,} steps")
            into = fresh(work / "student")
            template = Template(tokenizer)
            end = template.end if self.method != "cpt" and template.tail else ""
            found = learn(asks.base, tokenizer, end, plan, data, old, self._steps(), work, into)
            kin = self._siblings(parts.held, data, plan, tokenizer)
            if len(kin):
                pq.write_table(kin, into / siblings.FILE)
            held = hashlib.sha256(self.read.keys[parts.held].tobytes()).hexdigest() if parts.rows_held else ""
            record["held_out"] = siblings.record_of(parts, len(kin) // 2, held)
            record |= self._ended(found, time.perf_counter() - began)
            record["said"] = said_of_rows(record)
            place(into, self.out, record)
        except BaseException as error:
            raise self._stopped(error, work) from error
        shutil.rmtree(work, ignore_errors=True)
        return self.out

    def _stopped(self, error: BaseException, work: Path) -> BaseException:
        """What a training that ended early leaves: its last checkpoint, unless going on would end there again."""
        whole = last_whole(work) if work.is_dir() else None
        faulty = isinstance(error, SynthgainError) and not isinstance(error, KeyboardInterrupt)
        if whole is None or faulty:
            shutil.rmtree(work, ignore_errors=True)
            return error
        step = whole.name.rpartition("-")[2]
        if isinstance(error, KeyboardInterrupt):
            kept = f"training was stopped; its last checkpoint is that of step {step}"
            return SynthgainError(kept, where=str(work), next="the same command goes on from there", code=130)
        if isinstance(error, OSError):
            what = f"the training cannot go on writing ({error}); its last checkpoint is that of step {step}"
            return SynthgainError(
                what, where=str(work), next="make room and give the same command: it goes on from there", code=3
            )
        return error

    def _split(self) -> siblings.Split:
        if self.method == "dpo":
            return siblings.Split(np.zeros(len(self.read), bool), why="nothing is held out of preference pairs")
        return siblings.split(self.read.prompts, self.asks.hold_out, self.asks.seed)

    def _spelled(self, held: siblings.Held, tokenizer: Any, work: Path) -> tuple[Tokens, Tokens | None]:
        """The rows to learn and the replay as tokens on disk; those that a killed training of the same request left stand."""
        asks, step = self.asks, 2 if self.method == "dpo" else 1
        found: list[Tokens | None] = [None, None]
        for at, (name, rows) in enumerate((("tokens", compress(self.read, ~held)), ("replay", self.old))):
            if rows is not None:
                folder = work / name
                spell = SPELL[self.method]
                found[at] = (
                    Tokens(folder, step)
                    if tokens.written(folder)
                    else tokens.write(
                        spell(rows, tokenizer, asks.length, reasoning=asks.learn_reasoning),
                        folder,
                        strict=asks.strict,
                        step=step,
                    )
                )
        data, old = found
        for one, what in ((data, "rows"), (old, "replay rows")):
            if one is not None and not len(one):
                raise SynthgainError(
                    f"no answer begins within {asks.length} tokens in any of {one.counts.rows} {what}",
                    next="give a larger --length, or shorter prompts",
                )
        assert data is not None
        return data, old

    def _plan(self, data: Tokens, old: Tokens | None) -> Schedule:
        asks = self.asks
        return schedule(
            Lengths(data.lengths(), data.learnt()),
            NOTHING if old is None else Lengths(old.lengths(), old.learnt()),
            batch=asks.batch,
            epochs=asks.epochs,
            max_steps=asks.max_steps,
            tokens=asks.tokens,
            share=asks.replay_share,
            mode=asks.replay_mode,
            seed=asks.seed,
        )

    def _steps(self) -> Steps:
        asks = self.asks
        return Steps(
            asks.rate(self.method),
            asks.decay,
            asks.warmup,
            asks.weight_decay,
            asks.micro_batch or asks.batch,
            bf16_helps() if asks.precision == "auto" else asks.precision == "bf16",
            asks.seed,
            asks.lora if asks.adapter == "lora" else None,
            asks.beta if self.method == "dpo" else None,
            asks.minutes,
            asks.watch,
            asks.train_embeddings,
        )

    def _siblings(self, held: siblings.Held, data: Tokens, plan: Schedule, tokenizer: Any) -> Any:
        """Pairs of rows that the schedule reaches whole and rows that were held out."""
        if not held.any():
            return ()
        members = np.zeros(len(held), bool)
        members[np.flatnonzero(~held)] = data.whole_rows(plan.reached(len(data)))
        asks = self.asks
        learnt, fresh_ones = siblings.candidates(self.read, members, held, asks.seed)
        return siblings.pairs(
            learnt,
            fresh_ones,
            tokenizer=tokenizer,
            method=self.method,
            length=asks.length,
            seed=asks.seed,
            reasoning=asks.learn_reasoning,
        )

    def _record(self, parts: siblings.Split, data: Tokens, old: Tokens | None, plan: Schedule) -> dict[str, Any]:
        """What student.json says of what was asked and read."""
        asks, counts = self.asks, data.counts
        return {
            "synthgain": version("synthgain"),
            "base": asks.source,
            "base_identity": self.identity,
            "method": self.method,
            "adapter": asks.adapter,
            "rows": counts.rows,
            "examples": len(data),
            "read": self.read.json()
            | {
                "held_out": parts.rows_held,
                "learnt": counts.rows,
                "cut": counts.cut,
                "no_answer": counts.no_answer,
                "unpaired": counts.unpaired,
                "refused": list(counts.refused),
                "tools_unwritten": counts.tools_unwritten,
                "length": asks.length,
            },
            "answer_tokens": counts.longest_answer,
            "tokens_per_epoch": data.total,
            "tokens_seen": plan.tokens_seen,
            "epochs": round(plan.epochs, 4),
            "steps": plan.steps,
            "seed": asks.seed,
            "learning_rate": asks.rate(self.method),
            "batch": asks.batch,
            "length": asks.length,
            "decay": asks.decay,
            "warmup": asks.warmup,
            "weight_decay": asks.weight_decay,
            "precision": "bf16" if self._steps().bf16 else "fp32",
            "lora": asdict(asks.lora) if asks.adapter == "lora" else None,
            "beta": asks.beta if self.method == "dpo" else None,
            "learn_reasoning": asks.learn_reasoning,
            "train_embeddings": asks.train_embeddings,
            "hold_out": asks.hold_out,
            "replay": None if old is None else self._replayed(old, plan),
            "data_digest": self.read.digest,
            "request": self.request,
        }

    def _ended(self, found: Learnt, seconds: float) -> dict[str, Any]:
        return {
            "seconds": round(seconds, 3),
            "resumed_at": found.resumed_at,
            "notes": list(found.notes),
            "curve": found.curve,
        }

    def _replayed(self, old: Tokens, plan: Schedule) -> dict[str, Any]:
        return {
            "from": str(self.asks.replay),
            "rows": old.counts.rows,
            "examples": len(old),
            "cut": old.counts.cut,
            "no_answer": old.counts.no_answer,
            "share": self.asks.replay_share,
            "mode": plan.mode,
            "substituted": plan.replayed if plan.mode == "substitute" else 0,
            "added": plan.replayed if plan.mode == "add" else 0,
            "tokens": plan.replay_tokens,
        }
