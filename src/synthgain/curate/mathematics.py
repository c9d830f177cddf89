"""Whether two written expressions are the same mathematics: LaTeX or plain, read here and never executed.

Both are evaluated, exactly where they are rational, else in floating point at a few fixed values of their letters (two different
polynomials agree there with probability nil). Understood are numbers, + - * / ^ !, parentheses, |x|, fractions, roots, the usual
functions, π, e, i, ∞, letters with subscripts, and implied products. What is not understood is nobody's equal.
"""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b

LONGEST = 200  # characters of an expression
DEEPEST = 40  # brackets inside each other
BITS = 4_096  # of an exact number; beyond, it is computed in floating point
POINTS = 3  # values of the letters at which expressions are compared
CLOSE = 1e-9  # by which floating-point values may differ, relative
Number = Fraction | complex

_WRITTEN = (
    (re.compile(r"\\(?:left|right|displaystyle|limits|big|Big|bigg|Bigg)(?![a-zA-Z])|\\[,;!: ]|[$~]|\\(?=[{}])"), ""),
    (re.compile(r"\\(?:cdot|times|ast)(?![a-zA-Z])|[×·∗]"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])|÷"), "/"),
    (re.compile(r"\\(?:dfrac|tfrac|cfrac)(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"√"), r"\\sqrt "),
    (re.compile(r"\\(?:operatorname|mathrm|mathbf|mathit|text|textbf)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[lr]vert|\\mid(?![a-zA-Z])"), "|"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"(?<=\d)(?:\{,\}|,)(?=\d{3}(?!\d))"), ""),
)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?|\.\d+)|\\?(?P<name>sqrt|frac|binom|arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|log|ln|exp|pi"
    r"|infty|inf|theta|alpha|beta|gamma|lambda|mu|phi|omega)(?![a-zA-Z])|(?P<letter>[a-zA-Zπ∞θαβγλμφω])(?![a-zA-Z]{2})|(?P<sign>[-+*/^!()\[\]{}|_]))"
)
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh, "ln": cmath.log,
    "exp": cmath.exp, "arcsin": cmath.asin, "arccos": cmath.acos, "arctan": cmath.atan, "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x), "csc": lambda x: 1 / cmath.sin(x), "log": cmath.log10,
}  # fmt: skip
_CONSTANTS: dict[str, Number] = {"pi": complex(math.pi), "π": complex(math.pi), "e": complex(math.e), "i": 1j}
_INFINITE = ("infty", "inf", "∞")


class _NotUnderstood(ValueError):
    """This is no expression that is read here."""


def equal(left: str, right: str) -> bool:
    """True where both are understood and are the same: as values, as equations, or as inequalities."""
    try:
        one, other = _sides(left), _sides(right)
        if one[0] != other[0]:
            return False
        if not one[0]:
            return all(_close(a, b) for a, b in zip(_values(one[1]), _values(other[1])))
        return _proportional(_values(one[1]), _values(other[1]), positive=one[0] != "=")
    except (_NotUnderstood, ArithmeticError, ValueError, RecursionError):
        return False


def value(text: str) -> Number | None:
    """What an expression without letters comes to; None where it has letters or is not understood."""
    try:
        relation, expression = _sides(text)
        reader = _Reader(_tokens(expression), 0)
        found = reader.all()
        return None if relation or reader.letters else found
    except (_NotUnderstood, ArithmeticError, ValueError, RecursionError):
        return None


def _sides(text: str) -> tuple[str, str]:
    """(relation, "" for a value; the expression, or left minus right). "x = 7" is the value 7."""
    if len(text) > LONGEST:
        raise _NotUnderstood(text)
    for pattern, written in _WRITTEN:
        text = pattern.sub(written, text)
    text = re.sub(r"\\leq?(?![a-zA-Z])|≤", "<=", text)
    text = re.sub(r"\\geq?(?![a-zA-Z])|≥", ">=", text)
    text = re.sub(r"\\lt(?![a-zA-Z])", "<", re.sub(r"\\gt(?![a-zA-Z])", ">", text))
    parts = re.split(r"(<=|>=|<|>|=)", text)
    if len(parts) == 1:
        return "", text
    if len(parts) != 3:
        raise _NotUnderstood(text)
    left, relation, right = parts
    if relation == "=" and re.fullmatch(r"\s*[a-zA-Z](?:\([a-z]\))?(?:_\{?\w{1,4}\}?)?\s*", left):
        return "", right
    if relation[0] == ">":
        left, right, relation = right, left, "<" + relation[1:]
    return relation, f"({left})-({right})"


