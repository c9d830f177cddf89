"""Samples of rows, kept and fallen, each with its lineage: anchor → prompt → answer → verdict."""

from __future__ import annotations

from collections.abc import Sequence

from synthgain.numbers import count, figure, money, number
from synthgain.report.markup import Safe, el, escaped, join, passage, snippet
from synthgain.report.read import READ_FIRST, Json, Reason, RunPart, listed, mapping, said_in

CALLS = 4  # calls of one row that are shown


def samples(run: RunPart) -> Safe:
    """The section's body."""
    if not run.samples:
        return el("p", "Not shown: ", run.missing.get("rows", "there are no rows"), ".", class_="absent")
    names = {reason: _name(reason) for reason in run.samples}
    doubts = dict(run.doubts)
    buttons = [el("button", "all", type="button", data_show="", aria_pressed="true")]
    for place, (reason, name) in enumerate(names.items()):
        shown = f"{name} · {count(len(run.samples[reason]) if reason == READ_FIRST else run.reasons.get(reason, 0))}"
        buttons.append(el("button", shown, type="button", data_show=str(place), aria_pressed="false"))
    cards = [
        _card(run, row, reason, place, first=place == 0 and i == 0, why=doubts.get(str(row["id"]), ""))
        for place, (reason, rows) in enumerate(run.samples.items())
        for i, row in enumerate(rows)
    ]
    notes = [run.missing[name] for name in ("calls", "anchors") if name in run.missing]
    lead = "Rows drawn by the digest of their content, so nobody picked them. Open one to follow it from the real text to the verdict."
    if doubts:
        lead = f"First the rows to be read before the others. {lead.replace('Rows drawn', 'The rest are drawn')}"
    find = el(
        "input", type="search", placeholder="find in the samples", aria_label="find in the samples", class_="find"
    )
    return join(
        el("p", lead, class_="lede"),
        [el("p", "Lineage is incomplete: ", note, ".", class_="absent") for note in notes],
        el("div", el("div", buttons, class_="filters"), find, class_="tools"),
        el("div", cards, class_="samples"),
    )


def _name(reason: Reason) -> str:
    check, why = reason
    if reason == READ_FIRST:
        return why
    return "kept" if not check else f"{check}: {snippet(why, 60)}" if why else check


def _card(run: RunPart, row: Json, reason: Reason, place: int, first: bool, why: str = "") -> Safe:
    kept = not reason[0]
    doubt = reason == READ_FIRST
    badge = el("span", "kept" if kept else "fell", class_=f"badge {'kept' if kept else 'fallen'}")
    said = why if doubt else "" if kept else _name(reason)
    summary = el(
        "summary",
        badge,
        el("span", said, class_="why") if said else None,
        el("span", snippet(_answer(row), 140) or "(empty)", class_="gist", dir="auto"),
    )
    steps = [
        _step("Anchor", "anchors", _anchors(run, row)),
        *_calls(run, row),
        _step("Verdict", "kept" if kept else "fallen", _verdict(row, ("", "") if kept else reason)),
        _step("Row", "plain", _row(row)) if kept else None,
    ]
    return el("details", summary, el("ol", steps, class_="lineage"), class_="sample", data_group=str(place), open=first)


def _step(name: str, kind: str, *body: object) -> Safe:
    return el("li", el("h4", name), *body, class_=kind)


def _answer(row: Json) -> str:
    messages = row["messages"]
    if messages is None:
        return str(row["text"] or "")
    return next((said_in(m) for m in reversed(messages) if m["role"] == "assistant"), "")


def _anchors(run: RunPart, row: Json) -> Safe:
    ids = [str(id) for id in row["anchor_ids"]]
    if not ids:
        return el("p", "This row names no anchor.", class_="absent")
    shown: list[object] = []
    for id in ids[:3]:
        anchor = run.parents.get(id)
        if anchor is None:
            shown.append(el("p", f"Anchor {id[:8]} is not in anchors/.", class_="absent"))
            continue
        shown.append(el("p", anchor.source or "no source", " · ", f"id {id[:8]}", class_="facts"))
        shown.append(passage(anchor.body, whole=anchor.length))
    if len(ids) > 3:
        shown.append(el("p", f"and {len(ids) - 3} more anchors", class_="cut"))
    return join(shown)


