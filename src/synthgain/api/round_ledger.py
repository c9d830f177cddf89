"""The information ledger of a loop: what each round brought, from whom, and what of it was lost.

Only what was measured stands there; a figure that was not is null and says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from synthgain.api.sources import data_of_run
from synthgain.measure.data import Data, nothing
from synthgain.measure.resample import share_reading
from synthgain.measure.rounds import distinct_alike, nats_in_all, repeated
from synthgain.store import Run
from synthgain.types import Reading

OF_THE_RUN = ("kept_share", "curation_nats", "delta_I", "delta_I_sample", "tokens_out")  # as the meter has them
AT_ONCE = 512  # rows whose calls are looked up together


def ledgers(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """A ledger for each round, in their order: {"candidates", "kept", "repeated", "dropped_by", "readings"}.

    Diversity is compared at a size that all rounds have, so a further round may change the earlier ones' figure.
    """
    data = [data_of_run(Run.at(run)) for run in runs]
    alike = distinct_alike(data)
    return [_ledger(Run.at(run), data[n], data[:n], alike[n]) for n, run in enumerate(runs)]


def _ledger(run: Run, data: Data, earlier: Sequence[Data], diversity: Reading) -> dict[str, Any]:
    counts = run.record["counts"]
    read = {r.name: r for r in run.readings()}
    again, share = repeated(data, earlier)
    own = [read.get(name) or nothing(name, "the run was not measured") for name in OF_THE_RUN]
    by_check = [r for name, r in read.items() if name.startswith("curation_nats/")]
    found = [*own, *by_check, *nats_in_all(list(read.values()), counts["kept"], again), share, diversity, cut_off(run)]
    return {
        "candidates": counts["rows"],
        "kept": counts["kept"],
        "repeated": again,
        "dropped_by": dict(run.record["dropped_by"]),
        "readings": [r.json() for r in found],
    }


def cut_off(run: Run) -> Reading:
    """Share of the calls behind the candidates that ended at the limit of tokens; prompts are the unit of its interval."""
    place: dict[str, int] = {}
    part: list[int] = []
    whole: list[int] = []
    rows = (row for shard in run.shards(["anchor_ids", "call_ids"]) for row in shard.to_pylist())
    while some := list(islice(rows, AT_ONCE)):
        calls = run.bought([id for row in some for id in row["call_ids"]])
        for row in some:
            unit = place.setdefault(" ".join(row["anchor_ids"]), len(place))
            if unit == len(part):
                part.append(0)
                whole.append(0)
            mine = [calls[id] for id in row["call_ids"] if id in calls]
            part[unit] += sum(call.finish == "length" for call in mine)
            whole[unit] += len(mine)
    if not sum(whole):
        return nothing("cut_off", "no call stands behind the rows", unit="prob")
    note = f"{sum(part):,} of {sum(whole):,} calls behind the candidates"
    how = "calls that ended at the limit of tokens"
    return share_reading("cut_off", np.array(part), np.array(whole), estimator=how, note=note)
