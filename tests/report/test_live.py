"""The live panel in its three modes."""

from __future__ import annotations

import io
import sys
import time
import types
from dataclasses import dataclass, field

import pytest

from synthgain.chain import Tally
from synthgain.report.live import Live, Pace, markup, panel, resolved, sight
from synthgain.types import SynthgainError


def tally(**changes: object) -> Tally:
    given: dict[str, object] = dict(
        label="rft",
        groups_total=150,
        groups_done=30,
        rows=240,
        kept=24,
        dropped_by={"final_answer": 180, "near_duplicate": 36},
        calls_bought=200,
        calls_reused=40,
        tokens_in=12_000,
        tokens_out=6_000,
        tokens_cached=9_000,
        cost=0.0123,
        in_flight=16,
        width=16,
        started=time.monotonic() - 60,
    )
    return Tally(**(given | changes))  # type: ignore[arg-type]


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


# ---------------------------------------------------------------------------------------------- words


def test_everything_that_matters_is_said() -> None:
    seen = sight(tally(started=1000.0), 1060.0, Pace())
    line = seen.line
    for words in (
        "rft: 20%",
        "30 of 150 groups",
        "240 rows, 24 kept (10.0 %)",
        "final_answer 75.0 %, near_duplicate 15.0 %",
        "fell: final_answer",
        "200 calls bought, 40 reused",
        "16 in flight of 16",
        "12,000 tokens in (75.0 % cached), 6,000 out, 100/s",
        "$0.0123",
        "1 min 00 s so far",
        "about 4 min 00 s left",
    ):
        assert words in line


def test_the_time_left_follows_the_present_rate() -> None:
    pace, now = Pace(), 1000.0
    t = tally(started=0.0)
    for step in range(41):  # two groups a second for twenty seconds, after a slow start
        t.groups_done, t.tokens_out, t.calls_bought = 30 + step, 6_000 + 50 * step, 200 + step
        pace.see(now + step / 2, t)
    assert pace.work() == pytest.approx(2.0)
    assert pace.tokens() == pytest.approx(100.0)
    assert "about 40" in sight(t, now + 20, pace).eta  # 80 groups at 2 a second


def test_rows_asked_for_are_what_counts() -> None:
    seen = sight(tally(target=48, started=0.0), 60.0, Pace())
    assert (seen.done, seen.of) == (0.5, "24 of 48 accepted")


def test_what_is_not_known_is_not_invented() -> None:
    seen = sight(
        tally(groups_total=None, cost=None, groups_done=0, rows=0, kept=0, dropped_by={}, tokens_in=0),
        time.monotonic(),
        Pace(),
    )
    assert (seen.done, seen.money, seen.eta) == (None, "price not known", "")
    assert sight(tally(groups_done=0), time.monotonic(), Pace()).eta == "time left not known yet"


def test_silence_is_said() -> None:
    pace, t = Pace(), tally(started=0.0)
    pace.see(100.0, t)
    pace.see(134.0, t)
    assert "no answer for 34" in sight(t, 134.0, pace).note
    t.calls_bought += 1
    pace.see(135.0, t)
    assert sight(t, 135.0, pace).note == ""


# ---------------------------------------------------------------------------------------------- modes


def test_a_log_gets_whole_lines_and_a_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    with Live(out, every=0.125) as live:
        assert live.mode == "log"
        for n in range(1, 5):
            live(tally(groups_done=n))
            time.sleep(0.1)
        live(tally(groups_done=150))
    lines = out.getvalue().splitlines()
    assert 2 <= len(lines) <= 5
    assert "150 of 150 groups" in lines[-1] and "\x1b" not in out.getvalue()
    assert capsys.readouterr().out == ""


def test_a_terminal_is_redrawn_at_most_eight_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Screen()
    with Live(out, every=0.0) as live:
        assert live.mode == "terminal"
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            live(tally())
    assert 1 <= out.getvalue().count("groups") <= 7
    assert "\x1b" in out.getvalue()


