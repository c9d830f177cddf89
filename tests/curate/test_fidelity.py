"""What a row says of the world against its source: the same said otherwise stays, another thing falls by its own reason."""

from __future__ import annotations

import time

import pytest

from synthgain.curate import load
from synthgain.curate.dates import Date, dates_in
from synthgain.curate.fidelity import REASONS, Fidelity, compare
from synthgain.curate.grounded import Grounded
from synthgain.curate.measured import quantities_in
from synthgain.types import Anchor, Row, SynthgainError

SOURCE = (
    "Maren Tolvik opened the mill on 5 January 1874. It stands 5 km from Osk, cost $2.5 million and grinds 1,200 sacks in twelve days.\n"
    "She did not sell the mill to the Brell brothers in the third quarter of 1902. The water has 20 °C in summer. Forty masons built the wall of CNNs."
)


def reason(text: str, source: str = SOURCE) -> str:
    return Fidelity()(Row(text=text), [Anchor(source)]).reason


@pytest.mark.parametrize(
    "text",
    [
        "The mill was opened on Jan. 5th, 1874 by Maren Tolvik.",
        "The mill was opened on 1874-01-05, a Monday, by Tolvik.",
        "It was opened on 5/1/1874, or in January 1874; in January, to be short.",
        "Osk is five kilometres away, which is 5,000 m or 3.1 miles.",
        "A 5-kilometer walk leads from Osk to the mill.",
        "It cost 2.5 million dollars, that is 2,500,000 dollars or $2.5m.",
        "In 12 days it grinds 1200 sacks.",
        "It was not sold in Q3 1902.",
        "The water is at 20 degrees Celsius, or 68 °F.",
        "40 masons built the wall.",
        "A CNN has a wall.",
        "She never sold the mill to the Brell brothers.",
        "",
    ],
)
def test_the_same_in_other_writing_stays(text: str) -> None:
    assert reason(text) == ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The mill was opened on 6 January 1874.", "dates"),
        ("The mill was opened on 5 January 1875.", "dates"),
        ("The mill was opened on 5/2/1874.", "dates"),
        ("The mill was opened on 5 January 1874, a Tuesday.", "dates"),
        ("It was not sold in Q2 1902.", "dates"),
        ("It stands 5 miles from Osk.", "units"),
        ("It cost €2.5 million.", "units"),
        ("The water has 20 °F in summer.", "units"),
        ("It stands 6 km from Osk.", "numbers"),
        ("It cost $2.5 billion.", "numbers"),
        ("Fifty masons built the wall.", "numbers"),
        ("It was opened by Maren Tolvik of Quell.", "names"),
        ("She did sell the mill to the Brell brothers in 1902.", "negations"),
        ("Maren Tolvik did not open the mill on 5 January 1874.", "negations"),
        ("Forty masons never built the wall.", "negations"),
    ],
)
def test_another_thing_falls_by_its_own_reason(text: str, kind: str) -> None:
    assert reason(text) == REASONS[kind]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("The council failed to repair the old bridge.", "The council did not repair the old bridge."),
        ("The council refused to repair the old bridge.", "The council did not repair the old bridge."),
        ("There is no doubt that the council repaired the old bridge.", "The council repaired the old bridge."),
        (
            "The council did not repair the bridge in May. It repaired the bridge in June.",
            "In June it repaired the bridge.",
        ),
        ("The council repaired the old bridge.", "Did the council not repair the old bridge?"),
    ],
)
def test_a_denial_that_is_said_otherwise_is_left_alone(source: str, text: str) -> None:
    assert Fidelity(kinds=("negations",))(Row(text=text), [Anchor(source)]).keeps


def test_dates_of_other_scripts_and_two_readings() -> None:
    def first(text: str) -> tuple[Date, ...]:
        return dates_in(text)[0].readings

    day = Date(2024, 3, 5)
    said = [
        "5 March 2024",
        "March 5, 2024",
        "2024-03-05",
        "2024年3月5日",
        "le 5 mars 2024",
        "5 de marzo de 2024",
        "5. März 2024",
    ]
    assert [first(text) for text in said] == [(day,)] * len(said)
    assert set(first("05/03/2024")) == {Date(2024, 3, 5), Date(2024, 5, 3)}
    assert first("31/12/2024") == (Date(2024, 12, 31),)
    assert dates_in("They may 3 times march 10 miles; version 1.2.3, 3/4 of a cup, 24/7.") == []


def test_sizes_of_units_in_closed_form() -> None:
    """Pairs that are one quantity by definition; and none of the neighbours is."""
    equal = [
        ("1 mile", "1.609344 km"),
        ("32 °F", "0 °C"),
        ("1 hour", "3600 seconds"),
        ("2 dozen", "2 dozen"),
        ("$1", "100 cents"),
        ("1 decade", "10 years"),
    ]
    equal += [("two hundred and five thousand dollars", "$205k"), ("10 per cent", "10%"), ("1 acre", "4046.8564224 m²")]
    for a, b in equal:
        one, other = quantities_in(a)[0], quantities_in(b)[0]
        assert one.equals(other) or (one.value == other.value and not one.units), (a, b)
    for a, b in [
        ("1 mile", "1 km"),
        ("$1", "€1"),
        ("1 month", "30 days"),
        ("5%", "5 percentage points"),
        ("3 MB", "3 GB"),
    ]:
        assert not quantities_in(a)[0].equals(quantities_in(b)[0]), (a, b)


def test_kinds_and_the_share() -> None:
    row = Row(text="In 1999 Tolvik had 1,200 sacks.")
    verdict = Fidelity()(row, [Anchor(SOURCE)])
    assert (verdict.reason, verdict.score) == (REASONS["numbers"], round(1 / 3, 4))  # 1999 of 1999, 1,200, Tolvik
    assert Fidelity(most=0.4)(row, [Anchor(SOURCE)]).keeps
    assert Fidelity(kinds=("dates", "names"))(row, [Anchor(SOURCE)]).keeps
    assert load("fidelity:kinds=dates").kinds == ("dates",)  # type: ignore[union-attr]
    with pytest.raises(SynthgainError, match="no kind"):
        Fidelity(kinds=("verbs",))


def test_fields_and_other_anchors_are_sources_too() -> None:
    row = Row(text="It was opened in May 1990, they say in Quell.")
    assert Fidelity()(row, [Anchor("In May 1990."), Anchor("x", fields={"title": "Quell"})]).keeps


def test_grounded_is_what_it_was() -> None:
    verdict = Grounded()(Row(text="It was opened on Jan. 5th, 1999."), [Anchor(SOURCE)])
    assert verdict.reason == "not in its source: 1999, Jan" and verdict.score == round(2 / 3, 4)


def test_hundreds_of_kilobytes_of_nonsense() -> None:
    began = time.process_time()
    for text in (
        "not " * 25_000,
        "5 " * 50_000,
        "May 5 " * 10_000,
        "twenty-" * 15_000,
        "1,000, " * 15_000,
        ". " * 50_000,
    ):
        compare(text, SOURCE)
    assert time.process_time() - began < 30
