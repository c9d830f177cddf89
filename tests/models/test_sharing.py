"""Beginnings that are read once: the same log-probabilities as one by one, and fewer tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doubles.tiny import tiny_model
from synthgain.models import sharing
from synthgain.models.scorer import HFScorer
from synthgain.types import user

DOCUMENT = "The river Tolmar flows past the town of Quell. " * 6
ASKED = [
    *(("Who built the bridge?", f" {who}") for who in ("the salt widow", "Ada", "Bo of Quell", "four apples")),
    *((f"{DOCUMENT} {question}", f" {said}") for question in ("Who?", "When was it?") for said in ("Ada", "in 1417")),
    ("", "The river"),
    ((user("How many apples has she?"),), "Answer: 7"),
    ((user("How many apples has she?"),), "Answer: 17, or more"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("tokens", [2048, 130])
def test_shared_beginnings_change_no_number(
    folder: Path, ends: bool, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = HFScorer(folder, ends=ends, batch_tokens=tokens).logprobs(ASKED)
    monkeypatch.setattr(sharing, "pays", lambda *given: False)
    apart = HFScorer(folder, ends=ends).logprobs(ASKED)
    assert [len(one) for one in shared] == [len(one) for one in apart]
    for one, other in zip(shared, apart):
        assert one == pytest.approx(other, abs=2e-4)


def test_a_document_is_read_once_for_all_its_questions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlamaForCausalLM

    read: list[int] = []
    inner = LlamaForCausalLM.forward

    def counted(self: Any, *given: Any, input_ids: Any, **more: Any) -> Any:
        read.append(int(input_ids.numel()))
        return inner(self, *given, input_ids=input_ids, **more)

    monkeypatch.setattr(LlamaForCausalLM, "forward", counted)
    scorer = HFScorer(folder)
    scorer.logprobs(ASKED[4:8])
    [document] = scorer.encode([DOCUMENT])
    assert sum(read) < 2 * len(document)  # one by one: more than four times


def test_what_begins_differently_stays_apart() -> None:
    asked = [([1, 2, 3, 4], [9]), ([1, 2, 3, 4], [8, 7]), ([5, 6, 7], [9]), ([5, 6, 8], [9])]
    found = sharing.groups(asked)
    assert [(one.rows, one.shared) for one in found] == [((0, 1), 3), ((2, 3), 2)]
    assert not sharing.pays(sharing.groups(asked[1:3]), asked[1:3])
