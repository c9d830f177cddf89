"""Standard tasks through lm-evaluation-harness, from local files: an optional extra, and nothing is fetched.

A task is a YAML file as the harness has them, whose `dataset_kwargs: data_files` name files on this disk, beside it or by their path. It is read as data: a
tag that would run Python (`!function`) and an `include` are refused. Questions of ours become such a task by `task_of`, so that what we
score can be held against what the field's own code scores.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthgain.evaluate import Question, closed_book
from synthgain.intervals import z_quantile
from synthgain.models import weights_at
from synthgain.types import Reading, SynthgainError

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def harness(
    student: str | Path, tasks: Sequence[str | Path | Mapping[str, Any]], *, limit: int | None = None, batch: int = 8
) -> list[Reading]:
    """Readings "harness/TASK/METRIC" of a student (a folder, or local/… or hf/PATH) on tasks: YAML files, or what `task_of` gives.

    The interval is the harness's standard error times the normal quantile. `limit` takes so many items of each task.
    """
    folder = weights_at(student)
    with _offline():
        try:
            from lm_eval import simple_evaluate
            from lm_eval.models.huggingface import HFLM
            from lm_eval.tasks import TaskManager
        except ImportError as error:
            raise SynthgainError(
                "standard tasks need lm-evaluation-harness", where="--task", next='pip install "synthgain[harness]"'
            ) from error
        asked = [_config(task) for task in tasks]
        try:
            found = simple_evaluate(
                model=HFLM(pretrained=str(folder), device="cpu", batch_size=batch),
                tasks=asked,
                task_manager=TaskManager(include_defaults=False),  # reading its thousands of tasks takes minutes
                limit=limit,
                bootstrap_iters=0,
            )
        except (OSError, ValueError, KeyError, ConnectionError) as error:
            raise SynthgainError(
                f"the harness cannot run this task ({_line(error)})",
                where=", ".join(str(one.get("task")) for one in asked),
                next="name local files under dataset_kwargs: data_files; nothing is fetched here",
            ) from error
    return list(_readings(found))


def _config(task: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(task, Mapping):
        return dict(task)
    file = Path(task)
    if file.suffix not in (".yaml", ".yml") or not file.is_file():
        raise SynthgainError(
            "there is no such task",
            where=str(task),
            next="give a YAML file of lm-evaluation-harness with local data_files",
        )
    import yaml

    try:
        held = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SynthgainError(
            f"this task cannot be read ({_line(error)})", where=str(file), next="write it without tags, as plain YAML"
        ) from error
    if not isinstance(held, dict) or not isinstance(held.get("task"), str) or "include" in held:
        what = "it includes another file" if isinstance(held, dict) and "include" in held else "this file names no task"
        raise SynthgainError(what, where=str(file), next="write task: NAME, dataset_path: json, … in one file")
    return held | {"dataset_kwargs": _beside(held.get("dataset_kwargs") or {}, file.parent)}


def _beside(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The settings of a data set with files that lie beside the task by their whole path."""

    def found(name: Any) -> Any:
        near = folder / str(name)
        return str(near.resolve()) if isinstance(name, str) and near.is_file() else name

    files = given.get("data_files")
    if isinstance(files, Mapping):
        return {**given, "data_files": {split: found(name) for split, name in files.items()}}
    return dict(given)


def task_of(questions: Sequence[Question], file: Path, name: str = "questions") -> dict[str, Any]:
    """Closed-book multiple choice as a task of the harness; the questions are written to `file`.

    Its `acc` is by the sum of an option's log-probabilities (our `accuracy_sum`), its `acc_norm` by the sum a character (ours is a byte).
    """
    lines = [{"asked": closed_book(q), "options": list(q.options), "gold": q.gold} for q in questions]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{asked}}",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{gold}}",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
        ],
    }


def _readings(found: Mapping[str, Any]) -> Iterator[Reading]:
    for task, held in found["results"].items():
        n = int(found.get("n-samples", {}).get(task, {}).get("effective", 0))
        for name, value in held.items():
            metric, comma, kind = name.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = held.get(f"{metric}_stderr,{kind}")
            half = z_quantile(0.95) * error if isinstance(error, int | float) else None
            low, high = (None, None) if half is None else (value - half, value + half)
            estimator = "lm-evaluation-harness, normal interval"
            yield Reading(f"harness/{task}/{metric}", float(value), low, high, n=n, estimator=estimator)


@contextmanager
def _offline() -> Iterator[None]:
    """Nothing is looked for on a hub."""
    before = {name: os.environ.get(name) for name in OFFLINE}
    os.environ.update(OFFLINE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
