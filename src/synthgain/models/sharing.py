"""Scoring many texts after few beginnings: what several rows share is read once.

Multiple choice puts four options after one question, and open book forty after one document. A group's common beginning is computed
once; its cache stands before the rest of each of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from synthgain.models.folders import Loaded

WORTH = 0.75  # of the tokens at most must be left to read: below that saving two passes are no faster than one
HELD = 16_384  # tokens that the caches of one batch hold at most (46 KB each, of a model of 135 million weights)

Asked = tuple[list[int], list[int]]  # what stands before, and the text


@dataclass(frozen=True)
class Group:
    """Rows (their places) that begin with the same `shared` tokens; each has a token of what stands before it left."""

    rows: tuple[int, ...]
    shared: int


def groups(asked: Sequence[Asked]) -> list[Group]:
    """Neighbours are put together while that leaves fewer tokens to read."""
    found: list[Group] = []
    for at, (before, _) in enumerate(asked):
        one = Group((at,), 0)
        if found:
            first = asked[found[-1].rows[0]][0]
            same = sum(1 for _ in takewhile(lambda ab: ab[0] == ab[1], zip(first, before)))
            shared = min([same, len(before) - 1, len(first) - 1, *([found[-1].shared] if found[-1].shared else [])])
            both = Group((*found[-1].rows, at), max(shared, 0))
            if _cost(both, asked) < _cost(found[-1], asked) + _cost(one, asked):
                found[-1] = both
                continue
        found.append(one)
    return found


def _cost(group: Group, asked: Sequence[Asked]) -> int:
    return group.shared + sum(sum(map(len, asked[at])) - group.shared for at in group.rows)


def can(loaded: Loaded) -> bool:
    """Whether the model's cache is one of plain attention, which may stand before several rows."""
    config = loaded.model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ("full_attention",))
    return kinds == {"full_attention"} and not getattr(config, "sliding_window", None)


def pays(found: Sequence[Group], asked: Sequence[Asked]) -> bool:
    """Whether reading in groups saves enough."""
    return sum(_cost(one, asked) for one in found) <= WORTH * sum(len(before) + len(text) for before, text in asked)


def batches(found: Sequence[Group], asked: Sequence[Asked], tokens: int) -> Iterator[list[Group]]:
    """Groups of like length side by side: at most `tokens` to read at once in each of the two passes, and `HELD` in the caches."""
    rows = sorted((part for one in found for part in _parts(one, asked, tokens)), key=lambda one: one.shared)
    batch: list[Group] = []
    for one in rows:
        if batch and not _fits([*batch, one], asked, tokens):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _parts(group: Group, asked: Sequence[Asked], tokens: int) -> Iterator[Group]:
    """The group in parts that fit by themselves."""
    rows: list[int] = []
    for at in group.rows:
        if rows and not _fits([Group((*rows, at), group.shared)], asked, tokens):
            yield Group(tuple(rows), group.shared)
            rows = []
        rows.append(at)
    yield Group(tuple(rows), group.shared)


def _fits(batch: Sequence[Group], asked: Sequence[Asked], tokens: int) -> bool:
    rows = sum(len(one.rows) for one in batch)
    shared = max(one.shared for one in batch)
    rest = max(sum(map(len, asked[at])) - one.shared for one in batch for at in one.rows)
    return rows * rest <= tokens and len(batch) * shared <= tokens and rows * (shared + rest) <= HELD


def logits_of(loaded: Loaded, batch: Sequence[Group], asked: Sequence[Asked]) -> Iterator[tuple[int, Any]]:
    """Of each row its place, and the logits (tokens + 1, vocabulary) from before its text's first token to after its last."""
    torch, device = loaded.torch, loaded.device
    places = [at for one in batch for at in one.rows]
    longest = max(one.shared for one in batch)
    cache = None
    if longest:
        ids = torch.full((len(batch), longest), loaded.first(), device=device)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(batch):
            if one.shared:
                ids[row, -one.shared :] = torch.tensor(asked[one.rows[0]][0][: one.shared], device=device)
                mask[row, -one.shared :] = 1
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        read = loaded.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1
        )
        cache = read.past_key_values
        of = torch.tensor([row for row, one in enumerate(batch) for _ in one.rows], device=device)
        cache.batch_select_indices(of)
        mask = mask[of]
    rests = [(*asked[at][0], *asked[at][1])[one.shared :] for one in batch for at in one.rows]
    width = max(map(len, rests))
    ids = torch.full((len(places), width), loaded.first(), device=device)
    for row, rest in enumerate(rests):
        ids[row, : len(rest)] = torch.tensor(rest, device=device)
    starts = torch.tensor([one.shared for one in batch for _ in one.rows], device=device)
    positions = starts[:, None] + torch.arange(width, device=device)[None]
    seen = torch.ones_like(ids) if cache is None else torch.cat([mask, torch.ones_like(ids)], dim=1)
    out = loaded.model(input_ids=ids, attention_mask=seen, position_ids=positions, past_key_values=cache)
    for row, (at, rest) in enumerate(zip(places, rests)):
        text = len(asked[at][1])
        yield at, out.logits[row, len(rest) - text - 1 : len(rest)].float()
