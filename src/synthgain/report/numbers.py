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


def interval(value: float, low: float | None, high: float | None) -> str:
    """As in "0.62 [0.55, 0.69]": decimals go as far as the interval's half width has a digit (one more if it begins below 1.5)."""
    if low is None or high is None:
        return figure(value)
    half = (high - low) / 2
    if half <= 0:
        return f"{figure(value)} [{figure(low)}, {figure(high)}]"
    size = math.floor(math.log10(half))
    leading = half / 10**size
    decimals = min(8, max(0, -size + (leading < 1.5)))
    return " ".join((_fixed(value, decimals), f"[{_fixed(low, decimals)}, {_fixed(high, decimals)}]"))


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


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return _minus(text[1:] if text.startswith("-") and not text.strip("-0.,") else text)


def _minus(text: str) -> str:
    return text.replace("-", "−") if "e" not in text else text.replace("-", "−", 1) if text.startswith("-") else text
