"""A wave is a function of picklable things: another process gives the same shard. Two writers, two segments, joined once."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

from synthgain import generate
from synthgain.api.asking import asked, opened
from synthgain.chain import Numbered, Request, Shard, draft
from synthgain.store import CallMemory
from synthgain.types import Anchor


def request() -> Request:
    return asked(
        "rephrase",
        model="scripted/words?n=12&latency=0.005",
        knobs={"styles": ("easy", "qa")},
        with_=["length=3"],
        seed=5,
    ).request


def groups(begin: int, end: int) -> list[Numbered]:
    return [Numbered(i, 0, (Anchor(f"Mill number {i} of Orrin has {i} wheels.", f"a#{i}"),)) for i in range(begin, end)]


def told(shard: Shard) -> list[tuple[str, str | None, tuple[str, ...], str]]:
    return [(row.id, row.text, row.anchors, row.fallen.reason if row.fallen else "") for row in shard.rows]


def test_another_process_gives_the_same_shard(tmp_path: Path) -> None:
    here = draft(request(), groups(0, 20), tmp_path / "here", opened)
    with get_context("spawn").Pool(1) as pool:
        there = pool.apply(draft, (request(), groups(0, 20), tmp_path / "there", opened))
    assert told(here) == told(there) and len(here.rows) == 40
    assert here.tally.calls_bought == there.tally.calls_bought == 40
    again = draft(request(), groups(0, 20), tmp_path / "there", opened)
    assert told(again) == told(here) and again.tally.calls_bought == 0


def test_a_request_comes_back_from_its_record(tmp_path: Path) -> None:
    run = generate(
        "rephrase",
        ["One text about a mill."],
        model="scripted/echo",
        out=tmp_path / "run",
        knobs={"styles": ("qa",)},
        with_=["language=en"],
        limit=1,
        seed=3,
    )
    read = Request.read(run.request)
    assert read.json() == run.request
    parts = opened(read)
    assert parts.recipe.draft.styles == ("qa",)  # type: ignore[attr-defined]
    assert [c.name for c in parts.checks][-1] == "language"


WRITER = """
import sys
from pathlib import Path
from test_wave import draft, groups, opened, request
begin = int(sys.argv[2])
shard = draft(request(), groups(begin, begin + 30), Path(sys.argv[1]), opened, segment=f"worker-{begin}")
print(len(shard.rows), shard.tally.calls_bought)
"""


def test_two_writers_in_two_processes_are_joined_once(tmp_path: Path) -> None:
    import os

    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "calls"), str(begin)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        for begin in (0, 20)
    ]
    outs = [writer.communicate(timeout=120)[0].split() for writer in writers]
    assert [int(out[0]) for out in outs] == [60, 60]
    memory = CallMemory(tmp_path / "calls", readonly=True)
    assert (
        len(memory) == len({call.id for call in memory}) == 100
    )  # 50 groups, two styles; ten groups were both writers'
    memory.close()
    joined = draft(request(), groups(0, 50), tmp_path / "calls", opened)
    assert joined.tally.calls_bought == 0 and len(joined.rows) == 100
