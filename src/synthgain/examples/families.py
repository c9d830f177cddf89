"""The kinds of arithmetic word problems, and the names and things in their stories."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

Range = tuple[int, int]

NAMES = (
    ("Mia", "she"),
    ("Tom", "he"),
    ("Anna", "she"),
    ("Ben", "he"),
    ("Lily", "she"),
    ("Sam", "he"),
    ("Rosa", "she"),
    ("Max", "he"),
    ("Nora", "she"),
    ("Leo", "he"),
    ("Ella", "she"),
    ("Jack", "he"),
    ("Amy", "she"),
    ("Paul", "he"),
    ("Ruth", "she"),
    ("Omar", "he"),
    ("Ivy", "she"),
    ("Carl", "he"),
    ("Zara", "she"),
    ("Hugo", "he"),
    ("Mei", "she"),
    ("Ravi", "he"),
    ("Lena", "she"),
    ("Finn", "he"),
    ("Aisha", "she"),
    ("Luis", "he"),
    ("Tara", "she"),
    ("Emil", "he"),
    ("Yuki", "she"),
    ("Noah", "he"),
    ("Dina", "she"),
    ("Ivan", "he"),
)
THINGS = (
    ("apple", "apples"),
    ("pen", "pens"),
    ("marble", "marbles"),
    ("sticker", "stickers"),
    ("button", "buttons"),
    ("shell", "shells"),
    ("bead", "beads"),
    ("card", "cards"),
    ("coin", "coins"),
    ("cookie", "cookies"),
    ("stamp", "stamps"),
    ("pencil", "pencils"),
    ("ball", "balls"),
    ("book", "books"),
    ("toy", "toys"),
    ("orange", "oranges"),
    ("candle", "candles"),
    ("badge", "badges"),
    ("ribbon", "ribbons"),
    ("cake", "cakes"),
    ("peach", "peaches"),
    ("brush", "brushes"),
    ("cherry", "cherries"),
    ("lemon", "lemons"),
    ("key", "keys"),
)
HOLDERS = (("box", "boxes"), ("bag", "bags"), ("basket", "baskets"), ("tin", "tins"), ("crate", "crates"))


@dataclass(frozen=True)
class Family:
    """One kind of problem.

    `steps` are the operations in order: letters are the numbers of the story, digits the results of
    earlier steps ("a*b", "1-c"). `numbers` gives the range of each letter; where a step would leave a
    remainder or fall below 2 the numbers are drawn again, so every noun is a plural. `worked` has one sentence a step,
    with the step's equation at {1}, {2}, … .
    """

    name: str
    level: int
    numbers: tuple[Range, ...]
    steps: tuple[str, ...]
    stories: tuple[str, ...]
    worked: tuple[str, ...]

    def solve(self, numbers: Sequence[int]) -> list[tuple[int, str, int, int]] | None:
        """The steps as (left, operator, right, result); None where one is no whole number above 1."""
        known = dict(zip("abcdef", numbers))
        solved: list[tuple[int, str, int, int]] = []
        for place, step in enumerate(self.steps, start=1):
            left, right = known[step[0]], known[step[2]]
            result = {"+": left + right, "-": left - right, "*": left * right}.get(step[1])
            if result is None:
                result = left // right if left % right == 0 else 0
            if result < 2:
                return None
            solved.append((left, step[1], right, result))
            known[str(place)] = result
        return solved

    def draw(self, rng: random.Random) -> tuple[int, ...]:
        """Numbers that this family's steps can be done with."""
        while True:
            numbers = tuple(rng.randint(low, high) for low, high in self.numbers)
            if self.solve(numbers):
                return numbers


_SMALL = ((2, 12), (2, 12))

