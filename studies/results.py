"""What the registered studies share: results that several processes put down side by side, and go on with on another day."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Results:
    """A JSON file of `part` → `key` → result; who is at which result is kept beside the runs in `runs`."""

    file: Path
    runs: Path

    def read(self) -> dict[str, Any]:
        return json.loads(self.file.read_text("utf-8")) if self.file.is_file() else {}

    def each(self, part: str, key: str, made: Callable[[], Any]) -> None:
        """`made()` put down, unless it is there or another process is at it."""
        with self._claimed(f"{part}-{key}") as mine:
            if mine and key not in self.read().get(part, {}):
                began = time.process_time()
                self.put(part, key, made())
                print(f"{part} {key}: {time.process_time() - began:.0f} s of processor", flush=True)

    def put(self, part: str, key: str, value: Any) -> None:
        with self._claimed(self.file.name, wait=True):
            found = self.read()
            found.setdefault(part, {})[key] = value
            half = self.file.with_suffix(".half")
            half.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n", "utf-8")
            half.replace(self.file)

    @contextmanager
    def _claimed(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        """Whether nobody else is at it; held until the end, or until the process dies."""
        place = self.runs / "claims" / name.replace("/", "-")
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def by_hash(rows: Iterable[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """`n` rows in an order that hangs on their content alone."""
    return sorted(rows, key=lambda row: hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest())[:n]


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Rows as JSON lines; whoever reads the file meanwhile sees all of the old or all of the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return half.replace(path)


def ratio(loss: np.ndarray) -> float:
    """Nats a token of [students, texts, (nats, tokens)]."""
    return float(loss[..., 0].sum() / loss[..., 1].sum())


def apart(loss: Mapping[str, np.ndarray], pairs: Iterable[tuple[str, str]]) -> list[tuple[float, float, float]]:
    """Of each pair the first's nats a token less the second's, with the interval of 2,000 resamples of texts and students together."""
    students, texts = next(iter(loss.values())).shape[:2]
    rng, drawn = np.random.default_rng(0), []
    for _ in range(2_000):
        at, of = rng.integers(0, texts, texts), rng.integers(0, students, students)
        drawn.append({name: ratio(one[of][:, at]) for name, one in loss.items()})
    told = []
    for a, b in pairs:
        low, high = np.quantile([one[a] - one[b] for one in drawn], [0.025, 0.975])
        told.append((ratio(loss[a]) - ratio(loss[b]), float(low), float(high)))
    return told