def _values(expression: str) -> list[Number]:
    return list(_evaluated(expression))


@lru_cache(maxsize=256)  # a gold answer is compared with many
def _evaluated(expression: str) -> tuple[Number, ...]:
    tokens = _tokens(expression)
    return tuple(_Reader(tokens, point).all() for point in range(POINTS))


def _proportional(left: Sequence[Number], right: Sequence[Number], positive: bool) -> bool:
    if any(a == 0 or b == 0 for a, b in zip(left, right)):
        return all(_close(a, b) for a, b in zip(left, right))
    ratios = [complex(a) / complex(b) for a, b in zip(left, right)]
    same = all(_close(ratio, ratios[0]) for ratio in ratios)
    return same and (not positive or (ratios[0].real > 0 and abs(ratios[0].imag) < CLOSE))


def _close(a: Number, b: Number) -> bool:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    x, y = complex(a), complex(b)
    if cmath.isinf(x) or cmath.isinf(y):
        return x == y
    return abs(x - y) <= CLOSE * max(1.0, abs(y))


def _tokens(expression: str) -> tuple[str, ...]:
    found: list[str] = []
    at, end = 0, len(expression.rstrip())
    while at < end:
        match = _TOKEN.match(expression, at)
        if match is None or match.end() == at:
            raise _NotUnderstood(expression)
        found.append(match["number"] or match["name"] or match["letter"] or match["sign"])
        at = match.end()
    if not found:
        raise _NotUnderstood(expression)
    return tuple(found)


