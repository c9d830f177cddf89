"""The live panel: what a run is doing, in a terminal, a notebook or a log file.

The run hands its tally over hundreds of times a second; that costs one assignment. A thread of the
panel's own draws it, so that the panel also moves (and says so) when no answer comes. A stream that
breaks ends the panel, never the run.
"""

from __future__ import annotations

import html
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from synthgain.numbers import count, money, share
from synthgain.numbers import duration as spoken_duration
from synthgain.report.markup import visible
from synthgain.types import SynthgainError

Mode = Literal["auto", "terminal", "notebook", "log"]
EVERY = {"terminal": 0.25, "notebook": 1.0, "log": 10.0}  # seconds between two drawings
FASTEST = 0.125
SOON = 1.0  # seconds after which something new to know is shown
RECENT = 10.0  # seconds over which the present rate is taken
RUNNING: dict[str, Callable[[float], str]] = {
    "delta_I": lambda v: f"{v:.2f} nats/token random",
    "near_dup": lambda v: f"{v:.1%} nearly repeat another row",
    "distinct_2": lambda v: f"distinct-2 {v:.2f}",
}
QUIET = 15.0  # seconds without an answer before the panel says so


class Progress(Protocol):
    """What the panel reads of a tally (`chain.Tally`)."""

    label: str
    groups_total: int | None
    groups_done: int
    rows: int
    kept: int
    broken: int
    calls_bought: int
    calls_reused: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    in_flight: int
    width: int
    target: int | None
    started: float
    figures: Mapping[str, float]  # running estimates by name

    @property
    def note(self) -> str: ...
    @property
    def recorded(self) -> Mapping[str, int]:
        """Calls by the recording that they come from."""
        ...

    @property
    def cost_in_all(self) -> float | None: ...
    @property
    def dropped_by(self) -> Mapping[str, int]: ...


@dataclass(frozen=True)
class Sight:
    """A tally as it is shown: everything in words, at one moment."""

    label: str
    done: float | None  # share of the work, 0–1
    of: str
    rows: str
    fell: str
    diversity: str
    calls: str
    tokens: str
    money: str
    elapsed: str
    eta: str
    note: str

    @property
    def line(self) -> str:
        """One line for a log."""
        percent = "" if self.done is None else f" {self.done:.0%}"
        parts = [
            f"{self.label}:{percent} {self.of}",
            self.rows,
            self.fell and f"fell: {self.fell}",
            self.diversity,
            self.calls,
            self.tokens,
            self.money,
            self.elapsed,
            self.eta,
            self.note,
        ]
        return "; ".join(part for part in parts if part)


class Pace:
    """Rates over the last RECENT seconds and since the start."""

    def __init__(self) -> None:
        self.seen: deque[tuple[float, float, int, int]] = deque()  # moment, work done, tokens out, calls
        self.last_answer = 0.0

    def see(self, now: float, tally: Progress) -> None:
        """Note where the tally stands; called at each drawing."""
        work, _ = work_of(tally)
        calls = tally.calls_bought + tally.calls_reused + sum(tally.recorded.values())
        if not self.seen or calls != self.seen[-1][3]:
            self.last_answer = now
        self.seen.append((now, work, tally.tokens_out, calls))
        while len(self.seen) > 2 and now - self.seen[1][0] >= RECENT:
            self.seen.popleft()

    def tokens(self) -> float | None:
        """Tokens a second now."""
        return self._rate(2)

    def work(self) -> float | None:
        """Units of work a second now."""
        return self._rate(1)

    def _rate(self, column: int) -> float | None:
        if len(self.seen) < 2:
            return None
        first, last = self.seen[0], self.seen[-1]
        return (last[column] - first[column]) / (last[0] - first[0]) if last[0] > first[0] else None


def work_of(tally: Progress) -> tuple[float, int | None]:
    """Work done and work in all: rows accepted where a number was asked for, else groups."""
    if tally.target is not None:
        return float(min(tally.kept, tally.target)), tally.target
    return float(tally.groups_done), tally.groups_total


