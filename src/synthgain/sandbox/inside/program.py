"""Running a program in its box: on its own, or to answer what tests ask of it.

Nothing here is trusted once the program has begun: it shares this interpreter with it. A verdict is made elsewhere (`examiner.py`).
"""

from __future__ import annotations

import atexit
import builtins
import os
import random
import site
import sys
import threading
import traceback
from types import ModuleType
from typing import Any, NoReturn

from synthgain.sandbox.inside.box import SCRATCH
from synthgain.sandbox.inside.values import Channel, Handle, packed, unpacked

OUT_OF_MEMORY = 213  # exit status of a program that ended with MemoryError
SAID = 300  # characters of an error's text


def main(job: dict[str, Any]) -> NoReturn:
    """Run the program as `python program.py` would, and leave with its exit status."""
    status = 0
    try:
        _executed(str(job["program"]), "__main__")
        threading._shutdown()  # type: ignore[attr-defined]
    except SystemExit as leaving:
        status = _status(leaving)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException:
        status = 1
        _print_error()
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException:
        status = status or 1
    os._exit(status)


def _status(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return (leaving.code or 0) & 0xFF
    print(leaving.code, file=sys.stderr)
    return 1


def _print_error() -> None:
    try:
        traceback.print_exc()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException:
        os.write(2, b"an error that cannot be printed\n")


def prepared() -> None:
    """What is the same for all programs, done before any is: chance is seeded, and names of the interactive shell (exit, quit) are there."""
    sys.argv = ["program.py"]
    sys.path.append(SCRATCH)
    site.setquit()
    random.seed(0)


def _executed(source: str, name: str) -> ModuleType:
    """The module that the source makes."""
    module = ModuleType(name)
    module.__file__ = f"{SCRATCH}/program.py"
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    exec(compile(source, "program.py", "exec", dont_inherit=True), module.__dict__)
    return module


# ---------------------------------------------------------------------------------------------- answering tests


def answers(job: dict[str, Any], number: int) -> NoReturn:
    """Run the program, then do what the tests ask and answer with plain values, until they have asked everything."""
    channel = Channel(number)
    try:
        module = _executed(str(job["program"]), "program")
    except BaseException as error:
        _tell(channel, _raised(error))
        os._exit(0)
    asked = Asked(module)
    _tell(channel, ["value", None, None])
    while True:
        try:
            request = channel.receive()
        except (EOFError, OSError):
            os._exit(0)
        try:
            answer = asked(request)
        except BaseException as error:
            answer = _raised(error)
        _tell(channel, answer)


def _tell(channel: Channel, answer: list[Any]) -> None:
    try:
        channel.send(answer)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except ValueError as error:
        channel.send(_raised(error))
    except OSError:
        os._exit(0)


def _raised(error: BaseException) -> list[Any]:
    if isinstance(error, MemoryError):
        os._exit(OUT_OF_MEMORY)
    try:
        said = str(error)[:SAID]
    except BaseException:
        said = ""
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    number = error.errno if isinstance(error, OSError) else None
    return ["raised", kinds, type(error).__name__, said, number]


class Asked:
    """What tests may ask: a name of the program, and of what a handle stands for: a call, attributes, items, its length, its text."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.things = module, list[Any]()

    def __call__(self, request: list[Any]) -> list[Any]:
        kind, *given = request
        if kind == "name":
            (name,) = given
            return ["value", self._packed(self.module.__dict__[name]), None]
        thing, *rest = (unpacked(value, self._found) for value in given)
        if kind == "call":
            args, names = rest
            value = thing(*args, **names)
            return ["value", self._packed(value), self._packed(args)]
        return ["value", self._packed(getattr(self, f"_{kind}")(thing, *rest)), None]

    def _get(self, thing: Any, name: str) -> Any:
        return getattr(thing, name)

    def _set(self, thing: Any, name: str, value: Any) -> None:
        setattr(thing, name, value)

    def _item(self, thing: Any, key: Any) -> Any:
        return thing[key]

    def _put(self, thing: Any, key: Any, value: Any) -> None:
        thing[key] = value

    def _all(self, thing: Any) -> list[Any]:
        return list(thing)

    def _length(self, thing: Any) -> int:
        return len(thing)

    def _text(self, thing: Any) -> str:
        return str(thing)

    def _packed(self, value: Any) -> Any:
        return packed(value, self._handle)

    def _handle(self, thing: Any) -> Handle:
        self.things.append(thing)
        return Handle(len(self.things) - 1, type(thing).__name__)

    def _found(self, handle: Handle) -> Any:
        return self.things[handle.number]
