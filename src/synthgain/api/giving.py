"""What leaves: data in other tools' formats, students as GGUF, uploads."""

from __future__ import annotations

import shlex
from pathlib import Path

from synthgain.api.as_typed import shared_command
from synthgain.api.places import on_disk
from synthgain.store import Run, recording
from synthgain.store import export as exporting
from synthgain.store import push as pushing
from synthgain.store.export import Exported
from synthgain.types import SynthgainError

ENDING = ".jsonl.gz"


def export(
    run: str | Path | Run, *, to: str, out: str | Path | None = None, all: bool = False
) -> tuple[Path, Exported]:
    """A run's kept rows as `to`, or a student folder as "gguf": the file, and what was written and what could not be.

    "calls" writes the calls that the run's rows were made with, for `generate(…, calls=FILE)`; with `all` every call that it ever bought.
    """
    folder = run.path if isinstance(run, Run) else Path(run)
    if all and to != "calls":
        raise SynthgainError("--all is for calls", where="--all", next="leave it out, or write --to calls")
    if to == "calls":
        return _calls_of(Run.at(folder), None if out is None else Path(out), all)
    if to == "gguf":
        from synthgain.api.training import gguf_of

        return gguf_of(folder, None if out is None else Path(out)), Exported(0)
    file = Path(out) if out is not None else folder / f"{to}.jsonl"
    with on_disk(file):
        return file, exporting.export(Run.at(folder), to, file)


def _calls_of(run: Run, out: Path | None, all: bool) -> tuple[Path, Exported]:
    file = out or run.path / f"calls{ENDING}"
    if not file.name.endswith(ENDING):
        other = file.with_name(file.name.partition(".")[0] + ENDING)
        raise SynthgainError(f"a file of calls ends in {ENDING}", where=str(file), next=f"-o {shlex.quote(str(other))}")
    record = run.record
    licences, models, identities = (record.get(name) for name in ("licences", "models", "identities"))
    names = {}
    if isinstance(models, dict) and isinstance(identities, dict):
        names = {str(identities[role]): str(uri) for role, uri in models.items() if role in identities}
    about = {name: record[name] for name in ("machine", "synthgain") if isinstance(record.get(name), str)}
    if command := shared_command(str(record.get("command") or "")):
        about["command"] = command
    uses = None if all else run.uses()
    with on_disk(file):
        known = licences if isinstance(licences, dict) else {}
        return file, recording.write(run.calls, file, about, known, names, uses or (lambda id: True))


def push(run: str | Path | Run, repo: str, *, private: bool = True, endpoint: str | None = None) -> str:
    """Upload RUN/data and its card to the repository OWNER/NAME of a hub; the commit's URL."""
    return pushing.push(run if isinstance(run, Run) else Run.at(run), repo, private=private, endpoint=endpoint)
