"""Generator randomness: ΔI = H(M(p) | p), the mean of -ln M_T(y | p) under the law that y was sampled from (ESTIMATORS I1).

It says how much chance the writer put in, not how useful the text is: it grows without limit with temperature.

One pass over the rows. Kept in memory: 32 bytes for each different prompt (three times that for moments), and 2^18 entries.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthgain.intervals import mean_t, t_quantile
from synthgain.measure.data import Data, nothing, units
from synthgain.types import Reading

COLUMNS = ("anchor_ids", "prompt", "logprob", "tokens_out", "law")
GREEDY = "greedy"
ROUNDING = 1e-6  # nats above 0 that a sum of log-probabilities may have by rounding
BUFFER = 1 << 18
LAWS = 1_000  # different texts of `law` that are counted one by one
CENSORED = "answers cut at max_tokens count up to the cut (censored; these columns do not say which)"


def delta_i(data: Data) -> list[Reading]:
    """`delta_I` (nats/token, Σ/Σ) and `delta_I_sample` (nats/sample, prompts weigh alike), intervals by t over prompts."""
    sums, told, wordless, start = UnitSums(3), Told(), 0, 0
    for table in data.rows(COLUMNS):
        told.add(table)
        tokens = counts_of(table)
        wordless += int((tokens <= 0).sum())
        nats = -logprobs_of(table)
        sums.add(units(table, start), nats, tokens, np.ones(len(table)))
        start += len(table)
    why = told.why()
    if why:
        return [nothing("delta_I", why, unit="nats/token"), nothing("delta_I_sample", why, unit="nats/sample")]
    nats, tokens, rows = sums.columns()
    note = "; ".join(said for said in (f"law: {told.law}", _kept(data), CENSORED) if said)
    value, low, high = alone(*mean_t((nats / rows).tolist()), told.law)
    per_sample = Reading(
        "delta_I_sample",
        value,
        low,
        high,
        unit="nats/sample",
        n=len(rows),
        estimator="mean over prompts of the mean of -ln M_T(y|p), t over prompts",
        note=_with(note, low, len(rows)),
    )
    if wordless:
        return [
            nothing("delta_I", f"{wordless:,} of {start:,} rows have no token count", unit="nats/token", n=len(rows)),
            per_sample,
        ]
    value, low, high = alone(*ratio_t(nats, tokens), told.law)
    per_token = Reading(
        "delta_I",
        value,
        low,
        high,
        unit="nats/token",
        n=len(rows),
        estimator="Σ -ln M_T(y|p) / Σ tokens, delta-method t over prompts",
        note=_with(note, low, len(rows)),
    )
    return [per_token, per_sample]


def _kept(data: Data) -> str:
    """What curation means for the figure, where it dropped something."""
    dropped = any(step.kept < step.seen for step in data.ledger if step.check != "accept")
    return "kept rows only: a mean over what curation chose, not over all of M(p)" if dropped else ""


def _with(note: str, low: float | None, n: int) -> str:
    if low is not None:
        return note
    why = "one prompt gives no interval" if n < 2 else "every prompt gives the same figure, so there is no interval"
    return f"{note}; {why}"


def alone(
    value: float, low: float | None, high: float | None, law: str = ""
) -> tuple[float, float | None, float | None]:
    """The same without an interval of no width, unless the law leaves nothing to chance."""
    if low is not None and high is not None and high - low <= 1e-12 * abs(value) and law != GREEDY:
        return value, None, None
    return value, low, high


# ---------------------------------------------------------------------------------------------- what rows tell


def logprobs_of(table: pa.Table) -> np.ndarray:
    """Log-probabilities as float64, NaN where there is none."""
    column = table.column("logprob").cast(pa.float64())
    return np.asarray(column.fill_null(float("nan")).combine_chunks().to_numpy(zero_copy_only=False), float)


def counts_of(table: pa.Table) -> np.ndarray:
    """Token counts as float64, 0 where not known."""
    column = table.column("tokens_out").cast(pa.float64())
    return np.asarray(column.fill_null(0.0).combine_chunks().to_numpy(zero_copy_only=False), float)


@dataclass
class Told:
    """What rows say of their log-probabilities, counted batch by batch: whether they can be used, and if not why not."""

    rows: int = 0
    missing: int = 0
    unfinite: int = 0
    positive: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    laws: Counter[str] = field(default_factory=Counter)

    def add(self, table: pa.Table) -> None:
        """The table has `logprob` and `law`."""
        values, null = logprobs_of(table), table.column("logprob").is_null()
        self.rows += len(table)
        self.missing += int(pc.sum(null).as_py() or 0)
        self.unfinite += int((~np.isfinite(values)).sum()) - int(pc.sum(null).as_py() or 0)
        self.positive += int((np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) > ROUNDING).sum())
        laws = table.column("law").fill_null("")
        for counter, chosen in ((self.reasons, laws.filter(null)), (self.laws, laws.filter(pc.invert(null)))):
            for each in pc.value_counts(chosen):
                law = each["values"].as_py()
                if law in counter or len(counter) < LAWS:
                    counter[law] += each["counts"].as_py()

    @property
    def law(self) -> str:
        """The law of most rows."""
        return self.laws.most_common(1)[0][0] if self.laws else ""

    def why(self) -> str:
        """Why the log-probabilities cannot be used; "" where they can."""
        if not self.rows:
            return "there are no kept rows"
        if self.missing:
            most = self.reasons.most_common(1)[0][0] if self.reasons else ""
            share = f"{self.missing:,} of {self.rows:,} rows ({self.missing / self.rows:.1%}) have no log-probability"
            return f"{share}: {most or 'no token log-probabilities'}"
        if self.unfinite:
            return f"{self.unfinite:,} of {self.rows:,} rows have a log-probability that is not a finite number"
        if self.positive:
            return f"{self.positive:,} of {self.rows:,} rows have a log-probability above 0"
        if len(self.laws) > 1:
            named = ", ".join(f"{law or 'not named'} ({count:,})" for law, count in self.laws.most_common(3))
            return f"the rows come from {len(self.laws):,} laws, whose figures must not be mixed: {named}"
        if not self.law:
            return 'the rows do not name the law that their log-probabilities are of (column "law")'
        return ""


# ---------------------------------------------------------------------------------------------- sums by prompt


def keys_of(names: Sequence[str]) -> np.ndarray:
    """64-bit keys of names, the same in every run; a million names collide with a chance of 3e-8."""
    known: dict[str, int] = {}
    for name in names:
        if name not in known:
            known[name] = int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return np.fromiter((known[name] for name in names), np.uint64, len(names))


class UnitSums:
    """Sums of `width` columns inside each unit, over any number of batches, rows of a unit anywhere."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._keys: list[np.ndarray] = []
        self._values: list[np.ndarray] = []  # (width, entries) each
        self._waiting = 0

    def add(self, names: Sequence[str], *columns: np.ndarray) -> None:
        """One batch: the unit of each row, and its values."""
        keys, values = _merged(keys_of(names), np.stack([np.asarray(c, float) for c in columns]))
        self._keys.append(keys)
        self._values.append(values)
        self._waiting += len(keys)
        if self._waiting > BUFFER:
            self._merge()

    def columns(self) -> np.ndarray:
        """The sums, (width, units); the order of units depends on their names only."""
        self._merge()
        return self._values[0] if self._values else np.zeros((self.width, 0))

    def _merge(self) -> None:
        if len(self._keys) > 1:
            keys, values = _merged(np.concatenate(self._keys), np.concatenate(self._values, axis=1))
            self._keys, self._values = [keys], [values]
        self._waiting = 0


def _merged(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found, at = np.unique(keys, return_inverse=True)
    return found, np.stack([np.bincount(at, weights=row, minlength=len(found)) for row in values])


def ratio_t(top: np.ndarray, bottom: np.ndarray, level: float = 0.95) -> tuple[float, float | None, float | None]:
    """(Σ top / Σ bottom, low, high) over independent units: linearised, Student's t; no interval from fewer than two units."""
    ratio, n = float(top.sum() / bottom.sum()), len(top)
    if n < 2:
        return ratio, None, None
    rest = top - ratio * bottom
    half = t_quantile(level, n - 1) * float(np.sqrt(n / (n - 1) * (rest @ rest))) / abs(float(bottom.sum()))
    return ratio, ratio - half, ratio + half
