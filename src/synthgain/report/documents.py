"""Documents with what came of each: rows kept, rows that fell and why, calls that broke and why.

Read in columns: an anchor is eight bytes and a document's number, so a million anchors take some tens of megabytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthgain.numbers import count, counted, share
from synthgain.report.markup import Safe, el, join, snippet
from synthgain.store import Run, kind_of
from synthgain.types import SynthgainError

EACH = 2_000  # sources that are told apart as they are; more are taken together by file
MOST = 20_000  # documents with a line of their own in memory; more, and there is no table
SHOWN, FOLDED = 12, 300  # documents in the table, and in the part that opens
REASONS = 200  # of what broke, told apart by their wording


@dataclass(frozen=True)
class Document:
    """A source, and what came of it. A row of several documents counts for each."""

    name: str
    anchors: int
    rows: int = 0
    kept: int = 0
    broken: int = 0
    why: Mapping[str, int] = field(default_factory=dict)  # check, or reason of what broke, and how often

    @property
    def used(self) -> bool:
        return bool(self.rows or self.broken)


@dataclass(frozen=True)
class Documents:
    """All documents of a run, the number of anchors that rows came from, and what broke by reason."""

    all: Sequence[Document] = ()
    used: int = 0
    broken: Mapping[str, int] = field(default_factory=dict)
    missing: str = ""

    @property
    def named(self) -> Sequence[Document]:
        return [d for d in self.all if d.name]


def documents(run: Run, missing: Mapping[str, str]) -> Documents:
    """What came of each document. `missing` says by part why it cannot be read."""
    broken, sources = _broken(run)
    if why := missing.get("anchors"):
        return Documents(broken=broken, missing=why)
    keys, place, names = _anchors(run)
    totals, fallen = np.zeros((3, len(names)), np.int64), Counter[tuple[int, str]]()
    totals[0] = np.bincount(place, minlength=len(names))
    seen = np.zeros(len(keys), np.bool_)
    if not missing.get("rows"):
        for batch in run.batches("rows", ["anchor_ids", "check", "kept"]):
            ids, checks, kept = (batch.column(name).to_pylist() for name in ("anchor_ids", "check", "kept"))
            for mine, check, stays in zip(ids, checks, kept):
                at = _found(keys, mine or ())
                seen[at] = True
                for document in set(place[at].tolist()):
                    totals[1, document] += 1
                    totals[2, document] += bool(stays)
                    if not stays:
                        fallen[document, str(check or "dropped")] += 1
    lost, of = Counter[int](), {name: i for i, name in enumerate(names)}
    for (source, ids, reason), n in sources.items():
        at = _found(keys, ids)
        for document in set(place[at].tolist()) or {of[source] for source in (source,) if source in of}:
            lost[document] += n
            fallen[document, reason] += n
    by: dict[int, dict[str, int]] = {}
    for (document, why), n in fallen.most_common():
        by.setdefault(document, {})[why] = n
    made = [
        Document(name, int(totals[0, i]), int(totals[1, i]), int(totals[2, i]), lost[i], by.get(i, {}))
        for i, name in enumerate(names)
    ]
    return Documents(made, int(seen.sum()), broken, "" if len(made) <= MOST else "there are too many documents")


def _anchors(run: Run) -> tuple[NDArray[np.uint64], NDArray[np.int64], list[str]]:
    """(the anchors' ids as numbers, sorted; each one's document; the documents' names)."""
    ids: list[int] = []
    sources: list[str] = []
    for batch in run.batches("anchors", ["id", "source"]):
        ids += [_key(str(id)) for id in batch.column("id").to_pylist()]
        sources += [str(source or "") for source in batch.column("source").to_pylist()]
    if len(set(sources)) > EACH:
        sources = [source.partition("#")[0] for source in sources]
    numbers: dict[str, int] = {}
    place = np.array([numbers.setdefault(source, len(numbers)) for source in sources], np.int64)
    keys = np.array(ids, np.uint64)
    order = np.argsort(keys)
    return keys[order], place[order], list(numbers)


def _key(id: str) -> int:
    """Eight bytes of an id, which is a digest."""
    head = id[:16]
    return int(head, 16) if re.fullmatch("[0-9a-f]{16}", head) else int.from_bytes(head.encode()[:8].ljust(8), "big")


def _found(keys: NDArray[np.uint64], ids: Iterable[object]) -> NDArray[np.int64]:
    """The places of the anchors with these ids."""
    asked = np.array([_key(str(id)) for id in ids], np.uint64)
    if not len(asked) or not len(keys):
        return np.zeros(0, np.int64)
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    found: NDArray[np.int64] = at[keys[at] == asked]
    return found


def _broken(run: Run) -> tuple[dict[str, int], Counter[tuple[str, tuple[str, ...], str]]]:
    """What broke by reason (as it was first worded), and by (first source, anchors, reason)."""
    worded: dict[str, str] = {}
    reasons, each = Counter[str](), Counter[tuple[str, tuple[str, ...], str]]()
    try:
        for one in run.broken():
            said = str(one.get("reason") or "no reason given")
            kind = kind_of(said)
            reason = worded.setdefault(kind, said) if kind in worded or len(worded) < REASONS else "other reasons"
            reasons[reason] += 1
            sources, ids = one.get("sources") or [""], one.get("anchor_ids") or ()
            each[str(sources[0]), tuple(map(str, ids)), reason] += 1
    except (OSError, ValueError, AttributeError, SynthgainError):
        reasons["broken/ cannot be read to its end"] += 1
    return dict(reasons.most_common()), each


# ---------------------------------------------------------------------------------------------- the section


def documents_table(run: Documents) -> Safe:
    """Documents with rows and failures by reason: those that gave least first."""
    if run.missing or not run.named:
        why = run.missing or "the anchors name no source"
        return el("p", "Not shown: ", why, ".", class_="absent")
    used = sorted(
        (d for d in run.named if d.used),
        key=lambda d: (d.kept / d.rows if d.rows else -1.0, -d.broken, _counted_on(d.name)),
    )
    idle = sum(not d.used for d in run.named)
    none = sum(not d.kept for d in used)
    lead = f"{counted(len(used), 'document')} gave rows or broken calls" + (
        f"; from {count(none)} of them no row was kept" if none else ""
    )
    lead += f". {counted(idle, 'document was', 'documents were')} not drafted from." if idle else "."
    rest = used[SHOWN : SHOWN + FOLDED]
    more = len(used) - SHOWN - len(rest)
    return join(
        el("p", lead, " Those that gave least stand first.", class_="lede"),
        _table(used[:SHOWN]) if used else None,
        el("details", el("summary", f"{counted(len(rest), 'more document')}"), _table(rest), class_="deep")
        if rest
        else None,
        el("p", f"{counted(more, 'more document is', 'more documents are')} not shown.", class_="cut")
        if more > 0
        else None,
    )


def _table(some: Sequence[Document]) -> Safe:
    many = any(d.anchors > 1 for d in some)
    heads = ["document", *(["anchors"] if many else []), "rows", "kept", "what fell or broke"]
    head = el("tr", [el("th", h, class_="num" if h in ("anchors", "rows", "kept") else None) for h in heads])
    return el("table", el("thead", head), el("tbody", [_row(d, many) for d in some]), class_="documents")


def _row(d: Document, many: bool) -> Safe:
    why = [
        el("span", el("b", count(n)), " ", snippet(reason, 120), class_="why-fell")
        for reason, n in list(d.why.items())[:6]
    ]
    if len(d.why) > 6:
        why.append(el("span", f"and {len(d.why) - 6} more reasons", class_="why-fell"))
    return el(
        "tr",
        el("th", _end(d.name), scope="row", title=d.name),
        el("td", count(d.anchors), class_="num") if many else None,
        el("td", count(d.rows), class_="num"),
        el("td", count(d.kept), el("small", share(d.kept, d.rows)) if d.rows else None, class_="num"),
        el("td", why or "–"),
    )


def _counted_on(name: str) -> list[tuple[int, str]]:
    """A key that puts #2 before #10."""
    return [(int(part[:18]), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _end(name: str) -> str:
    """The end of a source, which tells documents of one folder apart."""
    return name if len(name) <= 60 else f"…{name[-58:]}"
