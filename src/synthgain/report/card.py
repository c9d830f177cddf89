"""The data set's card: README.md with the YAML header that hubs and `datasets` read."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from synthgain.numbers import count, duration, money, number, share
from synthgain.report.markup import visible
from synthgain.report.recorded import cost_recorded, recorded_commands, recorded_said

SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"), (10_000_000_000, "1B<n<10B"),
)  # fmt: skip
COLUMNS = {
    "id": "digest of content and calls; look a row up with it in the run's `rows/`",
    "anchor_ids": "digests of the anchors that it was made from",
    "messages": "the chat: a list of {role, content}, and tool_calls, tool_call_id, name, reasoning, learn where there are such",
    "text": "the text",
    "rejected": "turns that could stand in place of the last answer and are worse",
    "tools": "the functions that the chat could call, as JSON",
}


def card(
    run_json: Mapping[str, Any],
    *,
    columns: Sequence[str],
    rows_kept: int,
    licences: Mapping[str, str | None],
    terms: Mapping[str, str] | None = None,
) -> str:
    """The README.md of RUN/data: `columns` are the data set's, `licences` those of the models by URI (None: not known).

    `terms` is what a model's licence asks of the data, by URI, where anything is known to follow.
    """
    recipe = _map(run_json.get("recipe"))
    name = str(recipe.get("name") or "synthetic data")
    parts = [
        header(run_json, rows_kept, licences),
        f"# {one_line(name)}: {count(rows_kept)} synthetic rows",
        _opening(run_json, recipe),
        column_list(columns),
        _making(run_json, recipe),
        _licences(run_json, licences, terms or {}),
        _again(run_json, recipe),
        _limits(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# ---------------------------------------------------------------------------------------------- the header


def header(run_json: Mapping[str, Any], rows_kept: int, licences: Mapping[str, str | None]) -> str:
    """The YAML header. The licence is `other` unless every model's is known, and then it is theirs."""
    recipe = str(_map(run_json.get("recipe")).get("name") or "")
    lines = ["pretty_name: " + quoted(f"{recipe or 'synthetic data'} by synthgain")]
    languages = run_json.get("language")
    spoken = [languages] if isinstance(languages, str) else languages if isinstance(languages, list) else []
    lines += _list("language", [str(code) for code in spoken])
    known = licence_names(run_json, licences)
    if known is None:
        lines += ["license: other", "license_name: not-determined", "license_link: README.md"]
    else:
        lines += [f"license: {quoted(known[0])}"] if len(known) == 1 else _list("license", known)
    lines += _list("size_categories", [size_category(rows_kept)])
    lines += _list("task_categories", ["text-generation"])
    lines += _list("tags", ["synthetic", "synthgain", *([f"recipe:{recipe}"] if recipe else [])])
    return "\n".join(["---", *lines, "---"])


def licence_names(run_json: Mapping[str, Any], licences: Mapping[str, str | None]) -> list[str] | None:
    """The models' licences as hubs write them; None unless every model's is known and is such a name."""
    uris = {str(uri) for uri in _map(run_json.get("models")).values()} | set(licences)
    names = [(licences.get(uri) or "").strip().lower() for uri in sorted(uris)]
    if not names or not all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name) for name in names):
        return None
    return sorted(set(names))


def size_category(rows: int) -> str:
    """The hub's size category."""
    return next((name for bound, name in SIZES if rows < bound), "10B<n<100B")


def quoted(text: str) -> str:
    """A text as a double-quoted YAML scalar."""
    shown = visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{shown}"'


def _list(name: str, values: Sequence[str]) -> list[str]:
    return [f"{name}:", *(f"- {quoted(value)}" for value in values)] if values else []


# ---------------------------------------------------------------------------------------------- the text