def test_a_notebook_updates_one_display(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, html: str) -> None:
            shown.append(html)

    display = types.ModuleType("IPython.display")
    display.HTML = str  # type: ignore[attr-defined]
    display.display = lambda html, display_id: Handle()  # type: ignore[attr-defined]
    kernel = types.ModuleType("IPython")
    kernel.get_ipython = type("ZMQInteractiveShell", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    out = io.StringIO()
    with Live(out) as live:
        assert live.mode == "notebook"
        live(tally(label="<b>odd</b>"))
    assert "&lt;b&gt;odd&lt;/b&gt;" in shown[-1] and "<b>odd" not in shown[-1]
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("term", "encoding", "mode"), [("xterm", "utf-8", "terminal"), ("dumb", "utf-8", "log"), ("xterm", "ascii", "log")]
)
def test_the_mode_fits_the_stream(monkeypatch: pytest.MonkeyPatch, term: str, encoding: str, mode: str) -> None:
    monkeypatch.setenv("TERM", term)
    out = Screen()
    monkeypatch.setattr(Screen, "encoding", encoding)
    assert resolved(out) == mode


def test_a_notebook_that_is_not_there_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(SynthgainError, match="no notebook"):
        Live(io.StringIO(), mode="notebook").__enter__()


# ---------------------------------------------------------------------------------------------- hardness


def test_handing_over_costs_less_than_five_microseconds() -> None:
    with Live(io.StringIO(), every=60) as live:
        t = tally()
        best = min(_timed(live, t) for _ in range(5))
    assert best < 5e-6


def _timed(live: Live, t: Tally, n: int = 20_000) -> float:
    begin = time.perf_counter()
    for _ in range(n):
        live(t)
    return (time.perf_counter() - begin) / n


@pytest.mark.parametrize("mode", ["log", "terminal"])
def test_names_from_outside_are_neither_markup_nor_escapes(mode: str) -> None:
    out = Screen()
    with Live(out, mode=mode) as live:  # type: ignore[arg-type]
        live(tally(label="[red]x[/red] \x1b]0;title\x07", dropped_by={"[/] \x1b[31m\n": 9}))
    written = out.getvalue()
    assert (
        "[red]x[/red]" in written and "\x1b]0;" not in written and "\x07" not in written and "\x1b[31m" not in written
    )
    assert "⟨U+001B⟩" in written


def test_a_stream_that_breaks_does_not_break_the_run() -> None:
    @dataclass
    class Closed(io.StringIO):
        tries: list[int] = field(default_factory=list)

        def write(self, text: str) -> int:
            self.tries.append(1)
            raise BrokenPipeError

    out = Closed()
    with Live(out, mode="log", every=0.125) as live:
        live(tally())
        time.sleep(0.3)
        live(tally(groups_done=31))
    assert out.tries


def test_an_ascii_log_is_written_all_the_same() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    with Live(out, mode="log") as live:
        live(tally(label="räksmörgås"))
    out.flush()
    assert b"r?ksm?rg?s" in raw.getvalue()


def test_an_error_inside_goes_through_and_the_last_state_is_drawn() -> None:
    out = io.StringIO()
    with pytest.raises(KeyError):
        with Live(out) as live:
            live(tally(groups_done=77))
            raise KeyError("x")
    assert "77 of 150" in out.getvalue()


def test_nothing_is_drawn_without_a_tally() -> None:
    out = io.StringIO()
    with Live(out, every=0.125):
        time.sleep(0.2)
    assert out.getvalue() == ""


def test_panel_and_markup_hold_the_same_words() -> None:
    from rich.console import Console

    seen = sight(tally(), time.monotonic(), Pace())
    out = io.StringIO()
    Console(file=out, width=160).print(panel(seen))
    for words in (seen.rows, seen.fell, seen.calls, seen.tokens):
        assert words in out.getvalue() and words in markup(seen)
