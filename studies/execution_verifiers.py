"""How often does the check `unit-tests` let a wrong program through, and how often does it drop a right one?

Hypothesis, written before the first run: (1) every reference solution stays; (2) another task's solution never does; (3) of small changes to a
reference solution that make it wrong on some input, the three tests of MBPP let more than one in twenty through, because they are three.

What is right is not what the three tests say: a changed program counts as right where it gives what the reference solution gives on all inputs
of EvalPlus for that task (up to two hundred of them; not all of MBPP's own three are among them), and as wrong elsewhere. The changes are drawn by content, up
to six a task: another comparison or operator, a constant off by one, a negated condition, a range one shorter, a statement left out.

Tasks where the reference solution cannot answer EvalPlus's inputs (they hold lists where it wants tuples) are left out of this part, and counted.

The data lie outside the project: the folder is SYNTHGAIN_DATA, or ../shared/data. Run it without arguments; it writes
`execution_verifiers.json` beside itself and prints the table of docs/verifiers-execution.md. Everything runs in the sandbox.
"""

from __future__ import annotations

import ast
import copy
import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from synthgain.curate.unit_tests import UnitTests, task_of
from synthgain.intervals import wilson
from synthgain.sandbox import Limits, shared
from synthgain.types import Anchor, Row

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SYNTHGAIN_DATA", HERE.parent.parent / "shared" / "data"))
CHECK = UnitTests(seconds=2)
EACH = 6  # changes of one reference solution, at most
LONGEST = 200_000  # characters of the inputs of one task
OTHER = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Mod: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / "code" / f"{name}.jsonl.gz", "rt", encoding="utf8") as file:
        return [json.loads(line) for line in file]


def changes(program: str) -> Iterator[str]:
    """All programs that differ from it in one place."""
    tree = ast.parse(program)
    for at, node in enumerate(ast.walk(tree)):
        for change in _changes_of(node):
            changed = copy.deepcopy(tree)
            place = next(other for number, other in enumerate(ast.walk(changed)) if number == at)
            change(place)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text != ast.unparse(tree):
                yield text


def _changes_of(node: ast.AST) -> Iterator[Any]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        yield lambda place: place.ops.__setitem__(0, OTHER[type(place.ops[0])]())
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        yield lambda place: setattr(place, "op", OPERATORS[type(place.op)]())
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield lambda place: setattr(place, "value", place.value + 1)
    if isinstance(node, ast.If | ast.While):
        yield lambda place: setattr(place, "test", ast.UnaryOp(ast.Not(), place.test))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and node.args:
        yield lambda place: place.args.__setitem__(-1, ast.BinOp(place.args[-1], ast.Sub(), ast.Constant(1)))
    if isinstance(node, ast.FunctionDef | ast.For | ast.If) and len(node.body) > 1:
        yield lambda place: place.body.pop(len(place.body) // 2)


def drawn(task: dict[str, Any]) -> list[str]:
    """Some changes of a task's reference solution, drawn by its content."""
    program = task["code"].replace("\r\n", "\n")
    found = sorted(set(changes(program)))
    return random.Random(program).sample(found, min(EACH, len(found)))


def right(program: str, task: dict[str, Any], inputs: list[Any]) -> bool:
    """Whether it gives what the reference solution gives, on all inputs that this can be asked of; there has to be one."""
    entry = task["entry_point"]
    reference = task["code"].replace("\r\n", "\n").replace(f"def {entry}(", f"def reference_{entry}(")
    reference = reference.replace(f" {entry}(", f" reference_{entry}(")
    test = (
        f"import copy, math\ndef same(a, b):\n    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9))\n"
        f"asked = 0\nfor given in {inputs!r}:\n    try:\n        wanted = reference_{entry}(*copy.deepcopy(given))\n    except Exception:\n        continue\n"
        f"    asked += 1\n    assert same({entry}(*copy.deepcopy(given)), wanted)\nassert asked\n"
    )
    return shared().examine(program, [reference + "\n" + test], limits=Limits(seconds=5)).passed


def inputs_of(task: dict[str, Any]) -> list[Any]:
    """EvalPlus's inputs, MBPP's own first; an empty mapping stands where there are none."""
    return [given for name in ("base_input", "plus_input") if isinstance(task[name], list) for given in task[name]][
        :200
    ]


def share(name: str, held: int, of: int) -> str:
    low, high = wilson(held, of)
    return f"{name}: {held} of {of}, {held / of:.3f} [{low:.3f}, {high:.3f}]" if of else f"{name}: none"


def verdict(task: dict[str, Any], program: str) -> str:
    """The check's reason, "" where the row stays."""
    return CHECK(Row(text=f"```python\n{program}\n```"), [Anchor("", "", task)]).reason


def main() -> None:
    mbpp, human_eval = rows("mbpp_prompt_val_train"), rows("humaneval")
    plus = {row["task_id"]: row for row in rows("mbpp_plus_nontest")}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        found: dict[str, Any] = {}
        for name, tasks in (("MBPP", mbpp), ("HumanEval", human_eval)):
            own = [row["code"] if name == "MBPP" else row["prompt"] + row["canonical_solution"] for row in tasks]
            assert all(task_of(Anchor("", "", task)) for task in tasks)
            found[f"{name}, reference solutions"] = Counter(threads.map(verdict, tasks, own))
            found[f"{name}, another task's solution"] = Counter(threads.map(verdict, tasks, own[1:] + own[:1]))
        for row in mbpp:
            if row["task_id"] in plus:
                row["entry_point"] = plus[row["task_id"]]["entry_point"]
        labelled = [row for row in mbpp if row["task_id"] in plus and f"def {row['entry_point']}(" in row["code"]]
        known = threads.map(lambda row: right(row["code"], row, inputs_of(plus[row["task_id"]])), labelled)
        usable = [row for row, itself in zip(labelled, list(known), strict=True) if itself]
        pairs = [(row, program) for row in usable for program in drawn(row)]
        inputs = [inputs_of(plus[row["task_id"]]) for row, _ in pairs]
        asked = [len(repr(one)) < LONGEST for one in inputs]
        plain = [{k: v for k, v in row.items() if k != "entry_point"} for row, _ in pairs]
        truth = list(
            threads.map(lambda k: right(pairs[k][1], pairs[k][0], inputs[k]) if asked[k] else None, range(len(pairs)))
        )
        said = list(threads.map(lambda k: verdict(plain[k], pairs[k][1]), range(len(pairs))))
    shared().close()
    for label in (True, False):
        name = "MBPP, changed and " + ("right" if label else "wrong")
        found[name] = Counter(reason for reason, is_right in zip(said, truth) if is_right is label)
    for name, counts in found.items():
        print(share(f"{name}, kept", counts[""], sum(counts.values())), dict(counts.most_common()))
    result = {
        "tasks_labelled": len(usable),
        "tasks_without_label": len(labelled) - len(usable),
        "changes": len(pairs),
        "too_long": asked.count(False),
        "verdicts": {k: dict(v) for k, v in found.items()},
    }
    (HERE / "execution_verifiers.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
