import pytest
from pydantic import ValidationError

from filters.base import CompletionFilter, FilterContext, Mark
from filters.kinds.language import Language, LanguageConfig
from ratchet.config import parse_config
from ratchet.errors import InputError
from tests.helpers.judged import make_completion, make_problem

ENGLISH = "Tom has five apples and buys six more at the market. How many apples has he now?"
GERMAN = "Tom hat fünf Äpfel und kauft noch sechs auf dem Markt. Wie viele Äpfel hat er jetzt?"
SOLVED = "He starts with 5 apples. Then he buys 6 more of them. So now he has 5 + 6 = 11 apples."
GELOEST = "Er beginnt mit 5 Äpfeln. Dann kauft er noch 6 dazu. Also hat er jetzt 11 Äpfel."


def make_filter(**settings: object) -> Language:
    return Language(LanguageConfig.model_validate(settings), FilterContext(problems={}))


def mark(text: str, problem: str = ENGLISH, **settings: object) -> Mark:
    return make_filter(**settings).mark(make_problem("p1", problem), make_completion(text))


def test_it_is_a_completion_filter() -> None:
    assert isinstance(make_filter(), CompletionFilter)


def test_a_completion_in_the_problems_language_is_accepted() -> None:
    assert mark(SOLVED) == Mark(True, "wanted_language", 1.0, "en")
    assert mark(GELOEST, problem=GERMAN) == Mark(True, "wanted_language", 1.0, "de")


def test_a_completion_in_another_language_is_rejected_and_named() -> None:
    assert mark(GELOEST) == Mark(False, "wrong_language", 0.0, "de")
    assert mark(SOLVED, problem=GERMAN) == Mark(False, "wrong_language", 0.0, "en")
    assert mark("她有五个苹果，又买了六个，所以一共十一个。").reason == "wrong_language"


def test_the_config_may_name_the_language() -> None:
    assert mark(GELOEST, language="de").accepted
    assert mark(SOLVED, language="de").reason == "wrong_language"


def test_a_foreign_sentence_is_rejected_and_shown() -> None:
    found = mark(f"{SOLVED} Also hat er jetzt elf rote Äpfel.")
    assert (found.accepted, found.reason) == (False, "code_switched")
    assert found.note == "de: Also hat er jetzt elf rote Äpfel"
    assert found.reward is not None
    assert 0.5 < found.reward < 0.8


def test_a_long_foreign_sentence_is_shortened_in_the_note() -> None:
    note = mark(f"{SOLVED * 9} Also hat er {'viele rote ' * 30} Äpfel.").note
    assert note is not None
    assert len(note) < 130


def test_a_foreign_sentence_may_be_allowed_for() -> None:
    text = f"{SOLVED} Also hat er jetzt elf rote Äpfel."
    assert mark(text, max_foreign_share=0.45).reason == "wanted_language"


def test_one_word_in_another_script_is_rejected_however_long_the_text() -> None:
    text = " ".join([SOLVED] * 20) + " 因此 he has 11."
    assert mark(text) == Mark(False, "mixed_scripts", mark(text).reward, "zh: 因此")
    assert mark(text, max_stray_letters=4).reason == "wanted_language"
    assert mark(f"{SOLVED} Значит, теперь у него одиннадцать.").reason == "mixed_scripts"


def test_english_words_in_a_chinese_solution_are_mixed_scripts() -> None:
    text = "他开始有五个苹果，then he buys six more apples，所以一共有十一个苹果。"
    assert mark(text, language="zh").reason == "mixed_scripts"


def test_too_little_prose_is_accepted_as_unscored() -> None:
    assert mark("$5 + 6 = \\boxed{11}$") == Mark(True, "unscored")
    assert mark(SOLVED, min_letters=1000) == Mark(True, "unscored")


def test_a_problem_without_words_only_asks_for_one_language() -> None:
    assert mark(GELOEST, problem="$5 + 6 = ?$").accepted
    text = f"{GELOEST} So now he has eleven red apples."
    assert mark(text, problem="$5 + 6 = ?$").reason == "code_switched"


def test_problems_are_told_apart() -> None:
    language = make_filter()
    for problem_id, text, accepted in (("a", ENGLISH, True), ("b", GERMAN, False)):
        problem = make_problem(problem_id, text)
        assert language.mark(problem, make_completion(SOLVED)).accepted is accepted


def test_all_unknown_codes_of_a_config_are_errors_that_name_near_ones() -> None:
    with pytest.raises(InputError, match="has 2 errors") as caught:
        parse_config(LanguageConfig, {"language": "german", "candidates": ["en", "xx"]}, "x.toml")
    assert "did you mean 'de' (German)" in str(caught.value)
    assert "'xx'" in str(caught.value)


def test_no_candidates_at_all_are_refused() -> None:
    with pytest.raises(ValidationError, match="leave it out for all"):
        LanguageConfig(candidates=())
