"""Numbers with what they count, by rule: "5 km", "five kilometres", "$2.5 million", "12 percent", "20 °C", and bare ones.

Equal quantities are equal in any writing: 5 km is 5 kilometres and 5,000 m, and, within two in a hundred, 3.1 miles. 5 km is not 5 miles, and
$5 is not €5: kinds of money are never converted. A word that may be two units (pounds) is both. Units are English words and the usual signs;
factors are those of the SI and of the international yard and pound (1959), exact, and a month is no number of days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from synthgain.facts import numbers_at

CONVERTED = 0.02  # relative: as far as a figure in another unit may be off by rounding
Unit = tuple[str, float, float]  # kind, size, and what is added: 20 °F is 20 · 5/9 − 17.8 °C
_SIZES: dict[str, dict[str, float]] = {  # by kind: names, with their plurals where they are words, and size
    "length": {"mm millimeter millimetre": 1e-3, "cm centimeter centimetre": 1e-2, "m meter metre": 1, "km kms kilometer kilometre": 1e3, "inch inches": 0.0254,
        "ft foot feet": 0.3048, "yd yard": 0.9144, "mi mile": 1609.344, "light-year": 9.4607304725808e15},
    "area": {"m² square-meter square-metre": 1, "km² square-kilometer square-kilometre": 1e6, "square-mile": 2589988.110336, "ha hectare": 1e4, "acre": 4046.8564224,
        "ft² square-foot square-feet": 0.09290304},
    "volume": {"ml milliliter millilitre": 1e-3, "l liter litre": 1, "m³ cubic-meter cubic-metre": 1e3, "gallon": 3.785411784, "pint": 0.473176473, "quart": 0.946352946},
    "mass": {"mg milligram": 1e-3, "g gram": 1, "kg kilo kilogram": 1e3, "tonne metric-ton": 1e6, "ton": 907184.74, "oz ounce": 28.349523125, "lb lbs pound": 453.59237},
    "time": {"millisecond": 1e-3, "sec secs second": 1, "min mins minute": 60, "hr hrs hour": 3600, "day": 86400, "week": 604800, "fortnight": 1209600},
    "years": {"mo month": 1, "yr yrs year": 12, "decade": 120, "century centuries": 1200},
    "speed": {"km/h kph kmh": 1 / 3.6, "mph miles-per-hour": 0.44704, "m/s": 1, "knot": 1852 / 3600},
    "dollars": {"$ us$ usd dollar buck": 1, "cent ¢": 0.01}, "euros": {"€ eur euro": 1, "cent ¢": 0.01}, "pounds": {"£ gbp pound sterling": 1, "penny pence p": 0.01},
    "yen": {"¥ jpy yen": 1}, "rupees": {"₹ inr rs rupee": 1}, "yuan": {"yuan rmb cny renminbi": 1},
    "share": {"% percent pct": 1}, "points": {"percentage-point": 1, "bps basis-point": 0.01},
    "bytes": {"byte": 1, "kb kilobyte": 1e3, "mb megabyte": 1e6, "gb gigabyte": 1e9, "tb terabyte": 1e12},
    "power": {"w watt": 1, "kw kilowatt": 1e3, "mw megawatt": 1e6, "gw gigawatt": 1e9, "hp horsepower": 745.69987158227},
    "energy": {"joule": 1, "kj": 1e3, "kwh": 3.6e6, "cal calorie": 4.184, "kcal": 4184}, "frequency": {"hz hertz": 1, "khz": 1e3, "mhz": 1e6, "ghz": 1e9}, "angle": {"degree °": 1},
}  # fmt: skip
_WARM = {"°c celsius centigrade degrees-celsius degrees-c": (1.0, 0.0), "°f fahrenheit degrees-fahrenheit degrees-f": (5 / 9, -160 / 9), "kelvin": (1.0, -273.15), "degree °": (1.0, 0.0)}  # fmt: skip


def _units() -> dict[str, tuple[Unit, ...]]:
    """Every name with the units that it may mean."""
    found: dict[str, tuple[Unit, ...]] = {}
    sized = [(names, (kind, size, 0.0)) for kind, sizes in _SIZES.items() for names, size in sizes.items()]
    for names, unit in [*sized, *((names, ("temperature", *scale)) for names, scale in _WARM.items())]:
        for name in names.split():
            plural = [f"{name}s"] if len(name) > 3 and not name.endswith("s") else []
            for form in (name, *plural):
                found[form] = (*found.get(form, ()), unit)
    found["degrees"] = found["°"] = (*found["°"], ("temperature", *_WARM["°f fahrenheit degrees-fahrenheit degrees-f"]))
    return found


_UNITS = _units()
_CASED = {
    "m": "m",
    "M": "",
    "g": "g",
    "G": "",
    "L": "l",
    "C": "",
    "F": "",
    "W": "w",
    "P": "",
}  # short signs whose case matters
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_SHORT_SCALES = {"k": 1e3, "m": 1e6, "mn": 1e6, "mln": 1e6, "bn": 1e9, "b": 1e9, "tn": 1e12}
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {w: n for n, w in enumerate(_ONES.split())} | {
    w: 10 * n for n, w in enumerate(_TENS.split(), 2)
}  # fmt: skip
_SPELT = re.compile(
    rf"\b(?:{'|'.join(sorted(_SMALL, key=len, reverse=True))})"
    rf"(?:(?:[\s-]+and)?[\s-]+(?:{'|'.join(sorted([*_SMALL, *_SCALES], key=len, reverse=True))}))*\b",
    re.IGNORECASE,
)
_MONEY = re.compile(r"(US\$|[$£€¥₹])\s?$")
_AFTER_SCALE = re.compile(
    r"[\s-]?(hundred|thousand|million|billion|trillion|mln|mn|bn|tn|k|m|b)\b(?![/²³'’])", re.IGNORECASE
)
_PARTED = re.compile(r"(?<![\d.,])(\d{1,3}) ?, (\d{3})(?![\d])")
_PRICED = re.compile(r"\s(?:dollar|euro|pound|usd|eur|yen)", re.IGNORECASE)
_AFTER = re.compile(
    r"[\s-]?(?P<unit>square[\s-][a-z]+|cubic[\s-][a-z]+|metric[\s-]tons?|miles[\s-]per[\s-]hour|per\s?cent\b|percentage[\s-]points?|basis[\s-]points?|light-years?"
    r"|degrees[\s-](?:celsius|fahrenheit|[cf]\b)|km/h|m/s|°\s?[cf]?\b|k?m[²³]|ft²|us\$|[%€$£¥₹¢]|[a-z]+)",
    re.IGNORECASE,
)  # fmt: skip
LEAST_SPELT = 3  # "one" and "two" in words count nothing in particular


@dataclass(frozen=True)
class Quantity:
    """A number of a text: where it stands, its words, its value, the units that it may have and their size, how exact it is written."""

    start: int
    end: int
    text: str
    value: float
    units: tuple[Unit, ...]
    step: float  # the value of one in its last digit
    spelt: bool = False

    def equals(self, other: Quantity) -> bool:
        """Whether they say the same, in whatever unit; False where one has a unit and the other none."""
        return any(
            kind == other_kind and self._equal(other, size, offset, other_size, other_offset)
            for kind, size, offset in self.units
            for other_kind, other_size, other_offset in other.units
        )

    def _equal(self, other: Quantity, size: float, offset: float, other_size: float, other_offset: float) -> bool:
        if (size, offset) == (other_size, other_offset):
            return self.near(other.value)
        a, b = self.value * size + offset, other.value * other_size + other_offset
        return abs(a - b) <= CONVERTED * max(abs(a), abs(b))

    def near(self, value: float) -> bool:
        """Whether the number is this one, or this one rounded to the digits that it is written with (two or more)."""
        if abs(self.value - value) <= 1e-9 * max(1.0, abs(value)):
            return True
        return (
            not self.spelt
            and self.value >= 10 * self.step
            and self.step > 1
            and abs(self.value - value) <= self.step / 2
        )


def quantities_in(text: str) -> list[Quantity]:
    """The numbers of a text in digits and in words, in order, with their units."""
    found = [*_in_digits(text), *_in_words(text)]
    return sorted(found, key=lambda quantity: quantity.start)


def _in_digits(text: str) -> Iterator[Quantity]:
    for start, end, digits in numbers_at(text):
        money = _MONEY.search(text[max(0, start - 4) : start])
        step = 10.0 ** -len(digits.partition(".")[2])
        scale, end = _scaled(text, end, bool(money))
        if money:
            units, stop = _UNITS[money[1].lower()], end
            start -= len(money[0])
        else:
            units, stop = _unit_after(text, end)
        yield Quantity(start, stop, text[start:stop], float(digits) * scale, units, step * scale)


def _in_words(text: str) -> Iterator[Quantity]:
    for match in _SPELT.finditer(text):
        value = _value_of(re.split(r"[\s-]+", match[0].lower()))
        units, stop = _unit_after(text, match.end())
        yield Quantity(match.start(), stop, text[match.start() : stop], value, units, 1.0, spelt=True)


def _value_of(words: list[str]) -> float:
    """ "two hundred and five thousand" as a number."""
    whole, part = 0.0, 0.0
    for word in words:
        if word in _SMALL:
            part += _SMALL[word]
        elif word == "hundred":
            part = (part or 1) * 100
        elif word in _SCALES:
            whole, part = whole + (part or 1) * _SCALES[word], 0.0
    return whole + part


def _scaled(text: str, end: int, money: bool) -> tuple[float, int]:
    match = _AFTER_SCALE.match(text, end)
    if match is None:
        return 1.0, end
    word = match[1].lower()
    if word in _SCALES:
        return _SCALES[word], match.end()
    named = money or len(word) > 1 or _PRICED.match(text, match.end()) is not None
    return (_SHORT_SCALES[word], match.end()) if named else (1.0, end)


def _unit_after(text: str, end: int) -> tuple[tuple[Unit, ...], int]:
    match = _AFTER.match(text, end)
    if match is None:
        return (), end
    said = match["unit"]
    if said in _CASED:
        said = _CASED[said]
    name = re.sub(r"\s+|-+", "-", said.lower()).replace("per-cent", "percent").replace("°-", "°")
    known = _UNITS.get(name)
    return (known, match.end()) if known else ((), end)


@dataclass(frozen=True)
class Amounts:
    """The quantities of a source."""

    all: tuple[Quantity, ...]

    @staticmethod
    def of(text: str) -> Amounts:
        """Also of the text with its thousands joined ("235, 000"), as tokenizers leave them."""
        joined = _PARTED.sub(r"\1,\2", text)
        return Amounts((*quantities_in(text), *(quantities_in(joined) if joined != text else ())))

    def wrong_unit(self, said: Quantity) -> bool:
        """Whether the source has this number with units only, and never with this one."""
        same = [other for other in self.all if said.near(other.value)]
        if not said.units or not same or any(said.equals(other) for other in self.all):
            return False
        return all(other.units for other in same)

    def has(self, said: Quantity) -> bool:
        """Whether the source has the number, or the same quantity in another unit."""
        return any(said.near(other.value) for other in self.all) or any(said.equals(other) for other in self.all)