def sight(tally: Progress, now: float, pace: Pace) -> Sight:
    """The tally in words at the moment `now` (of time.monotonic)."""
    work, total = work_of(tally)
    elapsed = max(0.0, now - tally.started)
    unit = "accepted" if tally.target is not None else "groups"
    read = tally.tokens_in
    mean = tally.tokens_out / elapsed if elapsed > 0 else 0.0
    present = pace.tokens()
    speed = f"{count(present)}/s now, {count(mean)}/s mean" if present is not None else f"{count(mean)}/s"
    fallen = sorted(list(tally.dropped_by.items()), key=lambda cn: (-cn[1], cn[0]))
    cached = f" ({share(tally.tokens_cached, read)} cached)" if read else ""
    waiting = now - pace.last_answer if pace.seen else 0.0
    more = tally.in_flight > tally.width  # they were sent when more were allowed
    flying = f"{tally.in_flight} in flight" + (f", soon {tally.width}" if more else f" of {tally.width}")
    quiet = f"no answer for {duration(waiting)}" if tally.in_flight and waiting >= QUIET else ""
    return Sight(
        label=plain(tally.label) or "run",
        done=min(1.0, work / total) if total else None,
        of=f"{count(work)} of {count(total)} {unit}" if total is not None else f"{count(work)} {unit}",
        rows=f"{count(tally.rows)} rows, {count(tally.kept)} kept ({share(tally.kept, tally.rows)})",
        fell=", ".join(f"{plain(name)} {share(n, tally.rows)}" for name, n in fallen[:6])
        + (f", {len(fallen) - 6} more" if len(fallen) > 6 else ""),
        diversity=", ".join(said(tally.figures[name]) for name, said in RUNNING.items() if name in tally.figures),
        calls=f"{count(tally.calls_bought)} calls bought, {count(tally.calls_reused)} reused, "
        + (f"{count(recorded)} recorded, " if (recorded := sum(tally.recorded.values())) else "")
        + flying
        + (f", {count(tally.broken)} broken" if tally.broken else ""),
        tokens=f"{count(read)} tokens in{cached}, {count(tally.tokens_out)} out, {speed}",
        money="price not known" if tally.cost_in_all is None else money(tally.cost_in_all),
        elapsed=f"{duration(elapsed)} so far",
        eta=_eta(work, total, elapsed, pace),
        note=" · ".join(part for part in (plain(tally.note, 600), quiet) if part),
    )


def _eta(work: float, total: int | None, elapsed: float, pace: Pace) -> str:
    if total is None or work >= total:
        return ""
    rate = pace.work() or (work / elapsed if elapsed > 0 else 0.0)
    return f"about {duration((total - work) / rate)} left" if rate > 0 and work > 0 else "time left not known yet"


def duration(seconds: float) -> str:
    """Seconds in words, with plain spaces: logs may be ASCII."""
    return spoken_duration(seconds).replace("\u00a0", " ")


def plain(text: str, limit: int = 120) -> str:
    """A name from outside as harmless text on one line: no control or escape characters."""
    return " ".join(visible(str(text))[:limit].split())