FAMILIES = (
    Family(
        "gaining",
        1,
        _SMALL,
        ("a+b",),
        (
            "{N} has {a} {things}. {M} gives {him} {b} more. How many {things} does {N} have now?",
            "{N} has {a} {things} and finds {b} more. How many {things} does {he} have now?",
            "{N} has {a} {things}. {He} buys {b} more {things}. How many {things} does {he} have in all?",
            "{N} puts {a} {things} on a table. {M} adds {b} more. How many {things} are on the table?",
        ),
        ("There are {1} {things}.",),
    ),
    Family(
        "giving",
        1,
        ((3, 12), (2, 11)),
        ("a-b",),
        (
            "{N} has {a} {things}. {He} gives {b} {things} to {M}. How many {things} does {he} have left?",
            "{N} has {a} {things} and loses {b} of them. How many {things} are left?",
            "{N} has {a} {things}. {He} sells {b} of them. How many {things} does {N} have left?",
            "There are {a} {things} on a table. {N} takes {b} of them away. How many {things} are left on the table?",
        ),
        ("There are {1} {things} left.",),
    ),
    Family(
        "boxes",
        1,
        _SMALL,
        ("a*b",),
        (
            "{N} has {a} {holders} of {things}. There are {b} {things} in each {holder}. "
            "How many {things} does {he} have?",
            "{N} buys {a} {holders} with {b} {things} in each. How many {things} does {he} buy?",
            "{N} fills {a} {holders}. {He} puts {b} {things} in each {holder}. How many {things} is that?",
            "There are {a} {holders} in a shop. Each {holder} holds {b} {things}. How many {things} are there?",
        ),
        ("There are {1} {things}.",),
    ),
    Family(
        "sharing",
        1,
        ((4, 48), (2, 12)),
        ("a/b",),
        (
            "{N} shares {a} {things} equally among {b} friends. How many {things} does each friend get?",
            "{N} puts {a} {things} into {b} {holders}, the same number in each. "
            "How many {things} are in each {holder}?",
            "{N} has {a} {things} for {b} children. Each child gets the same number. "
            "How many {things} does each child get?",
        ),
        ("Each one gets {1} {things}.",),
    ),
    Family(
        "comparing",
        1,
        ((3, 12), (2, 11)),
        ("a-b",),
        (
            "{N} has {a} {things}. {M} has {b} {things}. How many more {things} does {N} have than {M}?",
            "{N} finds {a} {things} and {M} finds {b}. How many more {things} does {N} find?",
            "{N} needs {a} {things} but has only {b}. How many more {things} does {he} need?",
        ),
        ("The difference is {1} {things}.",),
    ),
    Family(
        "joining",
        1,
        _SMALL,
        ("a+b",),
        (
            "{N} has {a} {things} and {M} has {b} {things}. How many {things} do they have together?",
            "{N} makes {a} {things}. {M} makes {b} {things}. How many {things} do they make in all?",
            "There are {a} {things} in one {holder} and {b} {things} in another. How many {things} are there in all?",
        ),
        ("Together there are {1} {things}.",),
    ),
    Family(
        "paying",
        1,
        _SMALL,
        ("a*b",),
        (
            "{N} buys {a} {things}. Each {thing} costs {b} dollars. How many dollars does {he} pay?",
            "One {thing} costs {b} dollars. How many dollars do {a} {things} cost?",
            "{N} sells {a} {things} for {b} dollars each. How many dollars does {he} get?",
        ),
        ("That makes {1} dollars.",),
    ),
    Family(
        "gaining then giving",
        2,
        ((5, 20), (3, 20), (2, 15)),
        ("a+b", "1-c"),
        (
            "{N} has {a} {things}. {M} gives {him} {b} more. Then {N} loses {c} of them. "
            "How many {things} does {N} have now?",
            "{N} finds {a} {things} on Monday and {b} on Tuesday. {He} gives {c} of them to {M}. "
            "How many {things} does {N} keep?",
            "A shop has {a} {things} and orders {b} more. It sells {c} of them. How many {things} are left in the shop?",
        ),
        ("At first there are {1} {things}.", "After that there are {2} {things}."),
    ),
    Family(
        "boxes then giving",
        2,
        ((2, 9), (3, 12), (2, 20)),
        ("a*b", "1-c"),
        (
            "{N} has {a} {holders} with {b} {things} in each. {He} gives {c} {things} to {M}. "
            "How many {things} does {he} have left?",
            "A baker fills {a} {holders} with {b} rolls in each {holder}. By noon {c} rolls are sold. "
            "How many rolls are left?",
            "{N} plants {a} rows of {b} beans. Birds eat {c} of the beans. How many beans can still grow?",
        ),
        ("In all there are {1}.", "After that there are {2}."),
    ),
    Family(
        "boxes and more",
        2,
        ((2, 9), (3, 12), (2, 20)),
        ("a*b", "1+c"),
        (
            "{N} buys {a} {holders} with {b} {things} in each and gets {c} more {things} from {M}. "
            "How many {things} does {N} have?",
            "There are {a} tables with {b} chairs each, and {c} more chairs stand by the wall. "
            "How many chairs are there in all?",
            "{N} reads {b} pages a day for {a} days and {c} more pages on the last evening. "
            "How many pages does {he} read?",
        ),
        ("The equal parts make {1}.", "With the rest there are {2}."),
    ),
    Family(
        "change",
        2,
        ((2, 8), (2, 9), (20, 100)),
        ("a*b", "c-1"),
        (
            "{N} buys {a} {things} for {b} dollars each and pays with {c} dollars. "
            "How many dollars does {he} get back?",
            "{N} has {c} dollars and buys {a} {things} at {b} dollars each. How many dollars does {he} have left?",
            "{N} has saved {c} dollars. A ticket costs {b} dollars, and {he} pays for {a} tickets. "
            "How many dollars remain?",
        ),
        ("The price is {1} dollars.", "What remains is {2} dollars."),
    ),
    Family(
        "gaining then sharing",
        2,
        ((4, 30), (4, 30), (2, 9)),
        ("a+b", "1/c"),
        (
            "{N} has {a} {things} and {M} has {b}. They put them together and share them equally among {c} friends. "
            "How many {things} does each friend get?",
            "{N} picks {a} {things} in the morning and {b} in the afternoon and packs them into {c} {holders} "
            "with the same number in each. How many {things} are in each {holder}?",
        ),
        ("In all there are {1} {things}.", "Each part has {2} {things}."),
    ),
    Family(
        "wages",
        3,
        ((11, 40), (4, 12), (15, 99), (10, 90)),
        ("a*b", "1+c", "2-d"),
        (
            "{N} earns {a} dollars an hour and works {b} hours. {He} is also given {c} dollars in tips and then "
            "spends {d} dollars. How many dollars does {he} have left?",
            "{N} puts {a} dollars aside every week for {b} weeks. {He} had {c} dollars before and now buys a lamp for "
            "{d} dollars. How many dollars remain?",
        ),
        ("The regular part is {1} dollars.", "With the rest it is {2} dollars.", "What remains is {3} dollars."),
    ),
    Family(
        "harvest",
        3,
        ((12, 48), (3, 15), (10, 90), (3, 12)),
        ("a*b", "1-c", "2/d"),
        (
            "{N} has {a} trees, and each bears {b} pears. Wasps spoil {c} of the pears. The rest is packed into {d} "
            "{holders} with the same number in each. How many pears are in each {holder}?",
            "A press prints {a} sheets with {b} labels on each. Of all the labels, {c} are torn. The others go to "
            "{d} shops in equal parts. How many labels does each shop get?",
        ),
        ("In all there are {1}.", "What is left is {2}.", "Each part has {3}."),
    ),
    Family(
        "two loads",
        3,
        ((12, 45), (3, 12), (11, 45), (3, 12)),
        ("a*b", "c*d", "1+2"),
        (
            "A lorry carries {a} {holders} with {b} {things} in each and {c} sacks with {d} {things} in each. "
            "How many {things} does it carry?",
            "{N} walks {b} kilometres a day for {a} days and then {d} kilometres a day for {c} days. "
            "How many kilometres does {he} walk?",
        ),
        ("The first part is {1}.", "The second part is {2}.", "In all it is {3}."),
    ),
    Family(
        "times as many",
        3,
        ((13, 96), (3, 9)),
        ("a*b", "1+a"),
        (
            "{N} has {a} {things}. {M} has {b} times as many. How many {things} do they have together?",
            "A small ship carries {a} people, and a large ship carries {b} times as many. "
            "How many people do the two ships carry in all?",
        ),
        ("The larger number is {1}.", "Together there are {2}."),
    ),
    Family(
        "rest by price",
        3,
        ((40, 99), (11, 39), (3, 15)),
        ("a-b", "1*c"),
        (
            "A shop has {a} {things} and gives {b} of them away. It sells all the others for {c} dollars each. "
            "How many dollars does the shop take in?",
            "A hall has {a} seats, and {b} of them are broken. Each of the others is sold for {c} dollars. "
            "How many dollars does that make?",
        ),
        ("What is left is {1}.", "It brings in {2} dollars."),
    ),
)

SHOTS = (
    {
        "question": "Kim has 13 plums. She eats 5 of them. How many plums are left?",
        "worked": "There are 13 - 5 = 8 plums left.\nAnswer: 8",
    },
    {
        "question": "Bob has 3 jars with 14 nuts in each jar. How many nuts does he have?",
        "worked": "There are 3 * 14 = 42 nuts.\nAnswer: 42",
    },
)
