"""A run's calls as one file that can be shipped (its form stands in `recorded`, which reads it)."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from synthgain.store.calls import CallMemory
from synthgain.store.export import Exported
from synthgain.store.recorded import FORMAT, LONGEST, SAID, VERSION, stamp
from synthgain.store.segment import WITH_IDENTITY, Segment
from synthgain.types import SynthgainError


def write(
    calls: Path,
    out: Path,
    about: Mapping[str, str],
    licences: Mapping[str, str | None],
    names: Mapping[str, str],
    wanted: Callable[[str], bool] = lambda id: True,
) -> Exported:
    """The calls of a folder whose ids are `wanted`, as one file.

    `about` says how they were made; `names` are the models' URIs by identity, where they should not be those under which each call was
    bought; `licences` are by URI.

    SynthgainError where no call is wanted, or one is too long.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    new, body = (out.with_name(f".{out.name}.{os.getpid()}{end}") for end in ("", ".body"))
    try:
        with closing(CallMemory(calls, readonly=True)) as memory:
            with open(body, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
                lines = _Lines(file, names)
                left_out = lines.write(memory, wanted)
            head = _head(lines, memory.recordings(), about, licences)
        with open(new, "wb") as raw:
            with gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
                file.write(_line(head))
            with open(body, "rb") as rest:
                shutil.copyfileobj(rest, raw)
        new.replace(out)
    finally:
        for left in (new, body):
            left.unlink(missing_ok=True)
    return Exported(lines.n, left_out=left_out)


class _Lines:
    """The lines of a file after the first, and what has to be said of them in the first."""

    def __init__(self, file: gzip.GzipFile, names: Mapping[str, str]) -> None:
        self.file, self.names, self.n = file, names, 0
        self.models: dict[tuple[str, str], int] = {}
        self.numbers: dict[bytes, int] = {}  # of texts, by key
        self.last = 0.0  # when the last of the calls was bought
        self.sources: set[str] = set()  # recordings that they come from; "" for none

    def write(self, memory: CallMemory, wanted: Callable[[str], bool]) -> int:
        """The wanted calls after their texts. How many were not wanted."""
        calls: list[tuple[Segment, bytes, list[bytes]]] = []
        left_out = 0
        for segment, (key, tail, places) in memory.rows("SELECT key, tail, long FROM calls", 0):
            if wanted((key + tail).hex()):
                texts = [] if places is None else [bytes.fromhex(name) for _, name in json.loads(places)]
                calls.append((segment, key, texts))
            else:
                left_out += 1
        if not calls:
            after = "make the run first, or write all that it ever bought: --all"
            raise SynthgainError("there is no call to write", where=str(memory.folder), next=after)
        self._texts(memory, {text for _, _, texts in calls for text in texts})
        calls.sort(key=lambda call: ([self.numbers[text] for text in call[2]], call[1]))
        for segment, key, _ in calls:
            self._call(segment, next(segment.rows(f"{WITH_IDENTITY} WHERE key = ?", (key,))))
        return left_out

    def _texts(self, memory: CallMemory, wanted: set[bytes]) -> None:
        """The long texts, sorted, each without what it has in common with the beginning of the one before."""
        before = ""
        for key, text in memory.texts():
            if key in wanted and key not in self.numbers:
                same = len(os.path.commonprefix((before, text)))  # noqa: RUF071 (of characters is what is meant)
                self._put({"same": same, "text": text[same:]} if same else {"text": text}, f"text {key.hex()}")
                self.numbers[key] = len(self.numbers)
                before = text

    def _call(self, segment: Segment, row: tuple[Any, ...]) -> None:
        identity, at, key, tail, prompt, places, uri, text, rest, finish, *counts, logprob, law, cost, seconds = row
        id = (key + tail).hex()
        model = self.names.get(identity, uri), identity
        held: dict[str, Any] = {"id": id, "model": self.models.setdefault(model, len(self.models))}
        held["prompt"] = json.loads(prompt)
        if places is not None:
            held["long"] = [[place, self.numbers[bytes.fromhex(name)]] for place, name in json.loads(places)]
        held |= {"text": text} | ({} if rest is None else {"rest": json.loads(rest)}) | {"finish": finish}
        held |= {"tokens": counts, "logprob": logprob, "law": law, "cost": cost, "seconds": round(seconds, 3)}
        self._put(held, f"call {id}")
        self.n, self.last = self.n + 1, max(self.last, at)
        self.sources.add(segment.file.stem if segment.recorded and segment.file else "")

    def _put(self, held: Mapping[str, Any], what: str) -> None:
        line = _line(held)
        if len(line) > LONGEST:
            raise SynthgainError(f"it is longer than {LONGEST:,} bytes, which no recording holds", where=what)
        self.file.write(line)


def _head(
    lines: _Lines,
    recordings: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, str],
    licences: Mapping[str, str | None],
) -> dict[str, Any]:
    """The first line. Where all calls come from one recording it is that one again; other recordings are named."""
    before = [recordings[name] for name in sorted(lines.sources - {""})]
    copied = before[0] if len(before) == 1 and "" not in lines.sources else None
    told: Mapping[str, Any] = {**about, "made": stamp(lines.last)}
    if copied is not None:
        told, before = copied, copied.get("from", [])
    told = {name: told[name] for name in SAID if name in told}
    models = []
    for uri, identity in lines.models:
        weights = re.match(r"[0-9a-f]{64}(?![0-9a-f])", identity)
        licence = next(
            (m.get("licence") for r in recordings.values() for m in r["models"] if m["identity"] == identity), None
        )
        models.append(
            {"uri": uri, "identity": identity}
            | ({"sha256": weights[0]} if weights else {})
            | ({"licence": said} if (said := licences.get(uri) or licence) else {})
        )
    held = {"format": FORMAT, "version": VERSION, "calls": lines.n, "models": models, **told}
    return held | ({"from": before} if before else {})


def _line(held: Mapping[str, Any]) -> bytes:
    return (json.dumps(held, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
