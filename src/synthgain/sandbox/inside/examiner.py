"""Tests of a program, in a box of their own: the program's functions are asked by messages, and only plain values come back.

The interpreter that compares and decides never runs a line of the program, and the program's never holds a line of the tests: expected values
cannot be read, `assert` cannot be patched, and an exit is no pass. A pass is said only here, over a pipe that the program's box does
not have, after the last test has ended.

Names that tests use and neither they nor Python define are the program's. Python's own (`set`, `math`) are never taken from it.
"""

from __future__ import annotations

import ast
import builtins
import errno
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any, NoReturn

from synthgain.sandbox.inside.values import Channel, Handle, packed, unpacked

REFUSALS = (errno.EPERM, errno.EACCES, errno.EROFS)
SAID = 300  # characters of an error's text


class Raised(Exception):
    """The program raised an error; `kind` is why that is: error or refused."""

    kind = "error"


class Unusable(Exception):
    """The tests ask what cannot be asked of a program in another process."""


class NotPlain(Exception):
    """A test compares something that is no plain value: that would be the program's own word for it."""


def main(job: dict[str, Any], channel: int, verdict: int) -> NoReturn:
    """Run the tests and write the verdict: how many of how many held, and what the first that did not came to."""
    said = json.dumps(Examination(Channel(channel), job)())
    os.write(verdict, said.encode())
    os._exit(0)


class Examination:
    """One program's tests: texts that are run in their order with one set of names.

    `prompt` is what a program was asked to go on from (HumanEval's): its helpers count as the tests', but for `entry_point`, which is the program's.
    """

    def __init__(self, channel: Channel, job: dict[str, Any]) -> None:
        self.channel, self.tests, self.prompt = channel, list(job["tests"]), str(job["prompt"])
        self.setup, self.entry_point = str(job["setup"]), str(job["entry_point"])
        self.names: dict[str, Any] = {"__builtins__": builtins, "__name__": "tests"}
        self.calls = self.held = 0
        self.kind = self.why = ""

    def __call__(self) -> dict[str, Any]:
        try:
            self._held(self._begun)
            if not self.kind:
                for test in self.tests:
                    self._held(lambda test=test: self._run(test))  # type: ignore[misc]
        except EOFError:
            self._failed("ended", "the program ended before its tests did")
        if not self.kind and not self.calls:
            self._failed("tests", "they call nothing of the program")
        passed = not self.kind and self.held == 1 + len(self.tests)
        held = max(0, self.held - 1)
        return {"passed": passed, "held": held, "of": len(self.tests), "kind": self.kind, "why": self.why}

    def _held(self, test: Callable[[], None]) -> None:
        try:
            test()
        except EOFError:
            raise
        except Raised as error:
            self._failed(error.kind, str(error))
        except (Unusable, SyntaxError) as error:
            self._failed("tests", f"{type(error).__name__}: {error}")
        except NotPlain as error:
            self._failed("error", str(error))
        except AssertionError as error:
            self._failed("wrong", str(error))
        except MemoryError:
            self._failed("memory", "the tests ran out of memory")
        except BaseException as error:
            self._failed("error", f"{type(error).__name__}: {error}")
        else:
            self.held += 1

    def _failed(self, kind: str, why: str) -> None:
        if not self.kind:
            self.kind, self.why = kind, why[:SAID]

    def _begun(self) -> None:
        """The program has run; the names of its that the tests use are there."""
        self._answer()
        trees = [ast.parse(text) for text in (self.setup, *self.tests)]
        if self.prompt:
            exec(compile(self.prompt, "prompt", "exec", dont_inherit=True), self.names)
            self.names.pop(self.entry_point, None)
        wanted = dict.fromkeys([*([self.entry_point] if self.entry_point else []), *free_names(trees)])
        for name in wanted:
            if name in self.names:
                continue
            if name in sys.stdlib_module_names and name != self.entry_point:
                self.names[name] = importlib.import_module(name)
            else:
                self.names[name] = self._asked("name", name, raw=True)
        exec(compile(self.setup, "setup", "exec", dont_inherit=True), self.names)

    def _run(self, test: str) -> None:
        before = set(self.names)
        code: CodeType = compile(test, "tests", "exec", dont_inherit=True)
        exec(code, self.names)
        new = [(name, thing) for name, thing in self.names.items() if name not in before]
        for name, thing in new:
            if isinstance(thing, FunctionType) and name == "check":
                thing(self.names[self.entry_point])
            elif isinstance(thing, FunctionType) and name.startswith("test") and not thing.__code__.co_argcount:
                thing()
            elif isinstance(thing, type) and issubclass(thing, _test_case()):
                for method in sorted(m for m in vars(thing) if m.startswith("test")):
                    thing(method).debug()

    # ------------------------------------------------------------------------------------------ asking

    def _asked(self, kind: str, *given: Any, raw: bool = False) -> Any:
        self.channel.send([kind, *(given if raw else (packed(value, _number) for value in given))])
        return self._answer(given[1] if kind == "call" else None)

    def called(self, handle: Handle, args: Sequence[Any], names: dict[str, Any]) -> Any:
        self.calls += 1
        return self._asked("call", Remote(self, handle), list(args), names)

    def _answer(self, args: Sequence[Any] | None = None) -> Any:
        answer = self.channel.receive()
        if answer[0] == "raised":
            _, kinds, name, said, number = answer
            raise _error_of(kinds, str(name), str(said), number)
        _, value, after = answer
        if args is not None and after is not None:
            for was, now in zip(args, unpacked(after, self._remote)):
                _changed(was, now)
        return unpacked(value, self._remote)

    def _remote(self, handle: Handle) -> Remote:
        return Remote(self, handle)


