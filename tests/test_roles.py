"""Each role with a model of its own: server, key and price, from the command line to the record; a key is written nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doubles.server import served
from doubles.typed import Said, typed

RECIPE = """
from synthgain.types import Prompt, Recipe, Row, drop, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),)))
    judged = await models(Prompt((user("Is this good? " + call.text),), to="judge"))
    yield Row(text=call.text, calls=(call, judged))

RECIPE = Recipe("judged", "1", draft, roles=("writer", "judge"))
"""
WRITER_KEY, JUDGE_KEY = "sk-writer-0123456789", "sk-judge-9876543210"


Typed = Callable[..., Said]


@pytest.fixture
def synthgain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """`synthgain("generate", …, NAME=VALUE)`: a command line and its environment, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, **environment: str) -> Said:
        with monkeypatch.context() as patch:
            for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_JUDGE", "OPENAI_BASE_URL"):
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            return typed(words, patch, capsys)

    return command


def test_a_judge_elsewhere_has_its_own_server_key_and_price(tmp_path: Path, synthgain: Typed) -> None:
    (tmp_path / "judged.py").write_text(RECIPE)
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(5)))
    keys = {"OPENAI_API_KEY": WRITER_KEY, "OPENAI_API_KEY_JUDGE": JUDGE_KEY}
    with served(key=WRITER_KEY, model="big") as writer, served(key=JUDGE_KEY, model="small") as judge:
        words = ["generate", "judged.py", "texts.jsonl", "-o", "run", "-m", f"writer=openai/big@{writer.base_url}"]
        words += ["-m", f"judge=openai/small@{judge.base_url}", "--price", "writer=100,0", "--price", "judge=0,1000000"]
        done = synthgain(*words, "--json", **keys)
        assert done.code == 0, done.err
        record: dict[str, Any] = json.loads(done.out)
        again = synthgain(*words, "--json", **keys)
        assert json.loads(again.out)["counts"]["calls_bought"] == 0
        refused = synthgain(*words[:4], "wrong", *words[5:], OPENAI_API_KEY=WRITER_KEY)
        assert refused.code == 4 and "does not accept the key" in refused.err
    assert record["models"] == {"writer": f"openai/big@{writer.base_url}", "judge": f"openai/small@{judge.base_url}"}
    assert record["counts"]["kept"] == 5 and record["cost_usd"] == pytest.approx(
        5 * 8 + record_in(record) * 1e-4, rel=0.2
    )
    for file in tmp_path.rglob("*"):
        if file.is_file():
            held = file.read_bytes()
            assert WRITER_KEY.encode() not in held and JUDGE_KEY.encode() not in held, file
    assert WRITER_KEY not in done.out + done.err + refused.out + refused.err


def record_in(record: dict[str, Any]) -> int:
    """Tokens read by the writer alone: the judge's cost nothing here."""
    return int(record["tokens"]["in"]) // 2


def test_a_role_without_a_model_is_refused_before_anything_is_bought(tmp_path: Path, synthgain: Typed) -> None:
    (tmp_path / "judged.py").write_text(RECIPE)
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n')
    done = synthgain("generate", "judged.py", "texts.jsonl", "-o", "run", "-m", "writer=scripted/echo")
    assert done.code == 2 and "no model is named for the role 'judge'" in done.err
    assert not (tmp_path / "run").exists()
