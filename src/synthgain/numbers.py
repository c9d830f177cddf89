"""Numbers for people: as many digits as the interval bears out, thousands apart, a true minus sign."""

from __future__ import annotations

import math


def count(value: object) -> str:
    """A whole number, or a dash where there is none."""
    known = number(value)
    return "–" if known is None else _minus(f"{known:,.0f}")


def counted(value: object, one: str, many: str = "") -> str:
    """A whole number with its noun."""
    return f"{count(value)} {one if number(value) == 1 else many or one + 's'}"


def short(value: object) -> str:
    """A large number with three digits and a letter, as tokens are said: 1.67k, 2M, 0.5T as 500B."""
    known = number(value)
    if known is None:
        return "–"
    size, letter = next(
        ((10.0**e, s) for e, s in ((12, "T"), (9, "B"), (6, "M"), (3, "k")) if abs(known) >= 10.0**e), (1.0, "")
    )
    return _minus(f"{known / size:.3g}{letter}")


def number(value: object) -> float | None:
    """The value where it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def figure(value: float, digits: int = 3) -> str:
    """A number with so many significant digits; whole numbers of four and more digits stay whole."""
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 6:
        return _minus(f"{value:,.0f}")
    if size < -5:
        return _minus(f"{value:.{digits - 1}e}")
    text = f"{value:,.{max(0, digits - 1 - size)}f}"
    whole = float(value).is_integer()
    return _minus(text.split(".")[0] if whole else text)


def interval(value: float, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """As in "0.62 [0.55, 0.69]", or "0.81 [≥ 0.64]" where one end is known: the only place that writes a figure with its interval.

    As many digits as the half width has one of (two where it begins with 1), no fewer
    than two decimals where all lies between −1 and 1, and more where an end that is not zero would be written as zero: which side of
    zero an interval ends on is what it says.
    """
    ends = [end for end in (low, high) if end is not None]
    if not ends:
        return f"{'+' if signed and value > 0 else ''}{figure(value)}"
    most = max(map(abs, (value, *ends)))
    half = (high - low) / 2 if low is not None and high is not None else abs(value - ends[0])
    decimals = max(_decimals(half, value), 2 if 0 < most <= 1 else 0)
    told = (more for more in range(4) if all(not end or float(f"{end:.{decimals + more}f}") for end in ends))
    decimals += next(told, 0)
    odd = most >= 1e15 or 0 < most < 1e-6
    said, *written = (_minus(f"{v:.3g}") if odd else _fixed(v, decimals, signed) for v in (value, *ends))
    one = "≥ " if high is None else "≤ " if low is None else ""
    return f"{said} [{one}{', '.join(written)}]"


def _decimals(half: float, value: float) -> int:
    """The decimals that a half width bears out; those of `figure` where there is none."""
    if not half > 0 or not math.isfinite(half):
        return len(figure(value).partition(".")[2]) if "e" not in figure(value) else 8
    size = math.floor(math.log10(half))
    return min(8, max(0, -size + int(half / 10.0**size < 2)))


def tick(value: float) -> str:
    """A round number under an axis."""
    return _minus(f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:g}")


def share(part: float, whole: float) -> str:
    """A part of a whole in percent."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.0f} %" if percent >= 99.95 or percent == 0 else f"{percent:.1f} %"


def money(value: object) -> str:
    """US dollars."""
    known = number(value)
    if known is None:
        return "not known"
    return f"${known:,.2f}" if known >= 1 or known == 0 else f"${known:.4f}"


def duration(seconds: object) -> str:
    """Seconds as people say them: 42 s, 3 min 31 s, 2 h 05 min."""
    known = number(seconds)
    if known is None:
        return "–"
    if known < 10:
        return f"{known:.1f}\u00a0s"
    whole = round(known)
    if whole < 60:
        return f"{whole}\u00a0s"
    if whole < 3600:
        return f"{whole // 60}\u00a0min {whole % 60:02d}\u00a0s"
    return f"{whole // 3600:,}\u00a0h {whole % 3600 // 60:02d}\u00a0min"


def _fixed(value: float, decimals: int, signed: bool = False) -> str:
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    return _minus(text[1:] if text[0] in "+-" and not text.strip("+-0.,") else text)


def _minus(text: str) -> str:
    return text.replace("-", "−") if "e" not in text else text.replace("-", "−", 1) if text.startswith("-") else text
