import json
import re
import xml.etree.ElementTree as ET

import pytest

from synthgain.simulate import chain, draw, gain, gmm, scene
from synthgain.simulate.gain import settings
from synthgain.simulate.pictures import ellipse, plain
from synthgain.types import SynthgainError

RESULTS = {
    "gmm": lambda: gmm(worlds=6, values=(2, 3), draws=100, rounds=1, resample=50),
    "scene": lambda: scene(),
    "chain": lambda: chain("relation"),
    "gain": lambda: gain(world="location"),
    "settings": lambda: settings(world="location"),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_every_result_has_its_three_pictures(kind, tmp_path):
    pytest.importorskip("matplotlib", reason='pip install "synthgain[lab]"')
    paths = draw(RESULTS[kind](), tmp_path / "new")
    assert [p.suffix for p in paths] == [".png", ".svg", ".html"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert ET.parse(paths[1]).getroot().tag.endswith("svg")


def test_the_same_result_gives_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib", reason='pip install "synthgain[lab]"')
    result = RESULTS["chain"]()
    for name in ("a.svg", "b.svg", "a.png", "b.png", "a.html", "b.html"):
        draw(result, tmp_path / name)
    for suffix in ("svg", "png", "html"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_the_page_holds_the_figures_and_loads_nothing(tmp_path):
    result = RESULTS["gmm"]()
    (path,) = draw(result, tmp_path / "x.html")
    text = path.read_text(encoding="utf-8")
    held = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))
    assert held["points"] == result["points"]
    assert not re.search(r'(src|href)\s*=\s*"(?!#)|@import|url\(|fetch\(|XMLHttp', text)
    assert "default-src 'none'" in text


def test_a_worlds_words_cannot_become_markup(tmp_path):
    evil = "</script><img src=x onerror=alert(1)>"
    (path,) = draw(chain({"name": evil, "says": evil}), tmp_path / "x.html")
    text = path.read_text(encoding="utf-8")
    assert "<img" not in text
    assert text.count("</script>") == 2
    held = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))
    assert held["world"]["name"] == evil


def test_flat_readings_are_put_back_by_setting():
    flat, kept = plain(RESULTS["gain"]()), plain(RESULTS["settings"]())
    assert [s["readings"] for s in flat["settings"]] == [s["readings"] for s in kept["settings"]]
    assert [s["setting"]["value"] for s in flat["settings"]] == [s["setting"]["value"] for s in kept["settings"]]


def test_ellipse_of_a_diagonal_and_a_turned_covariance():
    assert ellipse([[4.0, 0.0], [0.0, 1.0]]) == pytest.approx((8.0, 4.0, 0.0))
    assert ellipse([[2.5, 1.5], [1.5, 2.5]]) == pytest.approx((8.0, 4.0, 45.0))


@pytest.mark.parametrize("nothing", [{}, [], {"other": 1}])
def test_what_cannot_be_drawn_is_refused(nothing, tmp_path):
    with pytest.raises(SynthgainError, match="drawn"):
        draw(nothing, tmp_path)


def test_unknown_picture_format_is_refused(tmp_path):
    with pytest.raises(SynthgainError, match="gif"):
        draw(chain("relation"), tmp_path / "x.gif")