class Live:
    """The panel: `with Live() as live: generate(…, watch=live)`.

    `every` is seconds between two drawings (terminals: at least an eighth of a second). The panel
    writes to `stream` only (standard error by default), so pipes of standard output stay clean.
    """

    def __init__(self, stream: TextIO | None = None, mode: Mode = "auto", every: float | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.mode = resolved(self.stream) if mode == "auto" else mode
        self.every = max(FASTEST, EVERY[self.mode] if every is None else every)
        self.pace = Pace()
        self._tally: Progress | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._draw: Callable[[Sight], None] = lambda _: None
        self._end: Callable[[], None] = lambda: None

    def __call__(self, tally: Progress) -> None:
        """Hand the tally over; it is drawn when its time has come."""
        self._tally = tally

    def __enter__(self) -> Self:
        self._draw, self._end = {"terminal": self._terminal, "notebook": self._notebook, "log": self._log}[self.mode]()
        self._thread = threading.Thread(target=self._tick, name="synthgain-live", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._drawn():
            try:
                self._end()
            except (OSError, ValueError):
                return

    def _tick(self) -> None:
        """Draw now and then, and soon where there is something new to know."""
        drawn, note = time.monotonic(), ""
        while not self._stop.wait(min(self.every, SOON)):
            now, new = time.monotonic(), "" if self._tally is None else self._tally.note
            if now - drawn >= self.every - FASTEST / 2 or (new and not note):
                if not self._drawn():
                    return
                drawn, note = now, new

    def _drawn(self) -> bool:
        """Draw; False where the stream is gone (a closed pipe): the run goes on without a panel."""
        tally = self._tally
        if tally is None:
            return True
        now = time.monotonic()
        self.pace.see(now, tally)
        try:
            self._draw(sight(tally, now, self.pace))
        except (OSError, ValueError):
            return False
        return True

    # ------------------------------------------------------------------------------------------ three ways to draw

    def _terminal(self) -> tuple[Callable[[Sight], None], Callable[[], None]]:
        console = Console(file=self.stream, force_terminal=True if self.stream.isatty() else None)
        rich = RichLive(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=self.stream is sys.stderr
        )
        rich.start()
        return lambda seen: rich.update(panel(seen), refresh=True), rich.stop

    def _notebook(self) -> tuple[Callable[[Sight], None], Callable[[], None]]:
        nowhere = SynthgainError(
            "this is no notebook, so the panel cannot be shown in one", next='use Live(mode="auto")'
        )
        try:
            from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise nowhere from error
        handle = display(HTML(""), display_id=True)
        if handle is None:  # IPython is there, but no kernel
            raise nowhere
        return lambda seen: handle.update(HTML(markup(seen))), lambda: None

    def _log(self) -> tuple[Callable[[Sight], None], Callable[[], None]]:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        last = [""]

        def draw(seen: Sight) -> None:
            line = seen.line.encode(encoding, "replace").decode(encoding)
            if line != last[0]:
                last[0] = line
                self.stream.write(line + "\n")
                self.stream.flush()

        return draw, lambda: None


def resolved(stream: TextIO) -> Literal["terminal", "notebook", "log"]:
    """Which way fits: a notebook's kernel, a terminal that can move its cursor, or else lines."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ == "ZMQInteractiveShell":
        return "notebook"
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    can = stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and encoding.startswith("utf")
    return "terminal" if can else "log"


def _rows(seen: Sight) -> list[tuple[str, str]]:
    given = [
        ("rows", seen.rows),
        ("fell", seen.fell),
        ("diversity", seen.diversity),
        ("calls", seen.calls),
        ("tokens", seen.tokens),
        ("cost", f"{seen.money}, {seen.elapsed}"),
        ("note", seen.note),
    ]
    return [(name, value) for name, value in given if value]


def panel(seen: Sight) -> Group:
    """The panel for a terminal. Names from outside are Text, so their square brackets are no markup."""
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(seen.label, style="bold"),
        ProgressBar(total=1.0, completed=seen.done or 0.0, width=28),
        Text("" if seen.done is None else f"{seen.done:4.0%}", style="bold"),
        Text(seen.of),
        Text(seen.eta, style="cyan"),
    )
    body = Table.grid(padding=(0, 2))
    for name, value in _rows(seen):
        body.add_row(Text(f"  {name}", style="dim"), Text(value))
    return Group(head, body)


def markup(seen: Sight) -> str:
    """The panel for a notebook, as HTML."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td style='text-align:left'>{html.escape(value)}</td></tr>"
        for name, value in _rows(seen)
    )
    bar = "" if seen.done is None else f"<progress max='1' value='{seen.done:.4f}'></progress> {seen.done:.0%}"
    return f"<div><b>{html.escape(seen.label)}</b> {bar} {html.escape(seen.of)} {html.escape(seen.eta)}<table>{rows}</table></div>"
