"""Are the four short documents learned, where a student reads 56,000 tokens instead of the demo's 16,000?

Hypothesis, written and committed before the first run: at 56,000 tokens a student, everything else as in `synthgain demo --documents`, the
arm `document-qa` (the documents with the questions and answers that a 1.5B model wrote on them) has more than `repeated` (the documents
alone, again and again), with an interval above zero: in `answer_margin` at the learning rate 4e-4, which is run first, and in accuracy on
the questions of one fact. A pilot in another program at 2e-4 had .50 against .31 of one-fact questions, one seed. The second rate, 2e-4,
says whether the order hangs on the rate. One seed; nothing is chosen on these questions.

Run it without arguments (an hour and a half on two slow cores; it goes on where it was stopped). What was made lies in
runs/documents-learned; it writes `documents_learned.json` beside itself and prints the tables of `documents_learned.md`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from synthgain.api import demo_documents
from synthgain.api.showing_documents import RECIPES

HERE = Path(__file__).parent
RUNS = Path(os.environ.get("SYNTHGAIN_RUNS", HERE.parent / "runs")) / "documents-learned"
RATES = (4e-4, 2e-4)


def main() -> None:
    found: dict[str, Any] = {}
    for rates in (RATES[:1], RATES):  # each rate is written down when it is done
        found = demo_documents(
            RUNS, recipes={"document-qa": RECIPES["document-qa"]}, rates=rates, settings={"tokens": 56_000}
        )
        kept = {key: found[key] for key in ("arms", "differences", "by_rate", "foretold")}
        (HERE / "documents_learned.json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    print(table(found))


def table(found: dict[str, Any]) -> str:
    lines = ["| rate | arm | accuracy | margin, nats | less repeated, nats |", "|---" * 5 + "|"]
    for at in found["by_rate"]:
        for arm in at["arms"]:
            told = {one["name"]: one for one in (*arm["readings"], *arm["less_reference"])}
            less = [shown(one, "+") for one in arm["less_reference"] if "margin" in one["name"]]
            figures = [shown(told[name]) for name in ("accuracy", "answer_margin")]
            lines.append(f"| {at['learning_rate']:g} | {arm['name']} | {' | '.join(figures)} | {' '.join(less)} |")
    return "\n".join(lines)


def shown(one: dict[str, Any], sign: str = "") -> str:
    return f"{one['value']:{sign}.2f} [{one['low']:{sign}.2f}, {one['high']:{sign}.2f}]"


if __name__ == "__main__":
    main()
