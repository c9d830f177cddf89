"""What commands print for people. Text of anchors and models is printed as it is, never as markup."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgain.numbers import interval, money
from synthgain.report.recorded import recorded_said

if TYPE_CHECKING:
    from synthgain.types import Reading


MOST = 6  # reasons shown


def say(text: str) -> None:
    print(text, file=sys.stderr)


def print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False, default=str))


def print_readings(readings: Sequence[Reading], as_json: bool) -> None:
    print_json({"readings": [r.json() for r in readings]}) if as_json else print_table(readings)


def print_table(readings: Sequence[Reading], title: str = "") -> None:
    """Readings for people, on standard output: what has a value with its whole note, then one line for all that has none, and why."""
    told = [r for r in readings if r.value is not None]
    heads = ("figure", "value and interval", "unit", "n", "note")
    rows = [(r.name, interval(r.value or 0.0, r.low, r.high), r.unit, f"{r.n:,}" if r.n else "", r.note) for r in told]
    if title:
        print(title)
    if rows and sys.stdout.isatty():
        _rich_table(heads[:-1], [row[:-1] for row in rows])
        for note, names in _by_note(told):
            print(f"{', '.join(names)}: {note}")
    elif rows:
        _plain_table(heads, rows)
    missing = _by_note(r for r in readings if r.value is None)
    if missing:
        why = (f"{', '.join(names)} ({note or 'no reason given'})" for note, names in missing)
        print(f"not measured: {'; '.join(why)}")


def _by_note(readings: Iterable[Reading]) -> list[tuple[str, list[str]]]:
    """The names of readings by their note, as notes come first; of those that have a value and no note nothing is said."""
    found: dict[str, list[str]] = {}
    for r in readings:
        if r.note or r.value is None:
            found.setdefault(r.note, []).append(r.name)
    return list(found.items())


def print_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table: as wide as the terminal, or a line for each row where there is none."""
    (_rich_table if sys.stdout.isatty() else _plain_table)(heads, rows)


