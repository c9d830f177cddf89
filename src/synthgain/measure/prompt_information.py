"""How much an answer tells of its prompt: I(p; M(p)) between two ends (ESTIMATORS I5), from scores L_ij = ln M(y_i | p_j).

    leave-in       mean_i [L_ii - ln mean_{j, i too} e^{L_ij}]   at most I in expectation, and never above ln of the prompts compared
    leave-one-out  mean_i [L_ii - ln mean_{j ≠ i} e^{L_ij}]      at least I in expectation; explodes where prompts differ much
    empty prompt   mean_i [L_ii - ln M(y_i | nothing)]           I + KL(M̄ ‖ M(.|nothing)), at least I: it is no I(p; y)
    ln N           entropy of a uniform choice among the N different prompts of the run, at least I

p is uniform over the different prompts of the run. The scorer must be the writer under the law that it sampled from, and the
answers draws of it: only then are leave-one-out and empty prompt bounds. A filter that keeps a share a makes them too low by
up to about -ln a. Leave-in and ln N hold whatever model scores and whatever was kept.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from synthgain.measure.curation import SURPLUS
from synthgain.measure.data import Data, nothing
from synthgain.measure.randomness import Told, UnitSums, keys_of
from synthgain.measure.student_eye import conditioned, scores, unscored
from synthgain.types import Reading, ReadingClass, Scorer, SynthgainError, user

RESAMPLES = 1_000
FEWEST = 8  # prompts below which there is no bootstrap
PROMPTS = 64  # that are compared, where nothing else is said
UNIT = "nats/sample"
END = 3.0  # nats a sample by which two scorings of the same law may differ where one holds the end of the answer
DRIFT = 0.05  # and nats a token for another path of computation
CHOSEN = 0.9  # share kept by curation below which kept rows are no draws of the writer


def i_prompt(
    data: Data,
    *,
    scorer: Scorer,
    prompts: int = PROMPTS,
    negatives: int = 31,
    as_chat: bool = True,
    writer: bool = True,
) -> list[Reading]:
    """`i_prompt_low`, `i_prompt_high` and `i_prompt` (value: the lower bound), on one answer each of `prompts` different prompts.

    `writer` says that the scorer is the model that wrote, under the law of the rows; where rows have log-probabilities it is
    held against them, and with another scorer the upper end is ln N alone. Costs prompts · (negatives + 2) scorings.
    """
    if prompts < 2:
        raise SynthgainError(f"{prompts} prompts cannot be compared", where="--prompts", next="give 2 or more")
    chosen = _choose(data, prompts)
    if len(chosen.prompts) < 2:
        return _none(chosen.why, len(chosen.prompts))
    n = len(chosen.prompts)
    others = random_negatives(n, negatives, data.seed)
    table, left_out = _scored(chosen, others, scorer, as_chat)
    own, empty = table[:, :n].diagonal(), table[:, n]
    why = unscored([[value] if not math.isnan(value) else None for value in own], left_out)
    use = ~np.isnan(own) & ~np.isnan(empty) & ~np.isnan(table[np.arange(n)[:, None], others]).any(1)
    if why or use.sum() < 2:
        return _none(why or "fewer than two answers could be scored against other prompts", int(use.sum()))
    gap, allowed = chosen.gap(own)
    doubt = _doubt(writer, gap, allowed, kept_share(data))
    notes = [
        f"{n:,} of {chosen.different:,} prompts, {others.shape[1]} negatives each, scored by {scorer.identity[:24]}",
        "no log-probabilities at generation to check by that the scorer is the writer"
        if math.isnan(gap)
        else f"scores stand {gap:+.2f} nats a sample off those at generation",
    ]
    if not use.all():
        lost = left_out.most_common(1)[0][0] if left_out else "scores that are no numbers"
        notes.append(f"{n - int(use.sum()):,} answers left out: {lost}")
    ends = Ends(table[:, :n], empty, others, chosen.different, not doubt, use)
    return _readings(ends, data.seed, "; ".join(notes), doubt)


def kept_share(data: Data) -> float:
    """The share that the checks kept; 1 where there is no ledger."""
    return math.prod(step.kept / step.seen for step in data.ledger if step.check != SURPLUS and step.seen > 0)


def _doubt(writer: bool, gap: float, allowed: float, kept: float) -> str:
    """Why leave-one-out and empty prompt are no bounds here; "" where they are."""
    if not writer:
        return "the scorer is not the writer"
    if abs(gap) > allowed:  # never for NaN
        return (
            f"the scores differ from the log-probabilities at generation by {gap:+.1f} nats a sample: another law, another model, "
            "or another prompt than the writer was asked with"
        )
    return "" if kept >= CHOSEN else f"curation kept {kept:.1%}, so the rows are no draws of the writer"


def _scored(chosen: _Chosen, others: np.ndarray, scorer: Scorer, as_chat: bool) -> tuple[np.ndarray, Counter[str]]:
    """ln M(y_i|p_j) in row i, column j; ln M(y_i|nothing) in the last column; NaN where not asked for or refused."""
    n = len(chosen.prompts)
    places = [(i, int(j)) for i in range(n) for j in (i, *others[i], n)]
    given = [*(conditioned(prompt, as_chat) for prompt in chosen.prompts), [user("")] if as_chat else ""]
    scored, left_out = scores(scorer, [(given[j], chosen.answers[i]) for i, j in places])
    table = np.full((n, n + 1), np.nan)
    for (i, j), values in zip(places, scored):
        table[i, j] = np.nan if values is None else sum(values)
    return table, left_out


# ---------------------------------------------------------------------------------------------- the rows


@dataclass(frozen=True)
class _Chosen:
    prompts: list[str]
    answers: list[str]
    logprobs: list[float]  # NaN where not known
    tokens: list[float]
    different: int  # prompts of the whole run
    why: str = ""

    def gap(self, scored: np.ndarray) -> tuple[float, float]:
        """Mean of the scores less the log-probabilities at generation (nats a sample; NaN: none known), and how much may be."""
        known = np.isfinite(self.logprobs) & (np.array(self.tokens) > 0) & np.isfinite(scored)
        if not known.any():
            return math.nan, math.nan
        length = float(np.array(self.tokens)[known].mean())
        return float((scored - np.array(self.logprobs))[known].mean()), END + DRIFT * length


def _choose(data: Data, most: int) -> _Chosen:
    """One answer each of `most` prompts, every different prompt alike likely: those with the smallest seeded keys."""
    count, told, rows = UnitSums(1), Told(), 0
    best: dict[str, tuple[int, int, str, float | None, int]] = {}  # prompt → key, row's key, answer, logprob, tokens
    for table in data.rows(("prompt", "answer", "logprob", "tokens_out", "law")):
        told.add(table)
        names = [prompt or "" for prompt in table.column("prompt").to_pylist()]
        count.add([name for name in names if name], np.ones(sum(map(bool, names))))
        keys = keys_of([f"{data.seed} {name}" for name in names])
        edge = max((entry[0] for entry in best.values()), default=0) if len(best) >= most else 2**64
        for at in np.flatnonzero(keys <= np.uint64(min(edge, 2**64 - 1))):
            name = names[at]
            if not name:
                continue
            row = {c: table.column(c)[int(at)].as_py() for c in ("answer", "logprob", "tokens_out")}
            mine = int(keys_of([f"{data.seed} row {rows + int(at)}"])[0])
            entry = (int(keys[at]), mine, row["answer"] or "", row["logprob"], row["tokens_out"] or 0)
            if name not in best or mine < best[name][1]:
                best[name] = entry
        best = dict(sorted(best.items(), key=lambda item: item[1][0])[:most])
        rows += len(table)
    different = count.columns().shape[1]
    why = (
        "there are no kept rows" if not rows else "rows have no prompt" if not different else "all rows have one prompt"
    )
    usable = not told.why()
    return _Chosen(
        list(best),
        [entry[2] for entry in best.values()],
        [entry[3] if usable and entry[3] is not None else math.nan for entry in best.values()],
        [float(entry[4]) for entry in best.values()],
        different,
        why,
    )


def random_negatives(n: int, r: int, seed: int = 0) -> np.ndarray:
    """For each of n prompts, r other ones (n - 1 where there are no more), without replacement: (n, r) indices."""
    draws = np.random.default_rng(seed).random((n, n))
    np.fill_diagonal(draws, 2.0)
    return np.asarray(np.argsort(draws, axis=1)[:, : min(r, n - 1)])


# ---------------------------------------------------------------------------------------------- the ends


@dataclass(frozen=True)
class Ends:
    """Both ends from scores.

    `scores[i, j]` is ln M(y_i|p_j) (-inf: impossible), known at j = i and at the `others` of i; `empty[i]` that without a
    prompt; `use` the answers that are averaged (all by default). `different` prompts stand in the run. Not `exact`: the
    scorer is not the writer.
    """

    scores: np.ndarray
    empty: np.ndarray
    others: np.ndarray  # (n, r)
    different: int
    exact: bool = True
    use: np.ndarray | None = None

    def terms(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Leave-in, leave-one-out and empty-prompt terms, (3, n). `weights` (n) count each prompt so many times among the others."""
        n = len(self.scores)
        own, against = self.scores.diagonal(), self.scores[np.arange(n)[:, None], self.others]
        times = np.ones(self.others.shape) if weights is None else weights[self.others]
        top = np.maximum(own, against.max(axis=1))
        rest, many = (np.exp(against - top[:, None]) * times).sum(axis=1), times.sum(axis=1)
        with np.errstate(divide="ignore"):
            leave_in = own - top - np.log((np.exp(own - top) + rest) / (1 + many))
            one_out = np.where(many > 0, own - top - np.log(rest / np.maximum(many, 1)), np.inf)
        return np.stack([leave_in, one_out, own - self.empty])

    def ends(self, weights: np.ndarray | None = None) -> tuple[float, dict[str, float]]:
        """The lower end, and what the upper end is the least of."""
        times = np.ones(len(self.scores)) if weights is None else weights
        mine = times > 0 if self.use is None else (times > 0) & self.use
        low, one_out, empty = np.average(self.terms(weights)[:, mine], axis=1, weights=times[mine])
        high = {"leave-one-out": float(one_out), "empty prompt": float(empty)} if self.exact else {}
        return float(low), high | {f"ln {self.different:,} prompts": math.log(self.different)}

    def interval(self, seed: int, level: float = 0.95) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """Percentile intervals of both ends over resampled prompts, each as answer and as one of the others; None from few prompts.

        A prompt that is drawn twice stands once beside its own answer: doubled, it would be its own negative.
        """
        n = len(self.scores)
        use = np.ones(n, bool) if self.use is None else self.use
        if use.sum() < FEWEST:
            return None
        random = np.random.default_rng(seed)
        found: list[tuple[float, float]] = []
        while len(found) < RESAMPLES:
            weights = np.bincount(random.integers(0, n, n), minlength=n).astype(float)
            if weights[use].any():
                low, high = self.ends(weights)
                found.append((low, min(high.values())))
        edges = np.quantile(np.array(found), [(1 - level) / 2, (1 + level) / 2], axis=0)
        return (float(edges[0, 0]), float(edges[1, 0])), (float(edges[0, 1]), float(edges[1, 1]))


