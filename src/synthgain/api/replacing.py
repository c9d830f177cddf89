"""Another request into the folder of a run: what would go is said before it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthgain.api.asking import Asked
from synthgain.chain import Request
from synthgain.store import Corpus, Run
from synthgain.types import AnotherRequest, Model, SynthgainError


def may_replace(run: Run, ask: Asked, corpus: Corpus, models: Mapping[str, Model], replace: bool) -> None:
    """AnotherRequest where rows of another request lie in the folder, unless `replace`; then figures and page of these rows go.

    Another request has another recipe, knob, seed or model, or lacks anchors that the run was made from; only more anchors, other
    limits and other checks make none. Under the path that the run was made from, anchors may change.
    """
    there = _rows_there(run)
    if not there:
        return
    differs = list(_differences(run, ask, corpus, models))
    if not differs:
        return
    if not replace:
        readings = ", its readings" if (run.path / "readings.json").is_file() else ""
        raise AnotherRequest(
            f"this folder holds {there} of another request: {'; '.join(differs)}. "
            f"Its rows, its data set{readings} would be replaced; its calls stay, and serve again when they are asked for again",
            where=str(run.path),
            next="give another folder (-o), or say that these rows may go (replace)",
        )
    for gone in (run.path / "readings.json", run.report):
        gone.unlink(missing_ok=True)


def _rows_there(run: Run) -> str:
    """In words, the rows that would go; "" where there are none. Damaged ones go like others: the calls make them anew."""
    try:
        rows, kept = run.count("rows"), run.count("data")
    except SynthgainError:
        return "rows (damaged)"
    return f"{rows:,} rows ({kept:,} kept)" if rows else ""


def _differences(run: Run, ask: Asked, corpus: Corpus, models: Mapping[str, Model]) -> Iterator[str]:
    """In words, what the request asks that the run did not."""
    try:
        record, before = run.record, Request.read(run.request)
    except SynthgainError:
        yield "what it was asked cannot be read (run.json)"
        return
    now = ask.request
    if before.recipe.name != now.recipe.name:
        yield f"recipe {before.recipe.name}, now {now.recipe.name}"
        return
    yield from _changed("knob ", before.recipe.settings, now.recipe.settings)
    if before.seed != now.seed:
        yield f"seed {before.seed}, now {now.seed}"
    held = record.get("identities")
    known: Mapping[str, Any] = held if isinstance(held, dict) else {}
    for role, model in models.items():
        if known.get(role) != model.identity:
            was = before.models[role].uri if role in before.models else "none"
            same = " (other weights, or another server)" if was == model.uri else ""
            yield f"{role} {was}, now {model.uri}{same}"
    try:
        gone = _gone(run, before, now, corpus)
    except SynthgainError:
        yield "its anchors cannot be read"
        return
    if gone:
        yield f"{gone:,} of its anchors are not among these" + (f" ({before.anchors})" if before.anchors else "")


def _changed(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{what}{name}={before.get(name)!r:.60}, now {now.get(name)!r:.60}"


def _gone(run: Run, before: Request, now: Request, corpus: Corpus) -> int:
    """How many anchors of the run are not there now, where they were read from elsewhere."""
    if not run.files("anchors") or (before.anchors and before.anchors == now.anchors):
        return 0
    return sum(corpus.place(anchor) < 0 for anchor in run.corpus())