def _opening(run_json: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    counts = _map(run_json.get("counts"))
    models = ", ".join(code(uri) for uri in dict.fromkeys(map(str, _map(run_json.get("models")).values()))) or "a model"
    source = f" (source: {one_line(str(recipe['source']))})" if recipe.get("source") else ""
    status = (
        ""
        if run_json.get("status", "complete") == "complete"
        else f" The run did not end: {one_line(str(run_json.get('why') or run_json.get('status')))}."
    )
    return (
        f"Synthetic data: every row was written by a language model ({models}) from {_pieces(counts)} of real text (anchors) "
        f"with the recipe {code(str(recipe.get('name') or '?'))}, version {one_line(str(recipe.get('version') or '?'))}{source}. "
        f"Of {count(counts.get('rows'))} candidates, {count(counts.get('kept'))} passed the checks ({share(_float(counts.get('kept')), _float(counts.get('rows')))}).{status}"
    )


def _pieces(counts: Mapping[str, Any]) -> str:
    """How many anchors rows were made from, and of how many where these are not all."""
    used, there = counts.get("anchors_used"), counts.get("anchors")
    return f"{count(there)} pieces" if used in (None, there) else f"{count(used)} of {count(there)} pieces"


def column_list(columns: Sequence[str]) -> str:
    """The section that says what each column is."""
    rows = [f"| {code(name)} | {COLUMNS.get(name, 'a field that the recipe gives')} |" for name in columns]
    return "\n".join(["## Columns", "", "| column | what it is |", "|---|---|", *rows]) if rows else ""


def cost_said(run_json: Mapping[str, Any]) -> str:
    """What the run cost, and what the calls of these rows took of it where other knobs need fewer."""
    paid, own = money(run_json.get("cost_usd")), _map(run_json.get("replayed")).get("cost_usd")
    paid += f" ({cost_recorded(run_json)})" if cost_recorded(run_json) else ""
    return paid if number(own) is None else f"{paid}, of which {money(own)} for the calls that these rows need"


def _making(run_json: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    counts, tokens, dropped = (_map(run_json.get(name)) for name in ("counts", "tokens", "dropped_by"))
    beyond = counts.get("beyond_the_limit")
    facts = [
        ("anchors", count(counts.get("anchors"))),
        ("candidates", count(counts.get("rows"))),
        ("kept", count(counts.get("kept"))),
        ("dropped", count(counts.get("dropped"))),
        ("broken drafts or calls", count(counts.get("broken"))),
        *([("drafted beyond the limit of candidates, left out", count(beyond))] if beyond else []),
        ("calls bought / reused", f"{count(counts.get('calls_bought'))} / {count(counts.get('calls_reused'))}"),
        *[("recorded", one_line(line)) for line in recorded_said(run_json)],
        (
            "tokens read / of these cached / written",
            f"{count(tokens.get('in'))} / {count(tokens.get('in_cached'))} / {count(tokens.get('out'))}",
        ),
        ("cost", cost_said(run_json)),
        ("time", duration(run_json.get("seconds")).replace("\u00a0", " ")),
        ("seed", count(run_json.get("seed"))),
        ("synthgain", one_line(str(run_json.get("synthgain") or "?"))),
        ("finished", one_line(str(run_json.get("finished") or "?"))),
    ]
    said = ["## How it was made", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts)]
    if dropped:
        said += [
            "",
            "What dropped rows (they are in the run's `rows/` with their reasons):",
            "",
            "| check | rows dropped |",
            "|---|---|",
        ]
        said += [
            f"| {code(str(name))} | {count(n)} |"
            for name, n in sorted(dropped.items(), key=lambda cn: (-_float(cn[1]), cn[0]))
        ]
    knobs = ", ".join(code(f"{name} = {value}") for name, value in _map(recipe.get("knobs")).items())
    checks = recipe.get("checks")
    named = ", ".join(code(check_said(c)) for c in checks) if isinstance(checks, list) and checks else ""
    said += [f"\n{_recorded_by(run_json)}"] if recorded_said(run_json) else []
    return "\n".join(said + (["", f"Knobs: {knobs}."] if knobs else []) + (["", f"Checks: {named}."] if named else []))


def _recorded_by(run_json: Mapping[str, Any]) -> str:
    """The commands that made recorded calls."""
    commands = recorded_commands(run_json)
    told = (
        "Recorded calls are the word of whoever made the recording: that the model named wrote them cannot be checked."
    )
    made = "" if not commands else "\n\nThe calls were recorded with:\n\n" + _fenced(visible("\n".join(commands)), "sh")
    return told + made


def check_said(check: object) -> str:
    """A check of run.json, with its settings, in one line."""
    told = _map(check)
    name = str(told.get("name") or "?")
    settings = ", ".join(f"{k}={v}" for k, v in _map(told.get("settings")).items() if not (k == "name" and v == name))
    return f"{name}({settings})" if settings else name


def _licences(run_json: Mapping[str, Any], licences: Mapping[str, str | None], terms: Mapping[str, str]) -> str:
    by_uri: dict[str, list[str]] = {}
    for role, uri in _map(run_json.get("models")).items():
        by_uri.setdefault(str(uri), []).append(str(role))
    for uri in licences:
        by_uri.setdefault(uri, [])
    rows = [
        f"| {code(uri)} | {', '.join(map(one_line, roles)) or '–'} | {one_line(licences.get(uri) or 'not known')} |"
        for uri, roles in by_uri.items()
    ]
    known = licence_names(run_json, licences)
    rests = (
        "The licence in the header is the models' own. "
        if known
        else "The header says `other`, because not every model's licence is known. "
    )
    return "\n".join(
        [
            "## Models and licences",
            "",
            "| model | role | licence |",
            "|---|---|---|",
            *rows,
            "",
            *(f"**{code(uri)}: {one_line(said)}** It goes with the data.\n" for uri, said in terms.items()),
            f"{rests}synthgain did not check whether the terms of these models allow training on what they write, nor the licence of the "
            "anchors, which the rows may repeat in part. Whoever publishes or uses this data set has to.",
        ]
    )


def _again(run_json: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    command = str(run_json.get("command") or "").strip()
    if command:
        return f"## To make it again\n\n{_fenced(visible(command), 'sh')}\n\nIn the same folder this buys nothing twice: calls are remembered."
    models = {str(role): str(uri) for role, uri in _map(run_json.get("models")).items()}
    knobs, asked = dict(_map(recipe.get("knobs"))), _map(run_json.get("request"))
    limits = ("accept", "max_candidates", "limit", "max_cost", "max_tokens")
    more = "".join(f", {name}={asked[name]!r}" for name in limits if name in asked)
    call = f"import synthgain as sg\n\nsg.generate({str(recipe.get('name') or '')!r}, ANCHORS, model={models!r}, out=RUN, seed={run_json.get('seed')!r}, knobs={knobs!r}{more})"
    return f"## To make it again\n\n{_fenced(visible(call), 'python')}"


def _limits() -> str:
    return (
        "## What it is not\n\nThe rows are a model's words. Checks look for what they are named after and nothing else; no person has read the rows. "
        "A row may be false, may repeat its anchor, or may carry the bias of the model that wrote it."
    )


def one_line(text: str) -> str:
    """Text from outside as Markdown that shows it as it is, on one line."""
    line = " ".join(visible(text)[:500].split())
    return re.sub(r"([\\`*_{}\[\]()#+!|~$-])", r"\\\1", html.escape(line, quote=False))


def code(text: str) -> str:
    """Text from outside as a code span that cannot be left, also inside a table."""
    line = " ".join(visible(text)[:500].split()).replace("|", "¦")
    ticks = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    room = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{ticks}{room}{line or '?'}{room}{ticks}"


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