def _plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line for each row, as long as it is: for a pipe or a file."""
    wide = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads) - 1)]
    for row in (heads, *rows):
        print("  ".join([*(cell.ljust(n) for cell, n in zip(row, wide)), row[-1]]).rstrip())


def _rich_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table no wider than the terminal: what is too long is folded, not cut."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in heads:
        table.add_column(name, justify="right" if name == "n" else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)


def print_close(record: dict[str, Any], path: Path, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    beyond = record["counts"].get("beyond_the_limit", 0)
    c, fell = record["counts"], ", ".join(f"{n:,} {name}" for name, n in record["dropped_by"].items())
    print(
        f"{c['kept']:,} rows kept of {c['rows']:,}"
        + (f" (dropped: {fell})" if fell else "")
        + (f"; {c['broken']:,} broken" if c["broken"] else "")
        + (f"; {beyond:,} more were drafted beyond the limit of candidates and left out" if beyond else "")
    )
    took = f"{_took(record)}; {record['seconds']:.1f} s{_held(record)}"
    if "curated" in record:
        of_them = f" ({_took(record['replayed'])})" if "replayed" in record else ""
        n = c["calls_reused"] + c.get("calls_recorded", 0)
        took = f"the run took {took}; these rows need {n:,} of its calls{of_them}; nothing was bought"
    own = f"{c['calls_bought']:,} calls bought, {c['calls_reused']:,} reused"
    recorded = f", {c['calls_recorded']:,} recorded" if c.get("calls_recorded") else ""
    print(took if "curated" in record else f"{own}{recorded}; {took}")
    for line in recorded_said(record):
        print(f"recorded: {line}")
    if record.get("warning"):
        print(f"warning: {record['warning']}")
    print(f"data: {path / 'data'}")


def _held(record: dict[str, Any]) -> str:
    """Memory, where a model ran in the process."""
    peak = record.get("memory_peak")
    embedded = any(not str(uri).startswith(("openai/", "scripted/")) for uri in record["models"].values())
    wrote = embedded and record["counts"]["calls_bought"]
    return f"; at most {peak / 1e9:.1f} GB of memory" if peak and wrote else ""


def _took(record: dict[str, Any]) -> str:
    """Tokens and money."""
    cost = "no price known" if record["cost_usd"] is None else f"${record['cost_usd']:.4f}"
    return f"{record['tokens']['in']:,} tokens in, {record['tokens']['out']:,} out; {cost}"


def print_calls_written(file: Path, came: Any) -> None:
    others = (
        f"; {came.left_out:,} others that the run has bought are in no row of now and were left out (--all)"
        if came.left_out
        else ""
    )
    print(f"{file}: {came.written:,} calls, {file.stat().st_size / 1000:,.0f} kB{others}")


def print_broken(broken: Sequence[tuple[str, int, Sequence[str]]]) -> None:
    """Why drafts and calls failed, with which anchors, and what to do, on standard error."""
    from synthgain.report.broken import what_to_do

    for reason, n, sources in broken[:MOST]:
        named = ", ".join(sources[:3]) + (f" and {len(sources) - 3:,} more" if len(sources) > 3 else "")
        say(f"  {n:,} broken: {reason}" + (f" ({named})" if named else ""))
        say(f"      {what_to_do(reason)}")
    if len(broken) > MOST:
        say(
            f"  {sum(n for _, n, _ in broken[MOST:]):,} broken for {len(broken) - MOST:,} other reasons: see broken/broken.jsonl"
        )


def arms_table(arms: Sequence[dict[str, Any]]) -> None:
    """A line for each arm: what it learnt, and what it got right."""
    from synthgain.types import Reading

    read = [{r["name"]: Reading.read(r) for r in arm["readings"]} for arm in arms]
    margins = any("answer_margin" in mine for mine in read)
    print(f"{'arm':<16}{'rows':>6}{'tokens':>9}  {'accuracy':<29}{'  answer_margin, nats' if margins else ''}")
    for arm, mine in zip(arms, read):
        line = f"{arm['name']:<16}{arm['rows']:>6}{arm['tokens']:>9,}  "
        line += f"{_interval(mine['accuracy']) if 'accuracy' in mine else 'not measured':<29}"
        found = mine.get("answer_margin")
        if found is not None and found.value is not None:
            line += f"  {interval(found.value, found.low, found.high, signed=True)}"
        print(line)


def print_arms(result: dict[str, Any], folder: Path) -> None:
    from synthgain import api

    arms_table(result["arms"])
    told = result.get("differences", [])
    for d in told:
        if not _of_several(d):
            print(_sentence(d))
    for d in told:
        if _of_several(d) and d["b"] == "base":
            print(f"of {str(d['name']).removesuffix(' difference').replace('pass_at_', 'pass@')}: {_sentence(d)}")
    _print_rates(result.get("by_rate", []))
    for sentence in result.get("foretold", {}).get("said", []):
        print(sentence)
    for line in filter(None, [result.get("note")]):
        print(line)
    if (advice := api.advice(folder)) is not None:
        print(advice.sentence)
    print(f"report: {folder / 'report.html'}")


def _of_several(d: dict[str, Any]) -> bool:
    """Whether a difference is of pass@k."""
    return str(d["name"]).startswith("pass_at_")


def _print_rates(by_rate: Sequence[dict[str, Any]]) -> None:
    """The arms at each learning rate, from the largest margin to the smallest."""
    for one in by_rate:
        found = [
            (r["value"], arm["name"])
            for arm in one["arms"]
            for r in arm["readings"]
            if r["name"] == "answer_margin" and r["value"] is not None
        ]
        order = ", ".join(f"{name} {value:+.2f}" for value, name in sorted(found, reverse=True))
        print(f"at learning rate {one['learning_rate']:g}, nats of answer_margin: {order}")


def _interval(r: Reading) -> str:
    return f"not measured: {r.note}" if r.value is None else f"{interval(r.value, r.low, r.high)}  (n = {r.n})"


def _sentence(d: dict[str, Any]) -> str:
    """ "A beats B by x [low, high]", or that they cannot be told apart."""
    if d["value"] is None:
        return f"{d['a']} against {d['b']}: not measured ({d['note']})"
    what = f"{d['unit']} of {str(d['name']).removesuffix(' difference')}" if d.get("unit") else ""
    if d["low"] is None:
        return f"{d['a']} less {d['b']}: {d['value']:+.2f} {what}, without an interval ({d['note']})."
    by = interval(abs(d["value"]), *sorted((abs(d["low"]), abs(d["high"])))) + (what and f" {what}")
    if d["low"] > 0:
        return f"{d['a']} beats {d['b']} by {by}."
    if d["high"] < 0:
        return f"{d['b']} beats {d['a']} by {by}."
    difference = interval(d["value"], d["low"], d["high"], signed=True) + (what and f" {what}")
    return f"{d['a']} and {d['b']} cannot be told apart here: difference {difference}."


COMPARED = (
    *("right_share", "proxy_gain_answer", "mdm", "grounded", "proxy_gain", "target_fit"),
    *("delta_I", "tv_lower", "vendi", "dup_rate", "copy_rate"),
)


def print_comparison(result: dict[str, Any]) -> None:
    """The sets side by side, a column each, the figure that ranks them first, then what is said of them."""
    sets = result["runs"]
    found = [{r["name"]: r for r in one["readings"]} for one in sets]
    head = result["headline"]["name"]
    shown = [name for name in dict.fromkeys((head, *COMPARED)) if any(name in mine for mine in found)]
    rows = [
        ("rows", *(f"{one['rows']:,}" for one in sets)),
        ("words", *(f"{one['tokens']:,}" for one in sets)),
        ("cost", *("-" if one["cost_usd"] is None else money(one["cost_usd"]) for one in sets)),
        *((name, *(_cell(mine.get(name)) for mine in found)) for name in shown),
    ]
    heads = ("", *(one["name"] for one in sets))
    print_rows(heads, rows)
    print()
    for line in result["sentences"]:
        print(line)


def _cell(reading: dict[str, Any] | None) -> str:
    known = reading is not None and reading["value"] is not None
    return interval(reading["value"], reading["low"], reading["high"]) if reading is not None and known else "-"
