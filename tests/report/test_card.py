"""The card: a YAML header that parses whatever the names are, and a data set that loads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from doubles.folders import MODEL, make_rows, problem, run_folder, run_record
from synthgain.report.card import card, size_category

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
COLUMNS = ["id", "messages", "gold"]
WILD = "x: [a] {b} #c 'd' \"e\" \\ \n---\n- | <script> `t` ⟨ \u202e \x00 \x85 \u2028 \ufeff \U0001f41f"


def record(**changes: Any) -> dict[str, Any]:
    import random

    anchors = [problem(random.Random(i)) for i in range(4)]
    return run_record(anchors, make_rows(anchors, 3, random.Random(0)), changes)


def head(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    parsed = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert isinstance(parsed, dict)
    return parsed


def test_the_header_says_what_hubs_read() -> None:
    parsed = head(card(record(language="en"), columns=COLUMNS, rows_kept=114, licences={MODEL: None}))
    assert (
        "configs" not in parsed
    )  # with it `datasets` caches by the folder's name, and each run's folder is called data
    assert parsed["size_categories"] == ["n<1K"] and parsed["language"] == ["en"]
    assert "synthetic" in parsed["tags"] and parsed["task_categories"] == ["text-generation"]


@pytest.mark.parametrize(
    ("models", "licences", "said"),
    [
        ({"writer": "a"}, {}, "other"),
        ({"writer": "a"}, {"a": None}, "other"),
        ({"writer": "a"}, {"a": "Apache-2.0"}, "apache-2.0"),
        ({"writer": "a", "judge": "b"}, {"a": "Apache-2.0"}, "other"),
        ({"writer": "a", "judge": "b"}, {"a": "Apache-2.0", "b": "MIT"}, ["apache-2.0", "mit"]),
        ({"writer": "a"}, {"a": "see the file: LICENCE\nlicense: mit"}, "other"),
        ({}, {}, "other"),
    ],
)
def test_the_licence_is_other_unless_all_are_known(
    models: dict[str, str], licences: dict[str, str | None], said: object
) -> None:
    text = card(record(models=models), columns=COLUMNS, rows_kept=1, licences=licences)
    assert head(text)["license"] == said
    assert "did not check whether the terms of these models allow training" in text


def test_terms_that_go_with_the_data_stand_in_the_card() -> None:
    asks = "Gemma's terms bind models trained on its outputs to do as it does (licence gemma)."
    text = card(record(), columns=COLUMNS, rows_kept=1, licences={MODEL: "gemma"}, terms={MODEL: asks})
    assert "Gemma's terms bind" in text and text.index("Models and licences") < text.index("Gemma's terms bind")
    assert "Gemma" not in card(record(), columns=COLUMNS, rows_kept=1, licences={MODEL: "Apache-2.0"})


def test_the_text_names_recipe_source_counts_seeds_costs_and_reasons() -> None:
    made = record()
    text = card(made, columns=COLUMNS, rows_kept=made["counts"]["kept"], licences={MODEL: "apache-2.0"})
    for words in (
        "`rft`",
        "2308.01825",
        MODEL,
        "| seed | 0 |",
        "$0.00",
        "0.1.0",
        "3 min 31 s",
        "synthgain generate rft problems.jsonl -o runs/first",
        "`k = 8`",
    ):
        assert words in text
    for check, n in made["dropped_by"].items():
        assert f"| `{check}` | {n} |" in text
    for column in COLUMNS:
        assert f"| `{column}` |" in text


def test_without_a_command_it_gives_the_python_call() -> None:
    text = card(record(command="", request={"accept": 50}), columns=COLUMNS, rows_kept=1, licences={})
    code = text.split("```python\n")[1].split("\n```")[0]
    compile(code, "card", "exec")
    assert "accept=50" in code and "'temperature': 0.7" in code


def test_hostile_names_stay_text() -> None:
    wild = record(
        recipe={
            "name": WILD,
            "version": WILD,
            "source": WILD,
            "knobs": {WILD: WILD},
            "checks": [{"name": WILD, "settings": {WILD: WILD}}],
        },
        models={WILD: WILD},
        language=[WILD],
        command=WILD + "\n```\n# out",
        status=WILD,
        why=WILD,
        dropped_by={WILD: 3},
    )
    text = card(wild, columns=[WILD], rows_kept=1, licences={WILD: WILD})
    parsed = head(text)
    assert set(parsed) == {
        "pretty_name",
        "language",
        "license",
        "license_name",
        "license_link",
        "size_categories",
        "task_categories",
        "tags",
    }
    assert parsed["license"] == "other"
    assert parsed["pretty_name"].startswith("x: [a] {b} #c 'd' \"e\" \\ \n---\n- | <script>")
    outside = text.split("\n---\n", 1)[1]
    for raw in "\u202e\x00\x85\u2028\ufeff":
        assert raw not in text
    assert "````sh" in outside  # a fence longer than any in the command


def test_missing_facts_are_not_invented() -> None:
    text = card({}, columns=[], rows_kept=0, licences={})
    assert head(text)["license"] == "other"
    assert "| cost | not known |" in text and "| seed | – |" in text


@pytest.mark.parametrize(
    ("rows", "name"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**12, "10B<n<100B")]
)
def test_size_categories(rows: int, name: str) -> None:
    assert size_category(rows) == name


def test_the_data_set_loads_with_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason='needs `pip install "synthgain[hub]"`')
    run = run_folder(tmp_path / "run")
    made = record()
    (run / "data" / "README.md").write_text(
        card(made, columns=["id", "messages"], rows_kept=3, licences={MODEL: None}), "utf-8"
    )
    shutil.copy(run / "data" / "part-00000.parquet", run / "data" / "part-00001.parquet")
    loaded = datasets.load_dataset(str(run / "data"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"] and loaded["train"].column_names == ["id", "messages"]
    assert len(loaded["train"]) % 2 == 0 and loaded["train"][0]["messages"][1]["role"] == "assistant"
