"""First-order influence on a tiny random Llama, and its jackknife on plain vectors."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from doubles.tiny import tiny_model
from synthgain.measure.data import Data
from synthgain.measure.gradients import cosine_jackknife, grad_align
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
