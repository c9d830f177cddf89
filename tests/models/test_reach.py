"""A URI, a role and the environment say how a model is reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.server import Server, served
from synthgain.models import Reach, open_model
from synthgain.types import CallFailed, Prompt, SynthgainError, user

ASK = Prompt((user("Hi"),))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served() as one:
        yield one


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_JUDGE", "OPENAI_API_KEY_SECOND_JUDGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["double", "org/model", "@cf/meta/llama", "a@b/c@d"])
async def test_the_url_behind_the_name_wins_and_the_name_is_the_rest(server: Server, name: str) -> None:
    server.become(model=name)
    uri = f"openai/{name}@{server.base_url}"
    model = open_model(uri, Reach(base_url="http://127.0.0.1:9/v1"))
    call = await model(ASK)
    await model.aclose()
    assert call.model == model.uri == uri and call.text
    assert model.identity == open_model(f"openai/{name}", Reach(base_url=server.base_url)).identity


def test_without_a_url_both_ways_to_give_one_are_named() -> None:
    with pytest.raises(SynthgainError) as error:
        open_model("openai/double")
    for way in ("OPENAI_BASE_URL", "--base-url", "openai/double@http://"):
        assert way in error.value.next


@pytest.mark.parametrize("url", ["https://me:word@host/v1", "HTTPS://me:word@host/v1", "http://me:word@host:99999/v1"])
def test_a_user_or_password_in_a_uri_is_refused_unseen(url: str) -> None:
    with pytest.raises(SynthgainError) as error:
        open_model(f"openai/double@{url}")
    assert error.value.code == 2 and "word@" not in str(error.value) and "OPENAI_API_KEY" in error.value.next


@pytest.mark.parametrize(("role", "key"), [("writer", "plain"), ("judge", "of the judge"), ("second-judge", "second")])
async def test_the_key_is_the_roles_own_else_the_common_one(
    server: Server, monkeypatch: pytest.MonkeyPatch, role: str, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "plain")
    monkeypatch.setenv("OPENAI_API_KEY_JUDGE", "of the judge")
    monkeypatch.setenv("OPENAI_API_KEY_SECOND_JUDGE", "second")
    server.become(key=key)
    model = open_model("openai/double", Reach(base_url=server.base_url), role)
    assert (await model(ASK)).text
    await model.aclose()


async def test_price_and_label_are_for_all_roles_or_by_role(server: Server) -> None:
    server.become(usage=True)
    by_role = Reach(server.base_url, served_as={"judge": "lab"}, price={"judge": "2,2", "": "1,1"})
    writer, judge, other = (open_model("openai/double", by_role, role) for role in ("writer", "judge", "search"))
    assert writer.identity == other.identity != judge.identity
    costs = [(await model(ASK)).cost for model in (writer, judge, other)]
    assert costs[1] == pytest.approx(2 * (costs[0] or 0)) and costs[0] == costs[2] and costs[0]
    for model in (writer, judge, other):
        await model.aclose()
    everybody = Reach(server.base_url, served_as="lab", price="1,1")
    assert {open_model("openai/double", everybody, role).identity for role in ("writer", "judge")} == {judge.identity}


# ---------------------------------------------------------------------------------------------- the double

CALLED = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


async def test_a_script_answers_with_texts_and_with_messages(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    lines = [
        {"match": "rain", "answer": {"content": "", "tool_calls": [CALLED], "reasoning": "Ask."}},
        {"match": "count", "answer": 7},
        {"match": "text", "answer": "line\u2028break"},
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    model = open_model(f"scripted/{path}")
    rain = await model(Prompt((user("Will it rain?"),)))
    assert rain.message == {"role": "assistant", "content": "", "tool_calls": [CALLED], "reasoning": "Ask."}
    assert (rain.finish, rain.text) == ("tool_calls", "")
    assert [(await model(Prompt((user(said),)))).text for said in ("count", "text")] == ["7", "line\u2028break"]
    with pytest.raises(CallFailed, match="no line"):
        await model(Prompt((user("else"),)))


@pytest.mark.parametrize("line", ['{"match": "x"}', "[1]", '{"answer": null}', '{"answer": {"contents": "x"}}'])
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text(f'{{"answer": "fine"}}\n{line}\n')
    with pytest.raises(SynthgainError) as error:
        open_model(f"scripted/{path}")
    assert error.value.where.endswith("script.jsonl:2") and error.value.next


def test_a_script_has_as_many_calls_in_flight_as_is_asked_for() -> None:
    widths = {uri: open_model(uri, Reach(concurrency=4)).width for uri in ("scripted/echo", "scripted/words?width=9")}
    assert widths == {"scripted/echo": 4, "scripted/words?width=9": 9}
    assert open_model("scripted/echo", Reach()).width == 64


@pytest.mark.parametrize("uri", ["scripted/words?N=5", "scripted/echo?width=0", "scripted/echo?latency=soon"])
def test_a_setting_that_a_script_does_not_have_is_refused(uri: str) -> None:
    with pytest.raises(SynthgainError, match=r"no setting|no call through|could not convert"):
        open_model(uri, Reach())
