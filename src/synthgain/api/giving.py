"""What leaves: data in other tools' formats, students as GGUF, uploads."""

from __future__ import annotations

from pathlib import Path

from synthgain.api.making import on_disk
from synthgain.store import Run
from synthgain.store import export as exporting
from synthgain.store import push as pushing
from synthgain.store.export import Exported


def export(run: str | Path | Run, *, to: str, out: str | Path | None = None) -> tuple[Path, Exported]:
    """A run's kept rows as `to`, or a student folder as "gguf": the file, and what was written and what could not be."""
    folder = run.path if isinstance(run, Run) else Path(run)
    if to == "gguf":
        from synthgain.api.training import gguf_of

        return gguf_of(folder, None if out is None else Path(out)), Exported(0)
    file = Path(out) if out is not None else folder / f"{to}.jsonl"
    with on_disk(file):
        return file, exporting.export(Run.at(folder), to, file)


def push(run: str | Path | Run, repo: str, *, private: bool = True, endpoint: str | None = None) -> str:
    """Upload RUN/data and its card to the repository OWNER/NAME of a hub; the commit's URL."""
    return pushing.push(run if isinstance(run, Run) else Run.at(run), repo, private=private, endpoint=endpoint)
