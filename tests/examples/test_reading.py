import json
import re
from collections import Counter, defaultdict

import pytest

from synthgain.examples import document_questions, documents, write_documents

STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be been by can did do does for from get goes had has have he her his how if in into is it "
        "its many no not of off on one or out she so that the their them there they this to up was were what when where "
        "which while who whom whose with",
    )
)


@pytest.fixture(scope="module")
def texts():
    return {document["slug"]: document for document in documents()}


@pytest.fixture(scope="module")
def questions():
    return document_questions()


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", text.lower())


def core(option: str) -> str:
    """An option without its article, as a document would have it in the middle of a sentence."""
    return re.sub(r"^(a|an|the) ", "", option).lower()


def share(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


def test_eight_documents_four_short_and_four_long(texts):
    lengths = sorted(len(document["text"].split("\n", 1)[1].split()) for document in texts.values())
    assert len(lengths) == 8
    assert all(250 <= n <= 400 for n in lengths[:4])
    assert all(600 <= n <= 1500 for n in lengths[4:])


def test_titles_and_entities_stand_in_the_text(texts):
    for document in texts.values():
        assert document["text"].startswith(f"# {document['title']}\n")
        entities = document["entities"]
        few, most = (6, 10) if len(document["text"].split()) < 450 else (8, 14)
        assert few <= len(entities) == len(set(entities)) <= most
        assert all(entity in document["text"] for entity in entities)


def test_ids_are_unique_and_each_document_has_fifteen_questions(texts, questions):
    assert len({question["id"] for question in questions}) == len(questions) >= 120
    counts = Counter(question["document"] for question in questions)
    assert set(counts) == set(texts) and min(counts.values()) >= 15
    assert all(question["title"] == texts[question["document"]]["title"] for question in questions)
    assert len({question["question"] for question in questions}) == len(questions)


def test_a_third_of_each_documents_questions_needs_two_facts(questions):
    facts = defaultdict(list)
    for question in questions:
        assert question["facts"] in (1, 2)
        assert len(question["evidence"]) >= question["facts"]
        assert len(set(question["evidence"])) == len(question["evidence"])
        facts[question["document"]].append(question["facts"] == 2)
    assert all(share(two) >= 1 / 3 for two in facts.values())


def test_evidence_is_whole_sentences_of_the_document_and_holds_the_gold_option(texts, questions):
    for question in questions:
        text = texts[question["document"]]["text"]
        assert all(sentence in text and sentence[-1] in ".?!" for sentence in question["evidence"])
        gold = question["options"][question["gold"]]
        assert core(gold) in " ".join(question["evidence"]).lower(), question["id"]


def test_the_evidence_of_a_two_fact_question_lies_in_two_places(questions):
    """Neither sentence alone will do: the gold option stands in one of them only."""
    for question in questions:
        if question["facts"] == 2:
            gold = core(question["options"][question["gold"]])
            holding = [gold in sentence.lower() for sentence in question["evidence"]]
            assert sum(holding) == 1, question["id"]


def test_options_are_four_values_known_to_the_documents(texts, questions):
    everything = " ".join(document["text"] for document in texts.values()).lower()
    for question in questions:
        assert len(question["options"]) == len(set(question["options"])) == 4
        assert 0 <= question["gold"] < 4
        for option in question["options"]:
            assert core(option) in everything, (question["id"], option)


def test_gold_positions_are_balanced(questions):
    counts = Counter(question["gold"] for question in questions)
    assert all(0.15 <= counts[place] / len(questions) <= 0.35 for place in range(4))


def test_every_option_of_a_set_is_gold_equally_often(questions):
    """So a reader who prefers one option whatever is asked is right one time in four, exactly."""
    gold = defaultdict(Counter)
    for question in questions:
        gold[frozenset(question["options"])][question["options"][question["gold"]]] += 1
    for options, counts in gold.items():
        assert set(counts) == set(options) and len(set(counts.values())) == 1


@pytest.mark.parametrize(
    "guess",
    [
        lambda options: max(options, key=len),
        lambda options: min(options, key=len),
        min,
        max,
        lambda options: options[0],
        lambda options: options[-1],
        lambda options: sorted(options)[1],
        lambda options: sorted(options, key=len)[2],
    ],
    ids=[
        "longest",
        "shortest",
        "first by letter",
        "last by letter",
        "first",
        "last",
        "second by letter",
        "third by length",
    ],
)
def test_guesses_by_surface_are_near_chance(questions, guess):
    hits = [guess(question["options"]) == question["options"][question["gold"]] for question in questions]
    assert 0.18 <= share(hits) <= 0.32


def test_the_correct_option_is_seldom_the_longest(questions):
    longest = [
        len(q["options"][q["gold"]]) > max(len(o) for i, o in enumerate(q["options"]) if i != q["gold"])
        for q in questions
    ]
    assert share(longest) <= 0.35


def test_word_overlap_does_not_point_at_the_gold_option(questions):
    """Options that share words with their question are no better than others."""
    for question in questions:
        said = set(words(question["question"])) - STOP
        overlaps = [len(said & set(words(option))) for option in question["options"]]
        assert len(set(overlaps)) == 1, question["id"]


def test_questions_are_in_other_words_than_the_documents(texts, questions):
    shared = []
    for question in questions:
        asked = words(question["question"])
        document = " ".join(words(texts[question["document"]]["text"]))
        for start in range(len(asked) - 5):
            assert f" {' '.join(asked[start : start + 6])} " not in f" {document} ", question["id"]
        names = set(words(" ".join(re.findall(r"\b[A-Z][\w'-]*", question["question"][1:])))) | STOP
        content = [word for word in asked if word not in names and not word.isdigit()]
        evidence = set(words(" ".join(question["evidence"])))
        shared.append(sum(word in evidence for word in content) / len(content))
    assert sum(shared) / len(shared) <= 0.25


def test_questions_name_their_subject(texts, questions):
    for question in questions:
        document = texts[question["document"]]
        names = [document["title"], *document["entities"][:2]]
        parts = {part for name in names for part in re.findall(r"[A-Z][\w'-]{3,}", name)}
        assert any(part in question["question"] for part in parts), question["id"]


def test_questions_of_one_document(questions):
    mine = document_questions("quellmarrow")
    assert mine and mine == [question for question in questions if question["document"] == "quellmarrow"]


def test_write_documents_gives_them_back(tmp_path):
    path = write_documents(tmp_path / "documents.jsonl")
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == documents()
