"""Bytes to text: UTF-8 with or without a byte order mark. Anything else is refused by the name of what it looks like."""

from __future__ import annotations

import gzip
import re
import shlex
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthgain.types import SynthgainError

BOM = b"\xef\xbb\xbf"
HEAD = 4096
PACKING = (".gz", ".zst")
MAGIC = (
    (b"%PDF-", "a PDF", "mv {file} {stem}.pdf"),
    (b"\x89PNG\r\n", "a PNG picture", "there is no text in it to read; move it away"),
    (b"\xff\xd8\xff", "a JPEG picture", "there is no text in it to read; move it away"),
    (b"GIF8", "a GIF picture", "there is no text in it to read; move it away"),
    (b"\x1f\x8b", "gzip data", "mv {file} {file}.gz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data", "mv {file} {file}.zst"),
    (b"\xfd7zXZ\x00", "xz data", "xz -dc {file} > {stem}.jsonl"),
    (b"PAR1", "a Parquet file", "mv {file} {stem}.parquet"),
    (b"ARROW1", "an Arrow file", "mv {file} {stem}.arrow"),
    (
        b"SQLite format 3\x00",
        "an SQLite database",
        "export the table as CSV: sqlite3 -header -csv {file} 'select …' > {stem}.csv",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office file", "libreoffice --headless --convert-to txt {file}"),
    (b"\x7fELF", "a program", "move it away"),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the data itself", "git lfs pull"),
)
OFFICE = (
    ("word/", "a Word document", ".docx"),
    ("xl/", "an Excel workbook", ".xlsx"),
    ("ppt/", "a PowerPoint file", ".pptx"),
    ("META-INF/container.xml", "an EPUB book", ".epub"),
    ("content.xml", "an OpenDocument file", ".odt"),
)


def opened(path: Path) -> BufferedReader | gzip.GzipFile:
    """The file's bytes, unpacked where its name ends in .gz or .zst."""
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile(path)
    if path.suffix.lower() == ".zst":
        return BufferedReader(_Unpacked(path))
    return open(path, "rb")


class _Unpacked(RawIOBase):
    """A Zstandard file as Python's streams have it. BadZst where the data is none, or breaks off."""

    def __init__(self, path: Path) -> None:
        open(path, "rb").close()  # says what it says of any file that cannot be opened
        self._stream = pa.input_stream(str(path), compression="zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        try:
            n: int = self._stream.readinto(into)
        except OSError as error:
            raise BadZst(str(error)) from None
        return n

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class BadZst(Exception):
    """Zstandard data that is damaged, cut off, or none."""


PACKED_BADLY = (EOFError, zlib.error, gzip.BadGzipFile, BadZst)


def nothing(where: str) -> SynthgainError:
    """The error of an empty file."""
    return SynthgainError("the file is empty", where=where, next="fill it or remove it")


def lines(path: Path, where: str) -> Iterator[tuple[int, str, bool]]:
    """(number from 1, text with its line end, whether it has one). Only "\\n" ends a line.

    SynthgainError names the line where packed data breaks off, bytes are no UTF-8, or NUL stands.
    """
    number = offset = 0
    try:
        with opened(path) as file:
            _refuse_binary(file.peek(HEAD)[:HEAD], path, where)
            while raw := file.readline():
                number += 1
                if number == 1 and raw.startswith(BOM):
                    raw, offset = raw[len(BOM) :], len(BOM)
                text = _text(raw, path, where, number, offset, last=not raw.endswith(b"\n"))
                offset += len(raw)
                yield number, text, raw.endswith(b"\n")
    except PACKED_BADLY as error:
        raise _broken_packing(error, path, f"{where}:{number + 1}" if number else where, number) from error


def whole(path: Path, where: str) -> str:
    """The file's text, unchanged but for a byte order mark."""
    raw = b""
    try:
        with opened(path) as file:
            _refuse_binary(file.peek(HEAD)[:HEAD], path, where)
            raw = file.read()
    except PACKED_BADLY as error:
        raise _broken_packing(error, path, where, 0) from error
    skip = len(BOM) if raw.startswith(BOM) else 0
    return _text(raw[skip:] if skip else raw, path, where, 1, skip, last=True)


def first_bytes(path: Path, n: int = HEAD) -> bytes:
    """How the file begins on disk."""
    with open(path, "rb") as file:
        return file.read(n)


def refuse_what_it_is(path: Path, where: str) -> None:
    """SynthgainError where the file's first bytes say that it is something else."""
    _refuse_binary(first_bytes(path), path, where, nul=False)


def shell(text: str, path: Path) -> str:
    """A command with the file's name in it, quoted for a shell."""
    stem = path.with_name(path.name.split(".")[0] or path.name)
    return text.replace("{file}", shlex.quote(str(path))).replace("{stem}", shlex.quote(str(stem)))


def _text(raw: bytes, path: Path, where: str, line: int, offset: int, *, last: bool) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + raw.count(b"\n", 0, error.start)
        raise _undecodable(raw, error, path, f"{where}:{at}", offset + error.start, last) from None
    nul = raw.find(b"\0")
    if nul >= 0:
        raise SynthgainError(
            f"a NUL byte at byte {offset + nul:,}: this is not plain text",
            where=f"{where}:{line + raw.count(bytes([10]), 0, nul)}",
            next=shell("if the rest is text: tr -d '\\000' < {file} > {stem}.clean.txt", path),
        )
    return text


def _undecodable(
    raw: bytes, error: UnicodeDecodeError, path: Path, where: str, offset: int, last: bool
) -> SynthgainError:
    if last and error.end == len(raw) and error.reason == "unexpected end of data":
        return SynthgainError(
            f"the file breaks off inside a character (byte {offset:,}): it is truncated",
            where=where,
            next="get the whole file again",
        )
    nearby = raw[max(0, error.start - 100_000) : error.start + 100_000]
    if re.search(rb"[\xc3-\xf4][\x80-\xbf]", nearby):
        name, command = "damaged UTF-8", "iconv -f UTF-8 -t UTF-8 -c {file} > {stem}.utf8.txt   (drops the bad bytes)"
    elif re.search(rb"[\x80-\x9f]", nearby):
        name, command = "Windows-1252", "iconv -f WINDOWS-1252 -t UTF-8 {file} > {stem}.utf8.txt"
    else:
        name, command = "Latin-1", "iconv -f ISO-8859-1 -t UTF-8 {file} > {stem}.utf8.txt"
    return SynthgainError(
        f"byte {offset:,} (0x{raw[error.start]:02x}) is not UTF-8; it looks like {name}",
        where=where,
        next=_convert(command, path),
    )


def _convert(command: str, path: Path) -> str:
    """The command, writing a file of the same kind, read through gunzip where it is packed."""
    names = [s for s in path.suffixes if s.lower() not in PACKING]
    command = command.replace(".utf8.txt", f".utf8{names[-1]}" if names else ".utf8.txt")
    if path.suffix.lower() in PACKING:
        unpack = "gunzip -c" if path.suffix.lower() == ".gz" else "zstd -dc"
        command = f"{unpack} {{file}} | " + command.replace(" {file}", "", 1)
    return shell(command, path)


def _refuse_binary(head: bytes, path: Path, where: str, nul: bool = True) -> None:
    for bom, name in (
        (b"\xff\xfe\0\0", "UTF-32"),
        (b"\0\0\xfe\xff", "UTF-32"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ):
        if head.startswith(bom):
            raise _utf16(name, name, path, where)
    for magic, name, after in MAGIC:
        if head.startswith(magic):
            raise SynthgainError(f"this is {name}, not text", where=where, next=shell(after, path))
    if head.startswith(b"PK\x03\x04"):
        raise _zip(path, where)
    if nul and b"\0" in head:
        at = head.index(b"\0")
        even, odd = head[::2].count(0), head[1::2].count(0)
        if len(head) >= 8 and max(even, odd) > 0.4 * (len(head) // 2) and min(even, odd) < 0.05 * len(head):
            name = "UTF-16LE" if odd > even else "UTF-16BE"
            raise _utf16(f"{name} without a byte order mark", name, path, where)
        raise SynthgainError(
            f"a NUL byte at byte {at:,}: this is binary data, not text",
            where=f"{where}:{head.count(10, 0, at) + 1}",
            next="convert it to text, or move it away",
        )


def _utf16(looks: str, name: str, path: Path, where: str) -> SynthgainError:
    return SynthgainError(
        f"byte 0 is not UTF-8; it looks like {looks}",
        where=f"{where}:1",
        next=_convert(f"iconv -f {name} -t UTF-8 {{file}} > {{stem}}.utf8.txt", path),
    )


def _zip(path: Path, where: str) -> SynthgainError:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        names = []
    for part, name, ending in OFFICE:
        if any(part in n for n in names):
            return SynthgainError(
                f"this is {name} ({ending}), not text", where=where, next=shell(f"mv {{file}} {{stem}}{ending}", path)
            )
    return SynthgainError("this is a zip archive, not text", where=where, next=shell("unzip {file} -d {stem}", path))


def _broken_packing(error: Exception, path: Path, where: str, lines_read: int) -> SynthgainError:
    name, tool = ("Zstandard", "zstd") if isinstance(error, BadZst) else ("gzip", "gzip")
    if "Not a gzipped file" in str(error) or "Unknown frame descriptor" in str(error):
        end = path.suffix
        return SynthgainError(
            f"the name ends in {end} but this is not {name} data",
            where=where,
            next=shell(f"take the {end} off its name: mv {{file}} ", path) + shlex.quote(str(path.with_suffix(""))),
        )
    cut = isinstance(error, EOFError) or "Truncated" in str(error)
    kind = "breaks off in the middle (truncated)" if cut else f"is damaged ({error})"
    good = f" after {lines_read:,} whole lines" if lines_read else ""
    return SynthgainError(
        f"the {name} data {kind}{good}",
        where=where,
        next=shell(f"get the whole file again; {tool} -t {{file}} tests it", path),
    )
