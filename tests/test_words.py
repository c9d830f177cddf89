"""One idea of a word: scripts, code and sums, in the checks that compare texts, and the same in measures."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgain.curate.copied import Copied
from synthgain.curate.language import Language
from synthgain.curate.length import Length
from synthgain.curate.near_duplicate import NearDuplicate
from synthgain.curate.repetition import Repetition
from synthgain.measure.variety import near_duplicates
from synthgain.types import Anchor, Row
from synthgain.words import calculations, count, ngrams, prose, runs, spans, tokens, words, worth


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don’t STOP, w12!", ["don't", "stop", "w12"]),
        (
            "the well-known R&D, and/or AT&T -- in 1914-1918",
            ["the", "well", "known", "r", "d", "and", "or", "at", "t", "in", "1914", "1918"],
        ),
        ("- one\n* two\n  - **three** and __four__", ["one", "two", "three", "and", "four"]),
        ("3 + 4 = 7, or 2*3, or x^2", ["3", "+", "4", "=", "7", "or", "2", "*", "3", "or", "x", "^", "2"]),
        ("Answer: -3 and ±5", ["answer", "-", "3", "and", "±", "5"]),
        ("def f(a, b):\n    x = a-b  # well-known", ["def", "f", "a", "b", "x", "=", "a", "-", "b", "well", "known"]),
        ("if (a && !b) { x++; }", ["if", "a", "&&", "!", "b", "x", "++"]),
        ("total  -=  price;\nreturn f(x)->y == 2", ["total", "-=", "price", "return", "f", "x", "->", "y", "==", "2"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("கிராமத்து ஆலை", ["கிராமத்து", "ஆலை"]),
        ("كِتَابٌ جديد", ["كِتَابٌ", "جديد"]),
        ("می‌روم", ["می‌روم"]),
        ("방앗간은 연다.", ["방앗간은", "연다"]),
        ("ｶﾞ日本。", ["ガ", "日", "本"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@settings(deadline=None)
@given(st.text(max_size=200))
def test_words_of_any_text_are_in_its_tokens_joined(text: str) -> None:
    joined = "".join(tokens(text))
    assert all(word in joined for word in words(text))
    assert count(text) >= 0 and len(ngrams(words(text), 3)) <= max(1, len(words(text)))


def test_eight_words_are_as_much_text_in_every_script() -> None:
    assert spans(list("abcdefghi"), 8) == [(0, 8), (1, 9)]
    assert len(spans(words("河" * 12), 8)) == 1 and not spans(words("河" * 11), 8)
    assert len(spans(words("ก" * 16), 8)) == 1 and not spans(words("ก" * 15), 8)
    assert [worth(word) for word in ("river", "河", "ก", "강가")] == [6, 4, 3, 6]
    assert count("one two  three") == 3 and count("河边的磨坊开门") == 5 and count("磨坊 opens") == 2


def test_runs_are_equal_where_the_words_are_whatever_stands_around_them() -> None:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(["a", "b", "c", "河", "ก"], k=size)) for size in (0, 1, 3, 40, 60)]
    hashes, whose = runs(texts, 3)
    slow = [(i, gram) for i, text in enumerate(texts) for gram in ngrams(words(text), 3) if spans(words(text), 3)]
    assert whose.tolist() == [i for i, _ in slow]
    assert (
        len(set(hashes.tolist()))
        == len({gram for _, gram in slow})
        == len(set(zip(hashes.tolist(), (g for _, g in slow))))
    )
    code = "from synthgain.words import runs; print(runs(['one two three'], 2)[0].tolist())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(runs(["one two three"], 2)[0].tolist())


def test_what_a_text_calculates() -> None:
    assert calculations("so 3 × 4 = 12 and $5 + $6 = $11, in 1914-18, 3/4 of them") == ["3*4=12", "5+6=11"]
    assert calculations("def f(a, b):\n    return a - b") == ["-"]
    assert calculations("Profit is what is left.") == []


# ---------------------------------------------------------------------------------------------- near-duplicates

SAME = {  # one word, or one character, is another
    "Chinese": (
        "老木匠每年冬天都在这座小镇的广场上卖木头玩具和椅子。",
        "老木匠每年夏天都在这座小镇的广场上卖木头玩具和椅子。",
    ),
    "Japanese": (
        "古い灯台は毎晩七時に明かりをつけて、港に戻る船を静かに待っている。",
        "古い灯台は毎晩八時に明かりをつけて、港に戻る船を静かに待っている。",
    ),
    "Thai": (
        "ชาวประมงออกเรือทุกเช้าก่อนพระอาทิตย์ขึ้นและกลับบ้านพร้อมปลาเต็มลำเรือในตอนเย็น",
        "ชาวประมงออกเรือทุกเช้าก่อนพระอาทิตย์ขึ้นและกลับบ้านพร้อมปลาเต็มลำเรือในตอนค่ำ",
    ),
    "Khmer": ("កសិករដាំស្រូវនៅជិតទន្លេរៀងរាល់ព្រឹក ហើយត្រឡប់មកផ្ទះវិញនៅពេលល្ងាច", "កសិករដាំស្រូវនៅជិតទន្លេរៀងរាល់ព្រឹក ហើយត្រឡប់មកផ្ទះវិញនៅពេលយប់"),
    "Burmese": (
        "လယ်သမားသည် မြစ်ကမ်းနားတွင် နံနက်တိုင်း စပါးစိုက်ပြီး ညနေတွင် အိမ်သို့ ပြန်လာသည်",
        "လယ်သမားသည် မြစ်ကမ်းနားတွင် နံနက်တိုင်း စပါးစိုက်ပြီး ညတွင် အိမ်သို့ ပြန်လာသည်",
    ),
    "Hindi": (
        "बूढ़ा बढ़ई हर सर्दी में छोटे शहर के चौक पर लकड़ी के खिलौने और कुर्सियाँ बेचता है।",
        "बूढ़ा बढ़ई हर गर्मी में छोटे शहर के चौक पर लकड़ी के खिलौने और कुर्सियाँ बेचता है।",
    ),
    "Tamil": (
        "முதிய தச்சர் ஒவ்வொரு குளிர்காலத்திலும் சிறிய ஊரின் சந்தையில் மரப் பொம்மைகளையும் நாற்காலிகளையும் மேசைகளையும் மலிவாக விற்று மாலையில் வீடு திரும்புகிறார்",
        "முதிய தச்சர் ஒவ்வொரு கோடைகாலத்திலும் சிறிய ஊரின் சந்தையில் மரப் பொம்மைகளையும் நாற்காலிகளையும் மேசைகளையும் மலிவாக விற்று மாலையில் வீடு திரும்புகிறார்",
    ),
    "Arabic": (
        "يبيع النجار العجوز كل شتاء في ساحة البلدة الصغيرة ألعابا خشبية وكراسي وطاولات ثم يعود إلى بيته",
        "يبيع النجار العجوز كل صيف في ساحة البلدة الصغيرة ألعابا خشبية وكراسي وطاولات ثم يعود إلى بيته",
    ),
    "Korean": (
        "늙은 목수는 겨울마다 작은 마을 광장에서 나무 장난감과 의자를 팔고 저녁이면 천천히 걸어서 집으로 돌아간다",
        "늙은 목수는 여름마다 작은 마을 광장에서 나무 장난감과 의자를 팔고 저녁이면 천천히 걸어서 집으로 돌아간다",
    ),
    "Russian": (
        "Старый плотник каждую зиму продаёт на площади маленького города деревянные игрушки и стулья, а вечером идёт домой.",
        "Старый плотник каждую осень продаёт на площади маленького города деревянные игрушки и стулья, а вечером идёт домой.",
    ),
    "English": (
        "The old carpenter sells wooden toys and chairs on the square of the small town every winter.",
        "The old carpenter sells wooden toys, and chairs, on the square of the small town each winter.",
    ),
    "the same sums": (
        "She has 3 + 4 = 7 pears in her basket, and so there are 7 left.",
        "She has 3 + 4 = 7 pears in her basket, so there are 7 left.",
    ),
}
OTHER = {
    "Chinese": ("老木匠每年冬天都在这座小镇的广场上卖木头玩具。", "河水很深，渔民们等待春天的鱼群回来。"),
    "Thai": ("ชาวประมงออกเรือทุกเช้าก่อนพระอาทิตย์ขึ้น", "หอนาฬิกาสร้างโดยช่างหินสี่สิบคนเมื่อสามร้อยปีก่อน"),
    "Khmer": ("កសិករដាំស្រូវនៅជិតទន្លេរៀងរាល់ព្រឹក", "ប៉មនាឡិកានេះត្រូវបានសាងសង់ដោយជាងថ្មសែសិបនាក់"),
    "Hindi": ("बूढ़ा बढ़ई हर सर्दी में लकड़ी के खिलौने बेचता है।", "नदी बहुत गहरी है और मछुआरे वसंत की राह देखते हैं।"),
    "Arabic": ("يبيع النجار العجوز كل شتاء ألعابا خشبية", "النهر عميق جدا والصيادون ينتظرون الربيع"),
    "sums": (
        "Add them up: 8 + 5 = 13 so the cart now carries 13 sacks of flour to the town.",
        "Add them up: 8 - 5 = 3 so the cart now carries 3 sacks of flour to the town.",
    ),
    "sums in long words": (
        "The merchant counts what is left in the shed behind the mill after a long day of trade: 8 + 6 = 14, and he writes it down.",
        "The merchant counts what is left in the shed behind the mill after a long day of trade: 9 + 6 = 15, and he writes it down.",
    ),
    "Python": (
        "def total(prices):\n    result = 0\n    for price in prices:\n        result += price\n    return result",
        "def total(prices):\n    result = 0\n    for price in prices:\n        result -= price\n    return result",
    ),
    "C": (
        "int low(int a, int b) {\n    return a < b ? a : b;\n}",
        "int low(int a, int b) {\n    return a > b ? a : b;\n}",
    ),
    "JavaScript": ("const ok = (a, b) => { return a && b; }", "const ok = (a, b) => { return a || b; }"),
    "Rust": ("fn area(w: u32, h: u32) -> u32 { w * h }", "fn area(w: u32, h: u32) -> u32 { w + h }"),
    "SQL": (
        "SELECT name FROM mills WHERE wheels >= 3 AND river = 'Orn'",
        "SELECT name FROM mills WHERE wheels < 3 AND river = 'Orn'",
    ),
}


def alike(a: str, b: str) -> bool:
    return not list(NearDuplicate().begin()(pa.table({"text": [a, b]})))[1].keeps


@pytest.mark.parametrize("kind", SAME)
def test_nearly_the_same(kind: str) -> None:
    a, b = SAME[kind]
    assert alike(a, b) and alike(b, a)
    assert near_duplicates([a, b])[0].tolist() == [0, 0]  # the meter says the same


@pytest.mark.parametrize("kind", OTHER)
def test_another_text(kind: str) -> None:
    a, b = OTHER[kind]
    assert not alike(a, b)
    assert near_duplicates([a, b])[0].tolist() == [0, 1]


def test_code_with_many_operators_is_near_by_its_words() -> None:
    lines = [f"    total_{i} = price_{i} * count_{i} + fee_{i}" for i in range(30)]
    a = "def bill():\n" + "\n".join(lines)
    assert alike(a, a.replace("price_7 *", "price_7 /")) and not alike(a, "\n".join(lines[:9]))


# ---------------------------------------------------------------------------------------------- the row checks

STORY = {
    "Chinese": "老木匠每年冬天都在小镇的广场上卖木头玩具。孩子们围着他的推车，看他用一把小刀刻出鸟和马。晚上他收起工具，慢慢走回河边的家。",
    "Thai": "ชาวประมงออกเรือทุกเช้าก่อนพระอาทิตย์ขึ้น ลมเย็นพัดมาจากทะเล เด็กๆ รอที่ชายหาดและช่วยเก็บตาข่าย ตอนเย็นทุกคนกินข้าวด้วยกัน",
    "Hindi": "बूढ़ा बढ़ई हर सर्दी में चौक पर लकड़ी के खिलौने बेचता है। बच्चे उसकी गाड़ी के पास खड़े होकर देखते हैं कि वह चाकू से चिड़िया कैसे बनाता है। शाम को वह औज़ार समेटकर घर जाता है।",
}


@pytest.mark.parametrize("kind", STORY)
def test_copies_and_repetition_are_seen(kind: str) -> None:
    story = STORY[kind]
    anchor = Anchor(story)
    assert Copied()(Row(text=story), [anchor]).reason == "copies its anchor"
    other = next(text for name, text in STORY.items() if name != kind)
    assert Copied()(Row(text=story), [Anchor(other)]).keeps
    assert Repetition()(Row(text=story), ()).keeps
    again = story.replace(" ", "")[:40] if kind != "Hindi" else " ".join(story.split()[:9])
    assert Repetition()(Row(text=" ".join([again] * 8)), ()).reason == "phrases repeat"
    assert Length(least=8)(Row(text=story), ()).keeps and not Length(most=8)(Row(text=story), ()).keeps


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("河边的磨坊六点开门。", "zh"),
        ("หมู่บ้านอยู่ริมแม่น้ำสายใหญ่", "th"),
        ("कारीगर सुबह काम पर जाता है।", "hi"),
        (
            "Die Funktion addiert zwei Zahlen:\n```python\ndef add(first_value, second_value):\n    return first_value\n```",
            "de",
        ),
    ],
)
def test_the_language_of_short_texts_and_beside_code(text: str, language: str) -> None:
    assert Language(language)(Row(text=text), ()).keeps
    assert not Language("en")(Row(text=text), ()).keeps


def test_code_alone_has_no_language() -> None:
    code = "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len(values)"
    assert Language("de")(Row(text=code), ()).keeps and Language("en")(Row(text=code), ()).keeps
    assert prose(f"See here.\n```\n{code}\n```\nThat is all.").split() == ["See", "here.", "That", "is", "all."]


def test_short_texts_of_one_batch_do_not_touch() -> None:
    hashes, whose = runs(["yes", "no no", "yes", ""], 2, alike=True)
    assert whose.tolist() == [0, 1, 2] and hashes[0] == hashes[2] != hashes[1]
    assert np.array_equal(runs(["no no"], 2, alike=True)[0], hashes[1:2])


@given(st.text(alphabet="ab1Z'., \n\t\x1c", max_size=30))
def test_words_of_ascii_are_runs_of_letters_and_digits_with_apostrophes_inside(text: str) -> None:
    assert words(text) == re.findall(r"[a-z0-9]+(?:'[a-z0-9]+)*", text.lower())


@pytest.mark.parametrize("sum", ["2 × -3", "4 * (5", "$4 + $5", "1 = 1", "2 ** 3", "3 ≈ 3.1", "7 < 8", "9>-1"])
def test_a_sum_is_found_in_a_text(sum: str) -> None:
    assert len(calculations(f"It says that {sum} here.")) == 1 and not calculations(
        "It says that 3/4 of 1914-18 is here."
    )
