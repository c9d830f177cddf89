"""Making a data set: from what is asked to a run folder."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from synthgain.anchors import load as load_anchors
from synthgain.api.against import against as compared_with
from synthgain.api.against import listed
from synthgain.api.as_typed import command
from synthgain.api.asking import DEFAULT_MODEL, Asked, ModelChoice, asked, fields_of
from synthgain.api.drafts import row_of_nothing
from synthgain.api.licensing import licence_of, news, terms_by_uri
from synthgain.api.places import FULL, apart_from, for_a_run, writes_to
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.replacing import may_replace
from synthgain.api.replaying import (
    Calls,
    as_asked,
    licences_of,
    licences_said,
    recorded_in,
    recordings_at,
    served_by,
    taken_over,
)
from synthgain.api.run_record import as_before, begun, came_of, so_far
from synthgain.api.telling import remark
from synthgain.chain import Buyer, Opened, Outcome, Round, Tally
from synthgain.chain.judging import closing
from synthgain.chain.lacking import refuse_blind
from synthgain.engines import local
from synthgain.measure.running import Running, Thresholds
from synthgain.models import Reach
from synthgain.models.embedders import open_embedder
from synthgain.store import Corpus, Run
from synthgain.types import AnyCheck, Embedder, Model, Recipe, SynthgainError, singly

Watch = Callable[[Tally], None]
RESERVE = 1 << 18  # bytes kept for writing down that the disk is full


@reaching
def generate(
    recipe: str | Path | Recipe,
    anchors: str | Path | Sequence[Any],
    *,
    out: str | Path,
    model: ModelChoice = DEFAULT_MODEL,
    knobs: Mapping[str, Any] | None = None,
    with_: Sequence[str | AnyCheck] = (),
    without: Sequence[str] = (),
    accept: int | None = None,
    max_candidates: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    max_cost: float | None = None,
    max_tokens: int | None = None,
    text_field: str | None = None,
    id_field: str | None = None,
    embedder: str = "words",
    reach: Reach | None = None,
    round: int = 0,
    collapse: Thresholds | str = "",
    stop_on_collapse: bool = False,
    replace: bool = False,
    strict: bool = False,
    ask_again: bool = False,
    against: Sequence[str | Path] = (),
    calls: Calls = (),
    calls_only: bool = False,
    watch: Watch | None = None,
    **servers: Unpack[Servers],
) -> Run:
    """Make a data set in the folder `out`. The same call again resumes, and buys nothing twice.

    `model` is a URI (local/…, openai/…, hf/…, reward/PATH for a reward model whose answer is a score, scripted/…), a Model, or one of these by role. `knobs` set the recipe's knobs. `accept`
    stops when that many rows are accepted. `collapse` are the thresholds of the running estimates below which diversity is
    called collapsed: a warning, or with `stop_on_collapse` the end of the run. Where `out` holds rows of another request (another recipe,
    knob, seed, model, or anchors) AnotherRequest says what would go; `replace` lets it go. A row or file of the anchors that cannot be used is
    skipped, counted and said; `strict` refuses it. Prompts that a server refused for good (moderation), or
    answered with nothing, are not asked again, unless `ask_again`.
    Rows that are near a row of the sets `against` (files, folders, hf://…) fall.
    `calls` are recorded ones, a file that `export` wrote or another run: they serve first, and what they lack is bought; with `calls_only`
    nothing is, no model is needed, and what is missing breaks.
    SynthgainError says why a run stopped short (its `code`
    is the exit code of the command line); everything bought and drawn until then is in the folder.
    """
    place = Path(out)
    apart_from(anchors, place)
    for_a_run(place)
    recordings = recordings_at(calls, place)
    collapse = (Thresholds.read(collapse) if isinstance(collapse, str) else collapse).text() if collapse else ""
    ask = asked(
        recipe,
        model=model,
        knobs=knobs,
        with_=[*listed(with_), *compared_with(against)],
        without=listed(without),
        reach=reach,
        accept=accept,
        max_candidates=max_candidates,
        limit=limit,
        seed=seed,
        max_cost=max_cost,
        max_tokens=max_tokens,
        text_field=text_field,
        id_field=id_field,
        embedder=embedder,
        round=round,
        collapse=collapse,
        stop_on_collapse=stop_on_collapse,
        ask_again=ask_again,
        calls=as_asked(recordings),
        calls_only=calls_only,
        anchors=str(anchors) if isinstance(anchors, str | Path) else "",
    )
    run = Run(place)
    with writes_to(place), arriving(run) as new:
        run.readable()
        embed = embedder_for(ask)
        summary = read_into(new, anchors, ask, strict)
        suited(ask, Corpus(new, ask.recipe.needs, embed))
        models = served_by(ask, reach, recordings, run)
        may_replace(run, ask, Corpus(new), models, replace)
        taken_over(recordings, run)
        corpus = taken_in(run, new, ask, embed)
        for line in news((m.uri for m in models.values()), licences_said(recordings)):
            remark(line)
        parts = Opened(ask.recipe, ask.checks, models, embed)
        return carried_out(ask, parts, corpus, run, watch or (lambda _: None), {"anchors": summary})


def embedder_for(ask: Asked) -> Embedder | None:
    """Who makes vectors, where the recipe's pick or a check may want some."""
    wants = any("vector" in getattr(check, "columns", ()) for check in ask.checks)
    return open_embedder(ask.request.embedder) if wants or ask.recipe.pick is not singly else None


def suited(ask: Asked, corpus: Corpus) -> None:
    """SynthgainError where these anchors cannot give what is asked: they are too few for the first group, the draft refuses that, or a check needs
    of them what none has. (Where rows become anchors, that may come with these.) Nothing has been bought or replaced by then."""
    first = next(iter(ask.recipe.pick(corpus, (), ask.request.seed)), None)
    if first is not None and hasattr(ask.recipe.draft, "ready"):
        ask.recipe.draft.ready(*first)
    if not getattr(ask.recipe.pick, "pooled", False):
        tried = partial(row_of_nothing, ask.recipe, first) if first is not None else lambda: None
        refuse_blind(ask.checks, corpus, fields_of(ask.recipe), tried)


@contextmanager
def arriving(run: Run) -> Iterator[Path]:
    """Where anchors are read to; what is still there at the end goes, and the folder is as it was."""
    new = run.path / ".anchors.new"
    shutil.rmtree(new, ignore_errors=True)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def read_into(new: Path, anchors: Any, ask: Asked, strict: bool) -> dict[str, Any]:
    """S_anchor, read and checked into a folder; what was read. What was skipped or merged is said before anything is bought."""
    found = load_anchors(
        anchors,
        text_field=ask.request.text_field,
        id_field=ask.request.id_field,
        needs=ask.recipe.needs,
        into=new,
        strict=strict,
        tell=remark,
    )
    return found.summary.json()


def taken_in(run: Run, new: Path, ask: Asked, embedder: Embedder | None) -> Corpus:
    """The anchors that were read take the place of the run's."""
    Corpus(new).inherit(run.anchors)
    shutil.rmtree(run.anchors, ignore_errors=True)
    new.rename(run.anchors)
    return run.corpus(ask.recipe.needs, embedder)


# ---------------------------------------------------------------------------------------------- the run


def carried_out(
    ask: Asked,
    parts: Opened,
    corpus: Corpus,
    run: Run,
    watch: Watch,
    told: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> Run:
    """One round into the run folder, with its record and card. `before` is the record of the run that is judged again, buying nothing."""
    began = time.time()
    replay = before is not None
    record = {**begun(ask, parts, run), **told}
    reserve, buyers = run.path / ".reserve", list[Buyer]()
    held = run.record if run.files("rows") else {}
    try:
        reserve.write_bytes(b"\0" * RESERVE)
        run.write_record({**record, "status": "running", **so_far(Tally(), corpus, held, 0.0)})
        outcome, licences, recorded = _drafted(ask, parts, corpus, run, watch, before, buyers)
        record |= came_of(outcome, corpus, time.time() - began)
        record |= {"licences": licences} | ({"recorded": recorded} if recorded else {})
        record["counts"]["anchors_used"] = run.anchors_used()
        if before is not None:
            record |= as_before(record, before) | ({"from_all": True} if _from_all(ask, before) else {})
        _write_card(run, record, record["licences"])
        run.write_record(record)
    except BaseException as error:
        with suppress(OSError):
            reserve.unlink(missing_ok=True)  # a full disk has this much room left
            spent = so_far(buyers[0].tally if buyers else Tally(), corpus, held, time.time() - began)
            ended = {**record, "status": "stopped", "why": _said(error), **spent}
            run.write_record(ended if before is None else before)
        raise
    finally:
        reserve.unlink(missing_ok=True)
        run.unstage()
    if outcome.code and not replay:
        raise SynthgainError(
            f"stopped: {outcome.why}",
            where=str(run.path),
            code=outcome.code,
            next=f"{outcome.after + '; ' if outcome.after else ''}everything bought is kept{_to_go_on(ask, outcome, run)}",
        )
    return run


def _to_go_on(ask: Asked, outcome: Outcome, run: Run) -> str:
    """What to type to go on: the same, and where it was a limit that stopped the run, with a larger one; where what was asked is wrong, nothing."""
    if outcome.code == 2:
        return ""
    larger = {name: n if name == "max_cost" else int(n) for name, n in outcome.larger.items()}
    asked = ask.request.changed(**larger, calls_only=ask.request.calls_only and outcome.code != 5)
    typed = command(asked, run.path, ask.usual)
    typed += " --ask-again" if typed and outcome.ask_again else ""
    said = {
        "max_cost": ", up to ${:g} in all",
        "max_tokens": ", up to {:,} tokens in all (of all calls together; one answer's length is --set max_tokens=N)",
        "max_candidates": ", up to {:,} candidates in all",
    }
    much = "".join(said[name].format(n) for name, n in larger.items())
    again = "".join(f" with {name}={n}" for name, n in larger.items()) + " with ask_again=True" * outcome.ask_again
    return f"; to go on{much}: {typed or f'the same call again{again}'}"


def _from_all(ask: Asked, before: Mapping[str, Any]) -> bool:
    """Whether rows are chosen from all that was bought: where judging again asks for another number than the run did, now or before."""
    return bool(before.get("from_all")) or before["request"].get("accept") != ask.request.accept


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in FULL:
        return "the disk is full"
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
        return "interrupted"
    return str(error) or type(error).__name__


Drafts = tuple[
    Outcome, dict[str, str | None], list[dict[str, Any]]
]  # the models' licences by URI, recordings that served


def _drafted(
    ask: Asked,
    parts: Opened,
    corpus: Corpus,
    run: Run,
    watch: Watch,
    before: Mapping[str, Any] | None,
    buyers: list[Buyer],
) -> Drafts:
    """The round itself; its buyer is put into `buyers`, where an interrupt finds it, and what it spent is read after an end that was none."""
    replay = before is not None

    async def work() -> Drafts:
        memory = run.memory(readonly=replay)
        pulse = Running(Thresholds.read(ask.request.collapse))
        most = None if before is not None and _from_all(ask, before) else ask.request.most
        try:
            round = Round(
                ask.request,
                parts,
                corpus,
                run,
                memory,
                watch,
                most=most,
                pulse=pulse,
                replay=replay,
                ask_again=ask.ask_again,
                whole=before is not None
                and before["request"]["recipe"].get("settings", {}) != ask.request.recipe.settings,
            )
            buyers.append(round.buyer)
            if before is not None:  # groups that the run did not come to are no part of RUN/groups
                round.tally.groups_total = max(before.get("counts", {}).get("groups", 0), round.tally.groups_total or 0)
            outcome = await round()
            run.write_used([*round.buyer.counted])
            known, recorded = licences_of(memory), round.tally.recorded
            licences = {m.uri: known.get(m.identity) or await _licence(m) for m in parts.models.values()}
            return outcome, licences, recorded_in(memory, recorded)
        except asyncio.CancelledError:
            left = sum(buyer.tally.in_flight for buyer in buyers)
            print(f"synthgain: {left} calls in flight were left; they may have been charged for", file=sys.stderr)
            raise
        finally:
            memory.close()
            for role, model in parts.models.items():
                if role not in ask.objects:
                    await model.aclose()

    with closing(parts.checks):
        return local.run(work(), lambda: interrupted(buyers))


def interrupted(buyers: Sequence[Buyer]) -> bool:
    """Somebody wants it to end: buy no more, and say what is waited for. False where there is nobody to tell."""
    for buyer in buyers:
        buyer.stop("interrupted", 130)
        n = buyer.tally.in_flight
        waits = f"waiting for {n} calls in flight to be kept; press again to leave them" if n else "ending"
        print(f"synthgain: interrupted; {waits}", file=sys.stderr, flush=True)
    return bool(buyers)


async def _licence(model: Model) -> str | None:
    """As the weights say it; a model that is none of weights is asked itself."""
    if model.uri.startswith(("local/", "hf/", "hf://", "openai/")):
        return licence_of(model.uri)
    return (await model.info()).licence


def _write_card(run: Run, record: Mapping[str, Any], licences: Mapping[str, str | None]) -> None:
    from synthgain.report.card import card

    text = card(
        dict(record),
        columns=run.data_columns(),
        rows_kept=record["counts"]["kept"],
        licences=dict(licences),
        terms=terms_by_uri(licences, licences),
    )
    (run.data / "README.md").write_text(text, "utf-8", errors="backslashreplace")
