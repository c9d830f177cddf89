"""docs/theory.md names tests, figures and words that exist, and leaves none of the paper's words out."""

import re
from pathlib import Path

from synthgain.measure.explain import NOT, explain, names

HERE = Path(__file__).parent
PAGE = (HERE.parent.parent / "docs" / "theory.md").read_text("utf-8")
TABLE = PAGE.split("## The table")[1].split("## What is true and cheap")[0]


def test_every_test_that_the_page_names_is_here_and_every_audit_test_is_on_the_page():
    defined = {
        name
        for file in HERE.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.M)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named <= defined
    audited = {name for name in defined if re.match(r"test_[mc]\d", name)}
    assert audited <= named


def test_every_line_of_the_audit_is_there():
    lines = set(re.findall(r"^\| ([MC]\d+(?:, C\d+)?) \|", PAGE, re.M))
    assert {part for line in lines for part in line.split(", ")} == {
        *(f"M{n}" for n in range(1, 20)),
        *(f"C{n}" for n in range(1, 10)),
    }


def test_every_figure_of_the_page_is_explained():
    for name in set(
        re.findall(r"`([a-z]+_[a-zI_]+|gain|memo|ggmi|vendi|absorbed|accuracy|nhsic|faithfulness)`", TABLE)
    ):
        assert explain(name).name == name


def test_every_word_of_the_paper_is_in_the_table():
    words = [
        name
        for name in names()
        if explain(name).reference.startswith("Gan and Liu") and explain(name).symbols == (name,)
    ]
    assert len(words) > 20
    text = re.sub(r"[^a-zα-ωδε0-9]", "", TABLE.replace("\\|", "|").casefold())
    for word in words:
        if word not in ("bound", "D_TV"):  # the page has each bound and each distance by its own name
            assert re.sub(r"[^a-zα-ωδε0-9]", "", word.casefold()) in text, word


def test_what_cannot_be_measured_has_no_class_in_the_table():
    rows = {
        line.split("|")[1].strip(): line.replace("\\|", "/") for line in TABLE.splitlines() if line.startswith("| ")
    }
    for word in ("B_syn", "H(e_M)", "H(e_p)", "λ", "ε_{W,p}", "ΔH", "α", "η"):
        assert explain(word).kind == NOT
        assert [cell.strip() for cell in rows[word].split("|")[4:6]] == ["–", "–"]
