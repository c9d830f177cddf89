"""What is held in memory once for all who want the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Shared(Generic[K, T]):
    """Things by what they are of: made for the first who takes one, and let go when the last has given it back."""

    def __init__(self) -> None:
        self._held: dict[K, T] = {}
        self._users: dict[K, int] = {}
        self._guard = threading.Lock()

    def take(self, key: K, make: Callable[[], T]) -> T:
        """The thing of that key; `make` makes it where nobody has one, and what it raises leaves nothing behind."""
        with self._guard:
            if key not in self._held:
                self._held[key], self._users[key] = make(), 0
            self._users[key] += 1
            return self._held[key]

    def give_back(self, key: K) -> bool:
        """Whether that was the last user: then the thing is nobody's any more, and the caller ends it."""
        with self._guard:
            self._users[key] -= 1
            if self._users[key]:
                return False
            del self._held[key], self._users[key]
            return True
