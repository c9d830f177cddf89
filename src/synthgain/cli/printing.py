"""What commands print for people. Text of anchors and models is printed as it is, never as markup."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgain.numbers import interval

if TYPE_CHECKING:
    from synthgain.types import Reading


MOST = 6  # reasons shown
SHOWN = 90  # characters of a reading's note; --json and the report have the whole


def say(text: str) -> None:
    print(text, file=sys.stderr)


def print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False, default=str))


def print_readings(readings: Sequence[Reading], as_json: bool) -> None:
    print_json({"readings": [r.json() for r in readings]}) if as_json else print_table(readings)


def print_table(readings: Sequence[Reading], title: str = "") -> None:
    """Readings for people, on standard output."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("figure", "value", "interval", "unit", "n", "note"):
        table.add_column(name, justify="right" if name in ("value", "n") else "left", overflow="fold")
    for r in readings:
        value = "-" if r.value is None else f"{r.value:.4g}"
        interval = (
            f"[{'' if r.low is None else format(r.low, '.3g')}, {'' if r.high is None else format(r.high, '.3g')}]"
        )
        interval = "" if r.low is None and r.high is None else interval
        note = r.note if len(r.note) <= SHOWN else f"{r.note[:SHOWN].rstrip(' ;,')} …"
        table.add_row(r.name, value, escape(interval), r.unit, f"{r.n:,}" if r.n else "", escape(note))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def print_life(life: dict[str, Any]) -> None:
    """One row's life for people. Text is printed as it is, without markup; control characters are shown, not sent."""

    def plain(text: str, most: int = 1500) -> str:
        shown = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
        return shown if len(shown) <= most else f"{shown[:most]} … ({len(shown):,} characters)"

    from synthgain.api.looking import said_in

    row = life["row"]
    print("=" * 100)
    print(f"row {row['id']}  {row['outcome']}" + (f" by {row['check']}: {row['reason']}" if row["check"] else ""))
    for anchor in life["anchors"]:
        print(f"--- anchor {anchor['source']}\n{plain(anchor['text'], 400)}")
    for call in life["calls"]:
        for message in call["prompt"]["messages"]:
            print(f"--- to {call['model']}, {message['role']}\n{plain(said_in(message))}")
        print(
            f"--- answer ({call['tokens_in']} → {call['tokens_out']} tokens, {call['finish']})\n{plain(said_in(call['message']))}"
        )
    print("--- row\n" + plain(row["text"] or "\n".join(f"{m['role']}: {said_in(m)}" for m in row["messages"] or [])))


def print_close(record: dict[str, Any], path: Path, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    c, fell = record["counts"], ", ".join(f"{n:,} {name}" for name, n in record["dropped_by"].items())
    cost = "no price known" if record["cost_usd"] is None else f"${record['cost_usd']:.4f}"
    print(
        f"{c['kept']:,} rows kept of {c['rows']:,}"
        + (f" (dropped: {fell})" if fell else "")
        + (f"; {c['broken']:,} broken" if c["broken"] else "")
    )
    print(
        f"{c['calls_bought']:,} calls bought, {c['calls_reused']:,} reused; {record['tokens']['in']:,} tokens in, {record['tokens']['out']:,} out; {cost}; {record['seconds']:.1f} s"
    )
    if record.get("warning"):
        print(f"warning: {record['warning']}")
    print(f"data: {path / 'data'}")


def print_broken(broken: Sequence[tuple[str, int, Sequence[str]]]) -> None:
    """Why drafts and calls failed, and with which anchors, on standard error."""
    for reason, n, sources in broken[:MOST]:
        named = ", ".join(sources[:3]) + (f" and {len(sources) - 3:,} more" if len(sources) > 3 else "")
        say(f"  {n:,} broken: {reason}" + (f" ({named})" if named else ""))
    if len(broken) > MOST:
        say(
            f"  {sum(n for _, n, _ in broken[MOST:]):,} broken for {len(broken) - MOST:,} other reasons: see broken/broken.jsonl"
        )


def print_arms(result: dict[str, Any], folder: Path) -> None:
    from synthgain.types import Reading

    print(f"{'arm':<16}{'rows':>6}{'tokens':>9}  accuracy")
    for arm in result["arms"]:
        found = [Reading.read(r) for r in arm["readings"] if r["name"] == "accuracy"]
        print(
            f"{arm['name']:<16}{arm['rows']:>6}{arm['tokens']:>9,}  {_interval(found[0]) if found else 'not measured'}"
        )
    for d in result.get("differences", []):
        print(_sentence(d))
    for line in filter(None, [result.get("note")]):
        print(line)
    print(f"report: {folder / 'report.html'}")


def _interval(r: Reading) -> str:
    return f"not measured: {r.note}" if r.value is None else f"{interval(r.value, r.low, r.high)}  (n = {r.n})"


def _sentence(d: dict[str, Any]) -> str:
    """ "A beats B by x [low, high]", or that they cannot be told apart."""
    if d["value"] is None:
        return f"{d['a']} against {d['b']}: not measured ({d['note']})"
    by = interval(abs(d["value"]), *sorted((abs(d["low"]), abs(d["high"]))))
    if d["low"] > 0:
        return f"{d['a']} beats {d['b']} by {by}."
    if d["high"] < 0:
        return f"{d['b']} beats {d['a']} by {by}."
    difference = interval(d["value"], d["low"], d["high"], signed=True)
    return f"{d['a']} and {d['b']} cannot be told apart here: difference {difference}."


COMPARED = ("proxy_gain", "target_fit", "delta_I", "tv_lower", "vendi", "dup_rate", "copy_rate")


def print_comparison(result: dict[str, Any]) -> None:
    """The sets side by side, then what is said of each pair."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("set", "rows", "words", "cost", *COMPARED):
        table.add_column(name, justify="left" if name == "set" else "right", overflow="fold")
    for run in result["runs"]:
        found = {r["name"]: r for r in run["readings"]}
        cost = "-" if run["cost_usd"] is None else f"${run['cost_usd']:.4g}"
        cells = [_cell(found.get(name)) for name in COMPARED]
        table.add_row(escape(run["name"]), f"{run['rows']:,}", f"{run['tokens']:,}", cost, *map(escape, cells))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    print()
    for line in result["sentences"]:
        print(line)


def _cell(reading: dict[str, Any] | None) -> str:
    known = reading is not None and reading["value"] is not None
    return interval(reading["value"], reading["low"], reading["high"]) if reading is not None and known else "-"
