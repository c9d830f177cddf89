"""Reading a recipe or a check out of somebody's own Python file."""

from __future__ import annotations

import hashlib
import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from synthgain.types import SynthgainError, digest


def read_from_file(path: str | Path, variable: str) -> Any:
    """The value of `variable` at the end of that file; errors as `read_with_hash` has them."""
    return read_with_hash(path, variable)[0]


def read_with_hash(path: str | Path, variable: str) -> tuple[Any, str]:
    """The value of `variable` at the end of that file, and the SHA-256 of what was run. It is the user's own code.

    What the file imports from elsewhere is not in the hash. SynthgainError says file and line where the file is missing, cannot be
    read as Python, fails while it runs, or has no such variable.
    """
    held, sha = variables_of(path, variable)
    return held[variable], sha


def variables_of(path: str | Path, variable: str) -> tuple[dict[str, Any], str]:
    """All variables of that file, which must have `variable`, and the SHA-256 of what was run; else as `read_with_hash`."""
    file = Path(path).expanduser()
    kind = variable.lower()
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "there is no such file"
        raise SynthgainError(what, where=str(path), next=f"give the path of a .py file that ends with {variable} = …")
    if file.suffix != ".py":
        raise SynthgainError(
            f"a {kind} is a .py file",
            where=str(path),
            next=f"give the path of a .py file that ends with {variable} = …",
        )
    name = f"synthgain_{kind}_{digest(str(file.resolve()))[:12]}"
    spec = spec_from_file_location(name, file)
    assert spec is not None  # a .py file always has one
    module = module_from_spec(spec)
    content = _content(file, path)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look their annotations up there
    try:
        exec(
            compile(content, str(file), "exec", dont_inherit=True), module.__dict__
        )  # no cached form of it: what is hashed is run
    except SynthgainError:
        _restore(name, before)
        raise
    except Exception as error:
        _restore(name, before)
        raise SynthgainError(
            f"{type(error).__name__}: {_message(error)}",
            where=f"{path}:{_line(error, file)}",
            next="mend the file there",
        ) from error
    if not hasattr(module, variable):
        raise SynthgainError(f"the file has no {variable}", where=str(path), next=f"end it with {variable} = …")
    return vars(module), hashlib.sha256(content).hexdigest()


def _content(file: Path, path: str | Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SynthgainError(
            f"cannot be read: {error.strerror}", where=str(path), next="make it readable, or give another file"
        ) from error


def _restore(name: str, before: Any) -> None:
    if before is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = before


def _message(error: Exception) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _line(error: Exception, file: Path) -> int:
    """The last line of this file that the error passed through."""
    file = file.resolve()
    if isinstance(error, SyntaxError) and error.lineno and error.filename and Path(error.filename).resolve() == file:
        return error.lineno
    frames = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).resolve() == file
    ]
    return (frames[-1] if frames else None) or 1