def _calls(run: RunPart, row: Json) -> Sequence[Safe]:
    ids = [str(id) for id in row["call_ids"]]
    if not ids:
        return [_step("Answer", "plain", el("p", "This row was made without a call.", class_="absent"))]
    steps: list[Safe] = []
    for place, id in enumerate(ids[:CALLS], start=1):
        numbered = f" {place} of {len(ids)}" if len(ids) > 1 else ""
        call = run.calls.get(id)
        if call is None:
            steps.append(
                _step(
                    f"Call{numbered}",
                    "plain",
                    el("p", f"Call {id[:8]} is not in the memory of calls.", class_="absent"),
                )
            )
            continue
        steps.append(_step(f"Prompt{numbered}", "plain", _messages(listed(call.get("messages")))))
        if thought := _thought(call.get("message")):
            steps.append(_step(f"Thinking{numbered}", "plain", passage(thought)))
        steps.append(
            _step(f"Answer{numbered}", "plain", _facts(call, id), passage(said_in(call.get("message")) or "(empty)"))
        )
    if len(ids) > CALLS:
        steps.append(
            _step(
                "Calls",
                "plain",
                el(
                    "p",
                    f"{len(ids) - CALLS} more calls; ",
                    el("code", "synthgain trace"),
                    " shows them all.",
                    class_="cut",
                ),
            )
        )
    return steps


def _thought(turn: object) -> str:
    """What a turn thought before its content."""
    return str(mapping(turn).get("reasoning") or "")


def _turn(turn: Json) -> Safe:
    role, thought = str(turn.get("role") or "?"), _thought(turn)
    before = el("div", el("span", f"{role}, thinking", class_="role"), passage(thought)) if thought else None
    return join(before, el("div", el("span", role, class_="role"), passage(said_in(turn))))


def _messages(messages: Sequence[object]) -> Safe:
    turns = [mapping(m) for m in messages]
    shown = [_turn(m) for m in turns[:8]]
    more = el("p", f"and {len(turns) - 8} more turns", class_="cut") if len(turns) > 8 else None
    return el("div", shown, more, class_="turns")


def _facts(call: Json, id: str) -> Safe:
    said = [
        str(call.get("model") or "?"),
        f"{count(call.get('tokens_in'))} tokens in, {count(call.get('tokens_out'))} out",
    ]
    if call.get("finish") not in (None, "stop"):
        said.append("cut off at the token limit" if call["finish"] == "length" else f"ended by {call['finish']}")
    logprob, tokens = number(call.get("logprob")), number(call.get("tokens_out"))
    if logprob is not None and tokens:
        said.append(f"{figure(logprob / tokens)} nats a token")
    if number(call.get("cost")):
        said.append(money(call["cost"]))
    said.append(f"id {id[:8]}")
    return el("p", " · ".join(said), class_="facts")


def _verdict(row: Json, reason: Reason) -> Safe:
    check, why = reason
    head = (
        el("p", "Every check let it pass.")
        if not check
        else el("p", el("b", check), " dropped it", f": {why}" if why else ".", dir="auto")
    )
    scored = []
    for given in row["verdicts"]:
        verdict = mapping(given)
        score = number(verdict.get("score"))
        if score is not None:
            scored.append(f"{str(verdict.get('check') or 'check')[:60]} {figure(score)}")
    return join(head, el("p", "Scores: " + " · ".join(scored), class_="facts") if scored else None)


def _row(row: Json) -> Safe:
    messages = row["messages"]
    body = passage(str(row["text"] or "")) if messages is None else _messages(messages)
    fields = mapping(row["fields"])
    said = " · ".join(f"{name} = {snippet(str(value), 60)}" for name, value in list(fields.items())[:8])
    return join(
        el("p", "what a student reads", class_="facts"), body, el("p", escaped(said), class_="facts") if said else None
    )
