"""First-order influence on a tiny random Llama, and its jackknife on plain vectors."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from doubles.tiny import tiny_model
from synthgain.measure.aim import Aim
from synthgain.measure.data import Data
from synthgain.measure.gradients import cosine_jackknife, grad_align, match, match_jackknife, matched, together
from synthgain.types import SynthgainError

TEXTS = [
    "Ada has four apples and gets three more.",
    "How many apples has she now?",
    "The river Tolmar flows past the town.",
    "Who built the bridge?",
    "The salt widow built it in 1417.",
    "Answer: 7",
    "system user assistant",
    "Quell lies by the river.",
    "Three apples and four more.",
    "The town has a bridge.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def test_the_same_texts_point_the_same_way(folder: Path) -> None:
    reading = grad_align(Data.of(TEXTS, target=TEXTS), folder=folder)[0]
    assert reading.value == pytest.approx(1, abs=1e-6) and reading.high == 1 and reading.low is not None
    assert reading.kind == "proxy" and reading.unit == "unitless" and reading.n == len(TEXTS)


def test_the_gradient_is_that_of_the_whole_text(folder: Path) -> None:
    """Against one backward pass over all weights by hand."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def by_hand(texts: list[str]) -> torch.Tensor:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for text in texts:
            ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
            (model(ids, labels=ids).loss * (ids.shape[1] - 1)).backward()
        return torch.cat([p.grad.flatten() for layer in model.model.layers[-1:] for p in layer.parameters()])

    a, b = by_hand(TEXTS[:6]), by_hand(TEXTS[6:])
    expected = float(a @ b / a.norm() / b.norm())
    reading = grad_align(Data.of(TEXTS[:6], target=TEXTS[6:]), folder=folder, layers=1)[0]
    assert reading.value == pytest.approx(expected, abs=1e-4) and expected < 0.99
    assert reading.low < reading.value < reading.high


def test_a_row_is_read_up_to_its_window(folder: Path) -> None:
    """10 MB of a word and a page of it are the same row."""
    long, short = (
        grad_align(Data.of([*TEXTS, "apples " * n], target=TEXTS), folder=folder)[0] for n in (1_500_000, 2_000)
    )
    assert long.value == pytest.approx(short.value, abs=1e-6)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Data.of([], target=TEXTS), "no kept rows"),
        (Data.of(TEXTS), "no held-out text"),
        (Data.of(TEXTS, target=[]), "no held-out text"),
        (Data.of(["", ""], target=TEXTS), "no two tokens"),
        (Data.of(TEXTS, target=[""]), "no two tokens"),
    ],
)
def test_what_gives_no_figure_says_why(folder: Path, data: Data, said: str) -> None:
    reading = grad_align(data, folder=folder)[0]
    assert reading.value is None and said in reading.note


def test_one_prompt_has_no_interval(folder: Path) -> None:
    rows = [{"text": text, "anchor_ids": ["a"]} for text in TEXTS]
    reading = grad_align(Data.of(rows, target=TEXTS), folder=folder)[0]
    assert reading.value == pytest.approx(1, abs=1e-6) and reading.low is None and reading.n == 1


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="no transformers folder"):
        grad_align(Data.of(TEXTS, target=TEXTS), folder=tmp_path)


def test_the_jackknife_covers() -> None:
    """Shards are noisy vectors around one mean; the truth is the cosine at that mean."""
    rng, hits, repeats = np.random.default_rng(0), 0, 400
    mean, towards = rng.normal(0, 1, 30), rng.normal(0, 1, 30)
    mean += 0.5 * towards
    truth = mean @ towards / math.sqrt((mean @ mean) * (towards @ towards))
    for _ in range(repeats):
        vectors = np.vstack([mean + rng.normal(0, 0.6, (8, 30)), towards])
        _, low, high = cosine_jackknife(vectors @ vectors.T)
        hits += low <= truth <= high  # type: ignore[operator]
    assert 0.88 <= hits / repeats <= 0.99


def test_the_cosine_of_vectors_without_length_is_none() -> None:
    assert cosine_jackknife(np.zeros((3, 3))) == (None, None, None)
    assert cosine_jackknife(np.full((3, 3), math.nan)) == (None, None, None)


def gram(*vectors: list[float]) -> np.ndarray:
    held = np.array(vectors)
    return held @ held.T


def test_shards_that_repeat_each_other_count_once() -> None:
    """Three shards of one direction and one of another; held-out text moves both ways alike: summed (3, 1), matched (1, 1)."""
    shards = [[1.0, 0.0]] * 3 + [[0.0, 1.0]]
    products = gram(*shards, [1.0, 1.0], [1.0, 1.0])
    summed, _, _ = cosine_jackknife(together(products))
    assert summed == pytest.approx(4 / math.sqrt(20)) and match(products) == pytest.approx(1, abs=1e-6)
    value, low, high = match_jackknife(products)
    assert value is not None and low is not None and high is not None and low <= value <= high == 1


def test_matching_is_the_least_of_its_own_quantity() -> None:
    """Against 200,000 random weights, and against the equations where all weights are above 0."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (5, 12)) + 0.5
    direction = np.array([0.5, 1, 0.2, 0.7, 0.3]) @ vectors
    k, c = vectors @ vectors.T, vectors @ direction
    b = matched(k, c, penalty=0.0)
    assert b == pytest.approx([0.5, 1, 0.2, 0.7, 0.3], abs=1e-3)
    against = -rng.normal(0, 1, 12)
    c = vectors @ against
    b, room = matched(k, c), 1e-2 * np.abs(c).max()
    worth = lambda w: 0.5 * np.einsum("...i,ij,...j", w, k, w) - w @ c + room * w.sum(-1)  # noqa: E731
    tried = rng.exponential(0.1, (200_000, 5)) * (rng.random((200_000, 5)) < 0.5)
    assert b.min() >= 0 and worth(b) <= worth(tried).min() + 1e-9


def test_rows_against_the_direction_match_nothing() -> None:
    assert match(gram([-1.0, 0.0], [-1.0, 0.1], [1.0, 0.0], [1.0, 0.0])) == 0.0
    assert match(gram([1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0])) is None


def test_of_answers_the_gradient_is_of_the_answer_alone(folder: Path) -> None:
    """Prompts differ, answers are those held out: the whole texts point elsewhere."""
    rows = [{"text": f"Who built the bridge? {t}", "prompt": "Who built the bridge?", "answer": t} for t in TEXTS]
    held = [{"text": t, "asked": "Who built the bridge?", "answered": t} for t in TEXTS]
    align, fit = grad_align(Data.of(rows, target=held), folder=folder, aim=Aim("answer", ""))
    assert align.value == pytest.approx(1, abs=1e-5) and align.name == "grad_align" and "held-out answers" in align.note
    assert fit.name == "grad_match" and fit.value is not None and 0.5 < fit.value <= 1
    (none, _) = grad_align(Data.of(rows, target=TEXTS), folder=folder, aim=Aim("answer", ""))
    assert none.value is None and "have no answers" in none.note