@dataclass
class _Reader:
    """Recursive descent over the tokens, with the letters' values of one point."""

    tokens: tuple[str, ...]
    point: int
    at: int = 0
    depth: int = 0
    letters: set[str] = field(default_factory=set)

    def all(self) -> Number:
        result = self._sum()
        if self.at != len(self.tokens):
            raise _NotUnderstood(self.tokens[self.at])
        return result

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _next(self, *signs: str) -> str:
        if self._peek() in signs and self._peek():
            self.at += 1
            return self.tokens[self.at - 1]
        return ""

    def _expect(self, sign: str) -> None:
        if not self._next(sign):
            raise _NotUnderstood(f"{sign} is missing")

    def _sum(self) -> Number:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _NotUnderstood("too deep")
        left = self._product()
        while sign := self._next("+", "-"):
            right = self._product()
            left = _exact(left + right if sign == "+" else left - right)
        self.depth -= 1
        return left

    def _product(self) -> Number:
        left = self._signed()
        while True:
            if sign := self._next("*", "/"):
                right = self._signed()
                left = _exact(left * right if sign == "*" else left / right)
            elif self._begins():
                mixed = self._mixed(left)
                left = _exact(left + mixed) if mixed is not None else _exact(left * self._power())
            else:
                return left

    def _begins(self) -> bool:
        """Whether an implied factor comes next. A closing bar cannot be told from an opening one: a bar begins none."""
        token = self._peek()
        return bool(token) and (token[0].isalnum() or token in ("(", "{", "[") or token in _CONSTANTS)

    def _mixed(self, whole: Number) -> Fraction | None:
        """The fraction of a mixed number such as 1\\frac{1}{2}; None where what comes is a factor."""
        before = self.tokens[self.at - 1]
        if self._peek() != "frac" or not before.isdigit() or not isinstance(whole, Fraction) or whole <= 0:
            return None
        part = self._power()
        if isinstance(part, Fraction) and 0 < part < 1:
            return part
        raise _NotUnderstood("a number beside a fraction")

    def _signed(self) -> Number:
        if sign := self._next("-", "+"):
            inner = self._signed()
            return -inner if sign == "-" else inner
        return self._power()

    def _power(self) -> Number:
        base = self._atom()
        while self._next("!"):
            base = _factorial(base)
        if self._next("^"):
            return _power(base, self._argument(signed=True))
        return base

    def _argument(self, signed: bool = False) -> Number:
        """A group in braces, or one atom: LaTeX takes \\frac12 as 1/2 and 2^10 (as people write it) as the tenth power."""
        if signed and self._next("-"):
            return -self._argument(signed)
        return self._group("{", "}") if self._peek() == "{" else self._power() if signed else self._atom()

    def _group(self, opening: str, closing: str) -> Number:
        self._expect(opening)
        inside = self._sum()
        self._expect(closing)
        return inside

    def _atom(self) -> Number:
        token = self._peek()
        if token in ("(", "{", "["):
            return self._group(token, {"(": ")", "{": "}", "[": "]"}[token])
        if token == "|":
            return complex(abs(complex(self._group("|", "|"))))
        self.at += 1
        if token and (token[0].isdigit() or token[0] == "."):
            return Fraction(token)
        if token in _INFINITE:
            return complex(math.inf)
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token in ("sqrt", "frac", "binom") or token in _FUNCTIONS:
            return self._applied(token)
        if token and token[0].isalpha():
            return self._letter(token)
        raise _NotUnderstood(token or "an operand is missing")

    def _applied(self, name: str) -> Number:
        if name == "frac":
            return self._fraction()
        if name == "binom":
            over, under = self._argument(), self._argument()
            return Fraction(math.comb(_whole(over), _whole(under)))
        if name == "sqrt":
            degree = self._group("[", "]") if self._peek() == "[" else Fraction(2)
            return _power(self._argument(), 1 / degree)
        base = self._argument() if self._next("_") else None
        power = self._argument(signed=True) if self._next("^") else Fraction(1)
        of = complex(self._power())
        found = cmath.log(of) / cmath.log(complex(base)) if base is not None else _FUNCTIONS[name](of)
        return _power(found, power)

    def _fraction(self) -> Number:
        """\\frac{a}{b}, \\frac12, \\frac1{72}: an argument without braces is one digit."""
        if self._peek().isdigit() and len(self._peek()) > 1:
            first, rest = self.tokens[self.at][0], self.tokens[self.at][1:]
            self.tokens = (*self.tokens[: self.at], first, rest, *self.tokens[self.at + 1 :])
        over = self._argument()
        under = self._argument()
        return _exact(over / under)

    def _letter(self, name: str) -> Number:
        if self._next("_"):
            braced = bool(self._next("{"))
            while self._peek() and self._peek().isalnum():
                name += self._peek()
                self.at += 1
                if not braced:
                    break
            if braced:
                self._expect("}")
        self.letters.add(name)
        spread = int.from_bytes(blake2b(f"{name} {self.point}".encode(), digest_size=4).digest(), "big") / 2**32
        return complex(0.5 + 1.5 * spread)


def _exact(number: Number) -> Number:
    """The number; in floating point where its exact form has grown too long."""
    if isinstance(number, Fraction) and max(number.numerator.bit_length(), number.denominator.bit_length()) > BITS:
        return complex(number)
    return number


def _whole(number: Number) -> int:
    if isinstance(number, Fraction) and number.denominator == 1 and 0 <= number <= 200:
        return int(number)
    raise _NotUnderstood("no small whole number")


def _factorial(number: Number) -> Number:
    return Fraction(math.factorial(_whole(number)))


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            size = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent.numerator)
            if size <= BITS:
                return base ** int(exponent)
        elif base < 0 and exponent.denominator % 2 == 1 and exponent.numerator == 1:
            return complex(-float((-base) ** exponent))  # the real root
        if base >= 0:
            return complex(float(base) ** float(exponent))
    return complex(base) ** complex(exponent)