def _readings(ends: Ends, seed: int, note: str, doubt: str) -> list[Reading]:
    low, uppers = ends.ends()
    which = min(uppers, key=lambda name: uppers[name])
    high, r = uppers[which], ends.others.shape[1]
    n = len(ends.scores) if ends.use is None else int(ends.use.sum())
    (bottom, roof), (floor, ceiling) = ends.interval(seed) or ((None, None), (None, None))
    note += "" if bottom is not None else "; too few prompts for an interval"
    above = "; the least of: " + ", ".join(f"{name} {value:.3g}" for name, value in uppers.items())
    above += f"; {doubt}, so only ln N is a bound" if doubt else ""
    if which.startswith("ln "):
        floor = ceiling = None
        above += "; a number of prompts has no sampling error, so no interval"
    first = max(0.0, low if bottom is None else bottom)
    last = max(first, high if ceiling is None else ceiling)
    between = f"I lies between {max(0.0, low):.3g} (leave-in) and {max(0.0, high):.3g} ({which}); low and high are their outer limits"
    over = "bootstrap over prompts"
    return [
        Reading(
            "i_prompt_low",
            low,
            bottom,
            roof,
            unit=UNIT,
            n=n,
            estimator=f"leave-in of {r + 1}, {over}",
            kind="lower bound",
            note=f"{note}; cannot exceed ln {r + 1} = {math.log(r + 1):.2f}",
        ),
        Reading(
            "i_prompt_high",
            high,
            floor,
            ceiling,
            unit=UNIT,
            n=n,
            estimator=f"{which}, {over}",
            kind="upper bound",
            note=note + above,
        ),
        Reading(
            "i_prompt",
            max(0.0, low),
            first,
            last,
            unit=UNIT,
            n=n,
            estimator=f"leave-in; {which}; {over}",
            kind="lower bound",
            note=f"{between}; {note}",
        ),
    ]


def _none(why: str, n: int) -> list[Reading]:
    kinds: tuple[ReadingClass, ...] = ("lower bound", "upper bound", "lower bound")
    names = ("i_prompt_low", "i_prompt_high", "i_prompt")
    return [nothing(name, why, unit=UNIT, kind=kind, n=n) for name, kind in zip(names, kinds)]
