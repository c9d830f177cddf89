"""What is said of calls that were recorded elsewhere: on the screen, a page and a card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthgain.numbers import count, money, number

SHOWN = 3  # models of a recording


def recorded_said(record: Mapping[str, Any]) -> list[str]:
    """A line for each recording that served: how many calls of all, made by whom, when and on what."""
    counts = record.get("counts")
    all = sum(_counted(counts, f"calls_{name}") for name in ("bought", "reused", "recorded"))
    return [f"{count(number(one.get('served')))} of {count(all)} calls{_made(one)}" for one in recordings(record)]


def recordings(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What run.json says of each recording that served."""
    held = record.get("recorded")
    yield from (one for one in held if isinstance(one, Mapping)) if isinstance(held, list) else ()


def recorded_commands(record: Mapping[str, Any]) -> list[str]:
    """The commands that made the recordings, and those whose calls they took over."""
    all = [each for one in recordings(record) for each in (one, *recordings({"recorded": one.get("from")}))]
    return list(dict.fromkeys(str(one["command"]) for one in all if one.get("command")))


def cost_recorded(record: Mapping[str, Any]) -> str:
    """What of the cost others paid who recorded the calls; "" where nobody did."""
    if not any(recordings(record)):
        return ""
    cost = record.get("cost_recorded_usd")
    return f"of which {money(cost)} by whoever recorded calls" if cost != 0 else ""


def _made(one: Mapping[str, Any]) -> str:
    """, made by MODEL on DATE (machine), from FILE"""
    models = one.get("models")
    uris = (
        list(dict.fromkeys(str(m.get("uri")) for m in models if isinstance(m, Mapping)))
        if isinstance(models, list)
        else []
    )
    more = f" and {len(uris) - SHOWN} more" if len(uris) > SHOWN else ""
    by = f", made by {', '.join(uris[:SHOWN])}{more}" if uris else ", made"
    made, machine, file = (str(one.get(name) or "") for name in ("made", "machine", "file"))
    when = f" on {made[:10]}" if made else ""
    left = number(one.get("left_out"))
    out = f"; {count(left)} more were left out: they are not what their ids say" if left else ""
    return f"{by}{when}{f' ({machine})' if machine else ''}{f', from {file}' if file else ''}{out}"


def _counted(counts: object, name: str) -> float:
    return (number(counts.get(name)) or 0) if isinstance(counts, Mapping) else 0
