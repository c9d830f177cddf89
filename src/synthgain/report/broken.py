"""What to do about calls and drafts that broke, by their reason."""

from __future__ import annotations

import re
from collections.abc import Mapping

from synthgain.numbers import count
from synthgain.report.markup import Safe, el, join

# the first that fits a reason: what it looks like, and what to do
WHAT_TO_DO: tuple[tuple[str, str], ...] = (
    (r"^\w*(Error|Exception)\b|\.py:\d+\)", "the recipe's draft failed: mend it where the reason says, then run the same command again"),
    (r"context|too long|maximum.*(length|token)|longer than", "cut these documents, or use a model (or a server setting) with a longer context"),
    (r"content.?filter|moderat|policy|refuses this prompt|safety", "the server does not answer these prompts: leave these documents out, or use another model"),
    (r"^40[13]\b|api.?key|unauthori[sz]ed|forbidden|permission", "look at the key and at what it may use"),
    (r"^429\b|rate.?limit|too many requests|quota|busy|overloaded", "the server gave no room: run the same command again later, with fewer calls at once (--concurrency)"),
    (r"no answer within|timed? ?out|timeout", "the server was too slow: fewer calls at once (--concurrency), or shorter answers; run the same command again"),
    (r"connect|network|unreachable|reset by peer|\beof\b|closed", "the server was away: run the same command again, what is paid for is kept"),
    (r"^5\d\d\b|internal server|bad gateway|no answer", "the server failed: look at its log, then run the same command again"),
    (r"schema|json", "the model or server does not keep to the schema: use another model, or a recipe that asks for plain text"),
    (r"template|role|tools", "the model's chat template does not take this prompt: use another model or recipe"),
    (r"not among the recorded", "leave --calls-only out to buy these calls, or give a recording that has them (--calls FILE)"),
    (r"never bought", "`synthgain generate` buys these calls"),
    (r"the check ", "mend or leave out this check (--without), then `synthgain curate`"),
)  # fmt: skip
ELSE = "look at RUN/broken/broken.jsonl, which has each with its documents; the same command again tries them once more"
SHOWN = 12


def what_to_do(reason: str) -> str:
    """The next step for a reason."""
    return next((step for looks, step in WHAT_TO_DO if re.search(looks, reason, re.IGNORECASE)), ELSE)


def broken_table(reasons: Mapping[str, int]) -> Safe | None:
    """Broken calls and drafts by reason, with what to do about each."""
    if not reasons:
        return None
    often = sorted(reasons.items(), key=lambda rn: (-rn[1], rn[0]))
    items = [
        el("tr", el("td", count(n), class_="num"), el("td", reason[:300], dir="auto"), el("td", what_to_do(reason)))
        for reason, n in often[:SHOWN]
    ]
    rest = sum(n for _, n in often[SHOWN:])
    head = el("tr", el("th", "broken", class_="num"), el("th", "reason"), el("th", "what to do"))
    more = el("p", f"{count(rest)} more broke for {len(often) - SHOWN} other reasons.", class_="cut") if rest else None
    return join(el("table", el("thead", head), el("tbody", items), class_="broken"), more)
