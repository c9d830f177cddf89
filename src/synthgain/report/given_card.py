"""The card of a data set whose rows were given, not made: what was read, and what its checks dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthgain.numbers import count, share
from synthgain.report.card import check_said, code, column_list, one_line, quoted, size_category


def given_card(record: Mapping[str, Any], *, columns: Sequence[str]) -> str:
    """README.md of RUN/data. The header has no licence: it stays what the source's is, which is not known here."""
    given, counts, dropped = record["given"], record["counts"], record["dropped_by"]
    name = str(given["source"]).rstrip("/").rsplit("/", 1)[-1]
    header = [
        "---",
        f"pretty_name: {quoted(f'{name}, judged by synthgain')}",
        "license: other",
        "license_name: that-of-its-source",
        "license_link: README.md",
        "size_categories:",
        f"- {quoted(size_category(counts['kept']))}",
        "tags:",
        '- "synthgain"',
        "---",
    ]
    skipped = f" {count(counts['skipped'])} others could not be used and were skipped." if counts["skipped"] else ""
    opening = (
        f"Rows of {code(name)}, which somebody else made. synthgain wrote none of them and changed none: of {count(counts['rows'])} rows, "
        f"{count(counts['kept'])} passed the checks ({share(counts['kept'], counts['rows'])}).{skipped}"
    )
    sha = given.get("sha256")
    source = "\n".join(
        [
            "## Where the rows come from",
            "",
            "| file | rows | SHA-256 |",
            "|---|---|---|",
            *(
                f"| {code(str(file['name']))} | {count(file['rows'])} | {code(str(file.get('sha256') or 'not known'))} |"
                for file in given["files"][:50]
            ),
            *(
                [f"\nAnd {len(given['files']) - 50:,} more files; all of them together: {code(str(sha))}."]
                if len(given["files"]) > 50
                else []
            ),
        ]
    )
    checks = ", ".join(code(check_said(check)) for check in record["recipe"]["checks"]) or "none"
    command = f"\n\nTo make it again: {code(record['command'])}" if record.get("command") else ""
    return (
        "\n\n".join(
            part
            for part in (
                "\n".join(header),
                f"# {one_line(name)}: {count(counts['kept'])} rows",
                opening,
                column_list(columns),
                source,
                f"## What dropped rows\n\nChecks: {checks}.{command}",
                _dropped(dropped),
                "## What it is not\n\nChecks look for what they are named after and nothing else. The licence is that of the source: whoever "
                "publishes or uses these rows has to look it up, and the terms of the models that wrote them.",
            )
            if part
        )
        + "\n"
    )


def _dropped(dropped: Mapping[str, int]) -> str:
    ordered = sorted(dropped.items(), key=lambda named: (-named[1], named[0]))
    rows = [f"| {code(name)} | {count(n)} |" for name, n in ordered]
    return "\n".join(["| check | rows dropped |", "|---|---|", *rows]) if rows else ""
