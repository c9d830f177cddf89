"""Small steps of a tiny student: they change it, and it comes back to the bit."""

from __future__ import annotations

import pytest

from doubles.tiny import tiny_model
from synthgain.models.scorer import HFScorer
from synthgain.train.nudge import Nudge
from synthgain.types import user

TEXT = "Ada has four apples and gets three more."


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> HFScorer:
    return HFScorer(tiny_model(tmp_path_factory.mktemp("tiny") / "model"))


def test_it_learns_what_it_is_shown_and_comes_back(scorer: HFScorer) -> None:
    small = Nudge(scorer.model, scorer.tokens, steps=4, batch=2, learning_rate=1e-3)
    assert small.rows == 8
    before = scorer.logprobs([("", TEXT)])
    with small([("", TEXT)] * 8, 0):
        after = scorer.logprobs([("", TEXT)])
    assert sum(after[0]) > sum(before[0]) + 1
    assert scorer.logprobs([("", TEXT)]) == before
    with pytest.raises(RuntimeError), small([("", TEXT)], 0):
        raise RuntimeError
    assert scorer.logprobs([("", TEXT)]) == before


def test_the_first_step_is_adams_on_the_tokens_of_answers(scorer: HFScorer) -> None:
    """Against autograd by hand: Adam's first step is the rate times g / (|g| + ε), of the loss on the answer alone; tables stay."""
    import torch

    pair = ([user("How many apples has she now?")], "Answer: 7")
    ((before, text),) = scorer.tokens([pair])
    model, rate = scorer.model, 1e-3
    row = torch.tensor([[*before, *text]])
    model.zero_grad()
    logits = model(input_ids=row).logits[0, len(before) - 1 : -1].float()
    torch.nn.functional.cross_entropy(logits, row[0, len(before) :]).backward()
    weight = model.model.layers[-1].mlp.up_proj.weight
    expected = weight.detach() - rate * weight.grad / (weight.grad.abs() + 1e-8)
    table = model.get_input_embeddings().weight.detach().clone()
    model.zero_grad()
    with Nudge(model, scorer.tokens, steps=1, batch=1, learning_rate=rate)([pair], 0):
        moved = weight.detach().clone()
        assert torch.equal(model.get_input_embeddings().weight, table)
    assert torch.allclose(moved, expected, atol=1e-5)
