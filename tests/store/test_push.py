"""Uploads to a hub that really listens (tests/doubles/hub.py)."""

import json
import socket
from pathlib import Path

import pytest

import synthgain as sg
from doubles.hub import hub
from synthgain.types import SynthgainError

pytest.importorskip("huggingface_hub", reason='pushing needs huggingface_hub: pip install "synthgain[hub]"')

# the library's own upload, where Xet is off, calls its HTTP client in an outdated way
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TOKEN = "hf_notAKeyButEasyToFind"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's settings: our token, no Xet, nothing of this machine's user."""
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(
        constants, "HF_HUB_OFFLINE", False
    )  # read when the library is imported, which may be in another test
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
    disable_progress_bars()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def run(tmp_path: Path) -> sg.Run:
    return sg.generate("rephrase", ["The mill has two wheels."], model="scripted/words?n=9", out=tmp_path / "run")


def test_the_card_and_the_data_arrive_as_they_are(run: sg.Run) -> None:
    with hub(token=TOKEN) as there:
        url = sg.push(run, "me/first", endpoint=there.url)
    assert there.files["me/first"] == {f.name: f.read_bytes() for f in run.data.iterdir()}
    assert {"README.md", "part-00000.parquet"} <= set(there.files["me/first"])
    assert url.startswith(f"{there.url}/datasets/me/first/commit/")
    assert len(there.commits) == 1 and "rephrase" in there.commits[0]


def test_a_repository_is_private_unless_asked(run: sg.Run) -> None:
    with hub(token=TOKEN) as there:
        sg.push(run, "me/closed", endpoint=there.url)
        sg.push(run, "me/open", private=False, endpoint=there.url)
    assert there.repos["me/closed"]["visibility"] == "private"
    assert there.repos["me/open"]["visibility"] == "public"
    assert {repo["type"] for repo in there.repos.values()} == {"dataset"}


def test_pushing_again_updates_the_same_repository(run: sg.Run) -> None:
    with hub(token=TOKEN) as there:
        sg.push(run, "me/first", endpoint=there.url)
        sg.curate(run, without=["all"])
        (run.data / "README.md").write_text("another card\n", "utf-8")
        sg.push(run, "me/first", endpoint=there.url)
    assert there.files["me/first"]["README.md"] == b"another card\n"
    assert len(there.commits) == 2


def test_the_token_is_sent_in_the_header_and_nowhere_else(run: sg.Run) -> None:
    with hub(token=TOKEN) as there:
        sg.push(run, "me/first", endpoint=there.url)
    assert len(there.asked) >= 4
    for _, path, headers, body in there.asked:
        assert TOKEN not in path and TOKEN.encode() not in body
        assert {name for name, value in headers.items() if TOKEN in value} <= {"authorization"}
    assert not [f for f in run.path.rglob("*") if f.is_file() and TOKEN.encode() in f.read_bytes()]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_said(run: sg.Run, status: int) -> None:
    with hub(refuse=status) as there, pytest.raises(SynthgainError) as caught:
        sg.push(run, "me/first", endpoint=there.url)
    assert caught.value.code == 4
    assert str(status) in str(caught.value) and "HF_TOKEN" in caught.value.next
    assert TOKEN not in str(caught.value)


def test_the_wrong_token_is_a_refusal(run: sg.Run) -> None:
    with hub(token="another") as there, pytest.raises(SynthgainError) as caught:
        sg.push(run, "me/first", endpoint=there.url)
    assert caught.value.code == 4
    assert there.repos == {} and there.files == {}


def test_a_file_that_is_not_taken_is_said_and_nothing_is_committed(run: sg.Run) -> None:
    with hub(full=True) as there, pytest.raises(SynthgainError) as caught:
        sg.push(run, "me/first", endpoint=there.url)
    assert caught.value.code == 4
    assert there.commits == []


def test_nobody_there(run: sg.Run) -> None:
    with socket.socket() as free:  # bound and not listening: connections are refused
        free.bind(("127.0.0.1", 0))
        with pytest.raises(SynthgainError) as caught:
            sg.push(run, "me/first", endpoint=f"http://127.0.0.1:{free.getsockname()[1]}")
    assert caught.value.code == 4
    assert "cannot be reached" in caught.value.what


@pytest.mark.parametrize("repo", ["first", "a/b/c", "/first", "me/", "me/na me", "me/-x-", "me/a..b"])
def test_a_name_that_is_none_is_refused_before_anything_is_sent(run: sg.Run, repo: str) -> None:
    with hub() as there, pytest.raises(SynthgainError) as caught:
        sg.push(run, repo, endpoint=there.url)
    assert caught.value.code == 2
    assert there.asked == []


def test_a_run_that_is_not_complete_is_not_pushed(run: sg.Run) -> None:
    run.write_record(json.loads(run.run_json.read_text()) | {"status": "stopped"})
    with hub() as there, pytest.raises(SynthgainError, match="stopped, not complete"):
        sg.push(run, "me/first", endpoint=there.url)
    assert there.asked == []
