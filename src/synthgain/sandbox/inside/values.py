"""Messages between a program and the tests that judge it: plain values as JSON, and handles for everything else.

Neither side can make the other run anything by what it sends: what arrives is a value of a known kind, or a `Handle`, or a ValueError.
"""

from __future__ import annotations

import builtins
import datetime
import json
import socket
import struct
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

LARGEST = 16 << 20  # bytes of one message
_SMALL = 1 << 53  # integers beyond it travel in hexadecimal: JSON's reader limits decimal ones


@dataclass(frozen=True)
class Handle:
    """Something that stays with the program: its number there, and the name of its type."""

    number: int
    kind: str


class Channel:
    """Messages over a socket, each with its length before it. EOFError when the other side is gone."""

    def __init__(self, number: int) -> None:
        self.socket = socket.socket(fileno=number)

    def send(self, message: list[Any]) -> None:
        data = json.dumps(message).encode()
        if len(data) > LARGEST:
            raise ValueError("a value is too large to be compared")
        self.socket.sendall(struct.pack("=I", len(data)) + data)

    def receive(self) -> list[Any]:
        (length,) = struct.unpack("=I", self._exactly(4))
        if length > LARGEST:
            raise ValueError("a message is too large")
        message = json.loads(self._exactly(length))
        if not isinstance(message, list) or not message:
            raise ValueError("this is no message")
        return message

    def _exactly(self, length: int) -> bytes:
        parts: list[bytes] = []
        while length:
            part = self.socket.recv(min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def packed(value: Any, handle: Callable[[Any], Handle]) -> Any:
    """The value as JSON holds it; `handle` gives what stands for a thing that is not plain."""
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value) if -_SMALL < value < _SMALL else ["int", hex(value)]
    if isinstance(value, float):
        return float(value)
    known: Any = value
    for kind, name in _LISTED:
        if isinstance(known, kind):
            return [name, *(packed(item, handle) for item in known)]
    for kind, name in _MAPPED:
        if isinstance(known, kind):
            return [name, *([packed(k, handle), packed(v, handle)] for k, v in known.items())]
    for kind, (name, write, _) in _WRITTEN.items():
        if isinstance(known, kind):
            return [name, *write(known)]
    if isinstance(known, type) and known in _TYPES:
        return ["type", known.__name__]
    stands = handle(value)
    return ["handle", stands.number, stands.kind]


def unpacked(data: Any, found: Callable[[Handle], Any]) -> Any:
    """The value; `found` gives what a handle stands for here. ValueError where it is none."""
    if data is None or isinstance(data, bool | str | int | float):
        return data
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise ValueError("this is no value")
    name, rest = data[0], data[1:]
    if name == "handle":
        number, kind = rest
        return found(Handle(int(number), str(kind)))
    if name in _LISTS:
        return _LISTS[name](unpacked(item, found) for item in rest)
    if name in _MAPS:
        return _MAPS[name]((unpacked(k, found), unpacked(v, found)) for k, v in rest)
    if name == "type":
        return _type_named(*rest)
    if name in _READ:
        return _READ[name](*rest)
    raise ValueError("this is no value")


_TYPES = frozenset(thing for thing in vars(builtins).values() if isinstance(thing, type))


def _type_named(name: object) -> type[Any]:
    found = getattr(builtins, str(name), None)
    if not isinstance(found, type):
        raise ValueError("this is no type of Python's own")
    return found


_LISTED: tuple[tuple[type[Any], str], ...] = (
    (list, "list"),
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "frozenset"),
    (deque, "deque"),
)
_LISTS: dict[str, Callable[[Any], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
}
_MAPPED: tuple[tuple[type[Any], str], ...] = ((Counter, "counter"), (OrderedDict, "ordered"), (dict, "dict"))
_MAPS: dict[str, Callable[[Any], Any]] = {
    "counter": lambda pairs: Counter(dict(pairs)),
    "ordered": OrderedDict,
    "dict": dict,
}
_WRITTEN: dict[type[Any], tuple[str, Callable[[Any], list[Any]], Callable[..., Any]]] = {
    complex: ("complex", lambda v: [v.real, v.imag], complex),
    bytes: ("bytes", lambda v: [v.hex()], bytes.fromhex),
    bytearray: ("bytearray", lambda v: [v.hex()], bytearray.fromhex),
    range: ("range", lambda v: [v.start, v.stop, v.step], range),
    Fraction: ("fraction", lambda v: [str(v)], Fraction),
    Decimal: ("decimal", lambda v: [str(v)], Decimal),
    datetime.datetime: ("datetime", lambda v: [v.isoformat()], datetime.datetime.fromisoformat),
    datetime.date: ("date", lambda v: [v.isoformat()], datetime.date.fromisoformat),
    datetime.time: ("time", lambda v: [v.isoformat()], datetime.time.fromisoformat),
    datetime.timedelta: (
        "timedelta",
        lambda v: [v.days, v.seconds, v.microseconds],
        lambda days, seconds, micro: datetime.timedelta(days, seconds, micro),
    ),
}
_READ: dict[str, Callable[..., Any]] = {name: read for name, _, read in _WRITTEN.values()} | {
    "int": lambda text: int(text, 16)
}
