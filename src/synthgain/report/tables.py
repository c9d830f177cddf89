"""Tables that need no sideways scroll: on a narrow page each row stands as a list of its own, every value beside the name of its column."""

from __future__ import annotations

from collections.abc import Sequence

from synthgain.report.markup import Safe, el

Cell = object  # text, markup, or a list of both


def stacked(heads: Sequence[str], rows: Sequence[tuple[Cell, Sequence[Cell]]], *, words: Sequence[str] = ()) -> Safe:
    """A head for each column; of each row its name and its cells. Columns named in `words` hold words, all others numbers."""
    numeric = ["num" if head not in words else None for head in heads[1:]]
    head = el("tr", el("th", heads[0]), [el("th", h, class_=kind) for h, kind in zip(heads[1:], numeric)])
    body = [
        el(
            "tr",
            el("th", name, scope="row"),
            [el("td", cell, class_=kind, data_label=h) for cell, h, kind in zip(cells, heads[1:], numeric)],
        )
        for name, cells in rows
    ]
    return el("table", el("thead", head), el("tbody", body), class_="stack")
