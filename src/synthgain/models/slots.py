"""Slots that share what they have read: a document is read once, not once a slot.

The runtime keeps what each slot read last and skips what a slot's next prompt has in common with it, but
slots know nothing of each other, so eight cold slots read the same document eight times. Here a long
unread prompt is first only read, the slot's state is saved, and slots that want the same beginning
restore it (milliseconds instead of seconds); they wait while it is being read.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

STEP = 64  # characters: what restoring must save more than the slot has itself, to be worth it
LONG = 64  # characters: an unread rest this long is read ahead and saved


@dataclass(frozen=True)
class Saved:
    """The state of a slot that had read the prompt `said`, in a file of the runtime's."""

    said: str
    name: str
    size: int


@dataclass
class Lease:
    """A slot for one call. `cached` is how many tokens reading ahead found read; None: nothing was read ahead."""

    slot: int
    cached: int | None = None


@dataclass
class Slots:
    """`count` slots. The functions are the runtime's: they take a slot (and a name) and block.

    `save` gives the bytes written; `restore` gives False where the state is gone. At most `room` bytes
    of states are kept, the least lately used go first.
    """

    count: int
    save: Callable[[int, str], int]
    restore: Callable[[int, str], bool]
    forget: Callable[[str], None]
    room: int = 256 << 20
    _held: list[str] = field(init=False)
    _free: list[int] = field(init=False)
    _saved: list[Saved] = field(init=False, default_factory=list)
    _reading: dict[int, str] = field(init=False, default_factory=dict)
    _changed: threading.Condition = field(init=False, default_factory=threading.Condition)
    _named: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._held = [""] * self.count
        self._free = list(range(self.count))

    @contextlib.contextmanager
    def lease(self, said: str, read: Callable[[int], int]) -> Iterator[Lease]:
        """A slot that has read as much of `said` as any has. `read(slot)` reads the prompt, gives the tokens it found read."""
        slot, saved, ahead = self._take(said)
        lease = Lease(slot)
        held = ""
        try:
            try:
                if saved and not self.restore(slot, saved.name):
                    self._drop(saved)
                if ahead:
                    lease.cached = read(slot)
                    self._keep(said, slot)
                held = said
            finally:
                if ahead:
                    with self._changed:
                        del self._reading[slot]
                        self._changed.notify_all()
            yield lease
        finally:
            with self._changed:
                self._held[slot] = held
                self._free.append(slot)
                self._changed.notify_all()

    def _take(self, said: str) -> tuple[int, Saved | None, bool]:
        """A free slot, the state to restore into it, and whether the rest is to be read ahead."""
        with self._changed:
            while True:
                if self._free:
                    slot = max(self._free, key=lambda free: shared(self._held[free], said))
                    own = shared(self._held[slot], said)
                    best = max(self._saved, key=lambda saved: shared(saved.said, said), default=None)
                    there = shared(best.said, said) if best else 0
                    coming = max((shared(other, said) for other in self._reading.values()), default=0)
                    if coming < max(own, there) + STEP:
                        break
                self._changed.wait()
            self._free.remove(slot)
            if best and there >= own + STEP:
                self._saved.remove(best)
                self._saved.append(best)  # used last, dropped last
            else:
                best = None
            ahead = len(said) - max(own, there) >= LONG
            if ahead:
                self._reading[slot] = said
            return slot, best, ahead

    def _keep(self, said: str, slot: int) -> None:
        with self._changed:
            self._named += 1
            name = f"read-{self._named}"
        size = self.save(slot, name)
        with self._changed:
            self._saved.append(Saved(said, name, size))
            while len(self._saved) > 1 and sum(saved.size for saved in self._saved) > self.room:
                self.forget(self._saved.pop(0).name)

    def _drop(self, saved: Saved) -> None:
        with self._changed, contextlib.suppress(ValueError):
            self._saved.remove(saved)


def shared(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low < high - 1:  # invariant: the first `low` are equal, the first `high` are not
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