def _test_case() -> tuple[type[Any], ...]:
    """unittest.TestCase, where the tests imported it."""
    unittest = sys.modules.get("unittest")
    return (unittest.TestCase,) if unittest else ()


def _changed(was: Any, now: Any) -> None:
    """What the program did to a list, a set or a mapping that it was handed."""
    if type(was) is not type(now) or not isinstance(was, list | set | dict):
        return
    if isinstance(was, list):
        was[:] = now
    else:
        was.clear()
        was.update(now)


def _error_of(kinds: object, name: str, said: str, number: object) -> Raised:
    """An error that tests can catch as what it is, and that is never taken for one of their own."""
    said = f"{name}: {said}"
    for kind in kinds if isinstance(kinds, list) else []:
        base = getattr(builtins, str(kind), None)
        if isinstance(base, type) and issubclass(base, Exception) and base not in (Exception, BaseExceptionGroup):
            error = _with_base(base, name, said)
            break
    else:
        error = Raised(said)
    if isinstance(number, int) and number in REFUSALS:
        error.kind = "refused"
    return error


def _with_base(base: type[Exception], name: str, said: str) -> Raised:
    try:
        made: Raised = type(name, (Raised, base), {})(said)
    except TypeError:  # it is made of more than a text
        return Raised(said)
    return made


def free_names(trees: Sequence[ast.Module]) -> list[str]:
    """The names that are used and bound nowhere, but for Python's own."""
    bound, used = set(dir(builtins)), dict[str, None]()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                used[node.id] = None
            else:
                bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return [name for name in used if name not in bound]


class Remote:
    """Something of the program's that is no plain value. It can be called and looked at; it can not be compared, nor be true or false."""

    __slots__ = ("_examination", "_handle")
    _examination: Examination
    _handle: Handle

    def __init__(self, examination: Examination, handle: Handle) -> None:
        object.__setattr__(self, "_examination", examination)
        object.__setattr__(self, "_handle", handle)

    def __call__(self, *args: Any, **names: Any) -> Any:
        return self._examination.called(self._handle, args, names)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._examination._asked("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._examination._asked("set", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._examination._asked("item", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._examination._asked("put", self, key, value)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._examination._asked("all", self)))

    def __len__(self) -> int:
        return int(self._examination._asked("length", self))

    def __str__(self) -> str:
        text = self._examination._asked("text", self)
        return text if isinstance(text, str) else ""

    def _not_plain(self, *_: object) -> Any:
        raise NotPlain(f"a test compares a {self._handle.kind}, which is no plain value")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __hash__ = _not_plain


def _number(value: Any) -> Handle:
    """What stands for a thing of the program's in a message to it. Unusable for what is the tests' own."""
    if isinstance(value, Remote):
        return value._handle
    raise Unusable(f"they hand a {type(value).__name__} to the program, which is no plain value")
