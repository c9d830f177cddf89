"""What weights say of their licence and descent, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthgain.models.licences import Licensed, licensed


def test_known_weights_need_not_be_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path))
    found = licensed("local/qwen2.5-coder-1.5b")
    assert found is not None and found.licence == "Apache-2.0"
    assert licensed("openai/anything") is None and licensed("scripted/echo") is None


@pytest.mark.parametrize(
    ("readme", "licence", "named"),
    [
        ("---\nlicense: gemma\nbase_model: google/gemma-3-270m\n---\n# A card", "gemma", "google/gemma-3-270m"),
        (
            '---\nlicense: other\nlicense_name: "llama3.2"\nbase_model:\n- meta-llama/Llama-3.2-1B\n---\n',
            "llama3.2",
            "meta-llama/Llama-3.2-1B",
        ),
        ("# No header\nlicense: mit\n", None, "student"),
        (None, None, "google/gemma-2b"),
    ],
)
def test_a_folder_says_it_in_its_readme_and_configuration(
    tmp_path: Path, readme: str | None, licence: str | None, named: str
) -> None:
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "gemma2", "_name_or_path": "google/gemma-2b"}))
    if readme is not None:
        (folder / "README.md").write_text(readme)
    found = licensed(f"hf/{folder}")
    assert found is not None and found.licence == licence and named in found.names


def test_what_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert licensed(f"local/{tmp_path}/gemma-3.gguf") == Licensed(None, ("gemma-3.gguf",))
