"""One self-contained HTML page about a run, a loop, a student or a comparison of arms: no network, no foreign script, all data escaped."""

from __future__ import annotations

from pathlib import Path

from synthgain.report.arms_page import comparison, is_comparison
from synthgain.report.frame import contents, footer, grid, page, setting
from synthgain.report.loop_page import loop_page
from synthgain.report.markup import el, join, snippet, visible
from synthgain.report.read import json_at, run_part
from synthgain.report.read_loop import loop_part
from synthgain.report.run_page import run_page
from synthgain.report.student_sections import student_sections
from synthgain.store import Run, atomic_write
from synthgain.types import SynthgainError


def write(folder: Path, out: Path | None = None) -> Path:
    """Write the page about a run, loop, comparison or student folder to `out` (default: report.html in the folder) and give its path.

    SynthgainError where the folder is none of them; a part that is missing is said to be on the page.
    """
    folder = Path(folder)
    out = folder / "report.html" if out is None else Path(out)
    if (folder / "loop.json").is_file():
        text = loop_page(loop_part(folder))
    elif Run.is_at(folder):
        text = run_page(run_part(folder))
    elif (folder / "student.json").is_file():
        text = _student_page(folder)
    elif is_comparison(folder):
        text = _comparison_page(folder)
    else:
        raise SynthgainError(
            "there is nothing here to report on (no run.json, no loop.json, no student.json, no arms.json)",
            where=str(folder),
            next="give the folder that `synthgain generate … -o RUN`, `synthgain loop`, `synthgain arms` or `synthgain demo` wrote",
        )
    atomic_write(out, text)
    return out


# ---------------------------------------------------------------------------------------------- a student


def _student_page(folder: Path) -> str:
    record, why = json_at(folder / "student.json")
    parts = student_sections(folder, record)
    name = snippet(f"A student of {str(record.get('base') or 'an unknown base').rstrip('/').rsplit('/', 1)[-1]}", 60)
    facts = [
        (key, str(record[key]))
        for key in ("base", "method", "adapter", "rows", "tokens_seen", "epochs", "steps", "seed", "learning_rate")
        if record.get(key) is not None
    ]
    warning = el("p", why, ".", class_="warning") if why else None
    header = el(
        "header", el("p", "synthgain · report of a student", class_="brand"), el("h1", name), warning, grid(facts)
    )
    body = join(
        header,
        contents(parts),
        el("main", [body for _, _, body in parts]),
        footer(str(record.get("synthgain") or "")),
    )
    return page(f"{visible(name)} · synthgain", body)


# ---------------------------------------------------------------------------------------------- a comparison


def _comparison_page(folder: Path) -> str:
    title, lead, parts, asked = comparison(folder)
    facts = [(str(name), setting(value)) for name, value in asked.items()]
    header = el("header", el("p", "synthgain · comparison of arms", class_="brand"), el("h1", title), lead, grid(facts))
    body = join(
        header, contents(parts), el("main", [body for _, _, body in parts]), footer(str(asked.get("synthgain") or ""))
    )
    return page(f"{visible(title)} · synthgain", body)
