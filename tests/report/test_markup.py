"""Escaping by default."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from synthgain.report.markup import HIDDEN, Safe, el, join, passage, snippet, visible


class Read(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(), st.text())
def test_any_text_comes_back_as_text_and_any_attribute_as_attribute(body: str, attribute: str) -> None:
    read = Read(el("p", body, title=attribute))
    assert [tag for tag, _ in read.tags if tag != "span"] == ["p"]
    assert read.text == visible(body)
    assert read.tags[0][1] == [("title", visible(attribute))]


@given(st.text(st.characters(codec=None, categories=("Cc", "Cf", "Cs", "Ll"))))
def test_nothing_hidden_is_left(text: str) -> None:
    shown = visible(text)
    assert not HIDDEN.search(shown)
    shown.encode("utf-8")


def test_markup_is_kept_lists_are_opened_and_nothing_is_left_out_but_none_and_false() -> None:
    assert join(Safe("<b>"), ["&", None, [0]], False) == "<b>&amp;0"
    assert el("input", disabled=True, value=None, data_x=3, class_="a") == '<input disabled data-x="3" class="a">'


def test_a_passage_says_how_much_it_leaves_out() -> None:
    assert "Cut here: 7 more" in passage("x" * 10, limit=3)
    assert "Cut here" not in passage("x" * 3, limit=3)
    assert "Cut here: 97 more" in passage("x" * 3, limit=3, whole=100)


@given(st.text())
def test_a_snippet_is_one_short_line(text: str) -> None:
    cut = snippet(text, 20)
    assert len(cut) <= 21 and "\n" not in cut
