"""The repetition calculus for users: sources that are written down or counted, and what a run says a recipe yields."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthgain import anchors, passages
from synthgain.api.places import on_disk
from synthgain.api.tokenizers import open_tokenizer
from synthgain.models.prices import Price
from synthgain.repetition import LAW, LITTLE, Planned, Source, Yield, planned, worth
from synthgain.store import Run
from synthgain.types import Reading, SynthgainError

Count = Callable[[Sequence[str]], Sequence[float]]
AT_ONCE = 1000  # texts that are counted together
_SUFFIX = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def tokens_said(text: str | float) -> float:
    """A number of tokens as people write it: 2000000, 2M, 0.5T, 1e9."""
    said = re.fullmatch(r"\s*([0-9][0-9_,]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kmbgt]?)\s*", str(text), re.IGNORECASE)
    if said is None:
        raise SynthgainError(f"{text!r} is no number of tokens", where="plan", next="write it like 2000000, 2M or 0.5T")
    return float(re.sub("[_,]", "", said[1])) * _SUFFIX[said[2].lower()]


def plan(
    sources: str | Path | Mapping[str, Any] | Sequence[str | Path],
    *,
    horizon: str | float | None = None,
    shares: Mapping[str, float] | None = None,
    epochs: float = LITTLE,
    synthetic_epochs: float = 1.0,
    runs: Sequence[str | Path] = (),
    tokenizer: str = "",
    text_field: str | None = None,
    speed: float | None = None,
    price: str = "",
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """How often each source is read over `horizon` tokens, what the repeats are worth, and what it takes to spare them.

    `sources`: a JSON or CSV file (or the same as a mapping) with name, tokens (or a path to count) and share of each; or files and folders
    that are counted, [NAME=]PATH, by `tokenizer` (a tokenizer.json, or a model's folder; without one tokens are estimated from words
    and bytes). Without shares each source is read equally often. `runs` say what a recipe yields for a token of its documents, and what that takes; `speed`
    (new tokens a second) and `price` ("IN,OUT" or "IN,OUT,CACHED", dollars per million tokens) stand in for the run's own. What is not known is None.
    """
    _sensible(speed)
    sold = Price.parse(price) if price else None
    count = open_tokenizer(tokenizer) or _estimated
    given, whole = _written_down(sources)
    whole = tokens_said(horizon) if horizon is not None else whole
    if whole is None:
        raise SynthgainError("how long is the training?", where="plan", next="--horizon TOKENS, such as --horizon 2M")
    found = _sources(given, dict(shares or {}), count, not tokenizer, text_field, say)
    yields = [_yield_of(Run.at(run), count, speed, sold) for run in runs]
    made = planned(found, whole, epochs=epochs, synthetic_epochs=synthetic_epochs, yields=yields)
    return {
        "horizon": whole,
        "target_epochs": epochs,
        "synthetic_epochs": synthetic_epochs,
        "unplanned_share": max(0.0, 1 - math.fsum(one.source.share for one in made)),
        "tokenizer": tokenizer or "estimated from words and bytes",
        "law": LAW,
        "sources": [one.json() for one in made],
        "readings": [reading.json() for one in made for reading in _readings(one)],
        "notes": _notes(made, epochs, synthetic_epochs, bool(runs)),
    }


def _sensible(speed: float | None) -> None:
    if speed is not None and not (math.isfinite(speed) and speed > 0):
        raise SynthgainError(
            f"new tokens a second are a number above 0, not {speed:g}",
            where="--speed",
            next="write it like --speed 300, or leave it out",
        )


def plan_page(result: Mapping[str, Any], out: str | Path) -> Path:
    """A self-contained page of what `plan` found."""
    from synthgain.report.plan import write_plan

    with on_disk(Path(out)):
        return write_plan(result, Path(out))


# ---------------------------------------------------------------------------------------------- sources


def _written_down(sources: Any) -> tuple[list[dict[str, Any]], float | None]:
    """What is said of each source, and of the horizon, from a file, a mapping or paths."""
    if isinstance(sources, str | Path):
        sources = [sources]
    if isinstance(sources, Sequence) and len(sources) == 1:
        one = Path(sources[0])
        if one.suffix == ".json" and one.is_file():
            held = _json(one)
            sources = held if isinstance(held, Mapping) and isinstance(held.get("sources"), list) else sources
        elif one.suffix == ".csv" and one.is_file() and (rows := _csv(one)) is not None:
            return rows, None
    if isinstance(sources, Mapping):
        held = sources.get("sources")
        rows = [dict(row) for row in held if isinstance(row, Mapping)] if isinstance(held, list | tuple) else []
        if not isinstance(held, list | tuple) or not rows or len(rows) < len(held):
            raise SynthgainError(
                "not every source is an object with name, tokens and share" if rows else "there are no sources",
                where="plan",
                next='write {"horizon": "10T", "sources": [{"name": "web", "tokens": "5T", "share": 0.5}]}',
            )
        whole = sources.get("horizon")
        return rows, None if whole is None else tokens_said(whole)
    return [_path(str(one)) for one in sources], None


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8-sig"))
    except ValueError as error:
        raise SynthgainError(
            f"this is no JSON ({error})", where=str(file), next="mend the file, or write the sources as a .csv"
        ) from error


def _csv(file: Path) -> list[dict[str, Any]] | None:
    """The rows of a table of sources; None where it is no such table (a data set, then, to be counted)."""
    with open(file, encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        if not {"name", "tokens"} <= set(reader.fieldnames or ()):
            return None
        return [{k: v for k, v in row.items() if k and v} for row in reader]


def _path(text: str) -> dict[str, Any]:
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return {"name": Path(text).name or text, "path": text}
    return {"name": name, "path": path}


def _sources(
    given: Sequence[Mapping[str, Any]],
    shares: dict[str, float],
    count: Count,
    estimated: bool,
    text_field: str | None,
    say: Callable[[str], None] | None,
) -> list[Source]:
    found: list[tuple[str, float, float | None, bool]] = []
    for at, row in enumerate(given):
        name = str(row.get("name") or row.get("path") or f"source {at + 1}")
        said = shares.pop(name, row.get("share"))
        counted = row.get("tokens") in (None, "")
        if counted and not row.get("path"):
            raise SynthgainError(
                "neither tokens nor a path to count", where=f"source {name}", next='give "tokens": "5T", or "path"'
            )
        tokens = _counted(str(row["path"]), count, text_field, say) if counted else tokens_said(row["tokens"])
        if counted and say is not None:
            say(f"{name}: {tokens:,.0f} {'estimated ' if estimated else ''}tokens")
        found.append((name, tokens, None if said in (None, "") else _share(said, name), counted and estimated))
    if shares:
        raise SynthgainError(
            f"there is no source {next(iter(shares))!r}",
            where="--share",
            next=f"the sources are: {', '.join(name for name, *_ in found)}",
        )
    without = [name for name, _, share, _ in found if share is None]
    if without and len(without) < len(found):
        raise SynthgainError(
            f"{', '.join(without)}: no share of the horizon",
            where="plan",
            next="give every source a share, or none (then each is read equally often)",
        )
    whole = math.fsum(tokens for _, tokens, _, _ in found)
    return [
        Source(name, tokens, tokens / whole if share is None else share, guessed)
        for name, tokens, share, guessed in found
    ]


def _share(said: Any, name: str) -> float:
    text = str(said).strip()
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise SynthgainError(f"{said!r} is no share", where=f"source {name}", next="write 0.2, or 20%") from None


def _counted(path: str, count: Count, text_field: str | None, say: Callable[[str], None] | None) -> float:
    """Tokens of all different texts of a file or folder."""
    return _total((anchor.text for anchor in anchors.load(path, text_field=text_field, tell=say)), count)


def _total(texts: Iterable[str], count: Count) -> float:
    total, held = 0.0, []
    for text in texts:
        held.append(text)
        if len(held) == AT_ONCE:
            total, held = total + math.fsum(count(held)), []
    return total + (math.fsum(count(held)) if held else 0.0)


def _estimated(texts: Sequence[str]) -> list[float]:
    return [passages.tokens(text) for text in texts]


# ---------------------------------------------------------------------------------------------- what a recipe yields


def _yield_of(run: Run, count: Count, speed: float | None, price: Price | None) -> Yield:
    """What a run's recipe yields for each token of its anchors."""
    record = run.record
    counts, tokens = record.get("counts") or {}, record.get("tokens") or {}
    name = f"{(record.get('recipe') or {}).get('name', 'recipe')} ({run.path.name})"
    used = run.anchor_ids_used()
    read = _total((anchor.text for anchor in run.corpus() if anchor.id in used), count)
    kept = _total((text for table in run.kept(("text",)) for text in table.column("text").to_pylist()), count)
    calls = sum(counts.get(name, 0) for name in ("calls_bought", "calls_reused", "calls_recorded"))
    if not (read and kept and calls):
        raise SynthgainError(
            "the run holds no kept rows that were bought, so it says nothing about a yield",
            where=str(run.path),
            next="name a run that `synthgain generate` made and that kept rows",
        )
    went_in, came_out = tokens.get("in"), tokens.get("out")
    notes, dollars, seconds = [], record.get("cost_usd"), record.get("seconds")
    if price is not None and went_in is not None and came_out is not None:
        dollars = price.cost(went_in, came_out, tokens.get("in_cached") or 0)
    if counts.get("calls_reused") or counts.get("calls_recorded"):
        seconds = None
        if speed is None:
            notes.append("time not known: some calls were not made in this run")
    if speed is not None and came_out is not None:
        seconds = came_out / speed
    elif seconds is not None:
        notes.append("time at the speed of the run")
    if record.get("status") != "complete":
        notes.append("the run is not complete")
    per = [None if one is None else one / read for one in (went_in, came_out, dollars, seconds)]
    return Yield(name, kept / read, calls / read, per[0] or 0.0, per[1] or 0.0, per[2], per[3], "; ".join(notes))


# ---------------------------------------------------------------------------------------------- what is said


def _readings(one: Planned) -> list[Reading]:
    kind: Any = "estimate" if one.source.estimated else "exact"
    note = f"source {one.source.name}"
    return [
        Reading(
            "epochs", one.epochs, unit="epochs", n=1, estimator="tokens read / unique tokens", kind=kind, note=note
        ),
        Reading(
            "worth",
            worth(one.epochs),
            unit="share of the tokens read",
            n=1,
            estimator=f"effective data, {LAW['source']}",
            kind="proxy",
            note=note,
        ),
    ]


def _notes(made: Sequence[Planned], epochs: float, synthetic_epochs: float, measured: bool) -> list[str]:
    notes = [f"Worth of repeats: {LAW['source']}; fitted on {LAW['fitted_on']}. Not for {LAW['not_for']}."]
    if (left := 1 - math.fsum(one.source.share for one in made)) > 1e-9:
        notes.insert(
            0, f"{100 * left:.3g} % of the horizon belong to no source: give every token a source, or less to read."
        )
    if any(one.synthetic for one in made):
        often = "once" if synthetic_epochs == 1 else f"{synthetic_epochs:g} times"
        notes.append(
            f"Synthetic tokens bring a source to {epochs:g} epochs if each is read {often} and counts as a new token: "
            "the most that it can be worth. What it is worth, `synthgain measure` and a training tell."
        )
        if not measured:
            notes.append("What they take is not known without a run of a recipe: --run RUN.")
    if any(isinstance(o["passes"], float) and o["passes"] > 1.5 for one in made for o in one.options):
        notes.append(
            "More than one pass over a source asks the same again with other draws: yields are taken as constant, and "
            "what is new in them falls."
        )
    return notes
