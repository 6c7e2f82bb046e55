import json
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from itertools import permutations

import pyarrow.parquet as pq
import pytest

from ratchet.texts.language.judge import LanguageJudge
from ratchet.texts.language.writing_systems import (
    LANGUAGES,
    SCRIPTS,
    prose_of,
    require_language,
    segments_of,
)
from tests.helpers.places import ROOT, SHARED_DATA

LATIN = ("de", "en", "es", "fr", "sw")
MAX_FOREIGN = 0.02

_SENTENCE = re.compile(r"(?<=[.!?।。])\s*(?=[^\s\d.])")


@pytest.fixture(scope="module")
def judge() -> LanguageJudge:
    return LanguageJudge()


@pytest.fixture(scope="module")
def solutions() -> dict[str, list[str]]:
    """Eight worked solutions in each of eleven languages."""
    path = SHARED_DATA / "mgsm_cot_exemplars.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    found: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["lang"]].append(row["cot_answer"])
    return found


def english(name: str, column: str) -> list[str]:
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return [row[column] for row in pq.read_table(path, columns=[column]).to_pylist()]


def rejected(judge: LanguageJudge, text: str, wanted: str) -> bool:
    share = judge.read(text, wanted).share
    return share is not None and 1 - share > MAX_FOREIGN


def sentences(text: str, min_letters: int) -> list[str]:
    """The sentences of a text that have enough letters outside of mathematics."""
    return [
        sentence
        for sentence in _SENTENCE.split(text)
        if sum(segment.letters for segment in segments_of(sentence)) >= min_letters
    ]


def switched(solutions: dict[str, list[str]], pairs: list[tuple[str, str]], each: int) -> list[str]:
    """Solutions in a pair's first language, one or two of whose sentences are in its second."""
    rng = random.Random(7)
    texts = []
    for home, away in pairs:
        foreign = [one for text in solutions[away] for one in sentences(text, min_letters=12)]
        for _ in range(each):
            kept = _SENTENCE.split(rng.choice(solutions[home]))
            for at in rng.sample(range(len(kept)), k=min(len(kept), rng.choice((1, 1, 2)))):
                kept[at] = rng.choice(foreign)
            texts.append(" ".join(kept))
    return texts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("so $x + \\text{ten}$ is it", "so is it"),
        ("it is \\[ \\sum apples \\] and \\( pears \\) here", "it is and here"),
        ("he pays $5 for tea and $3 for milk", "he pays for tea and for milk"),
        ("it is 2+3=<<2+3=5>>5 apples", "it is apples"),
        ("see \\boxed{\\frac{1}{2}} now", "see now"),
        ("run ```python\nprint(total)\n``` or `other code` now", "run or now"),
        ("run ```code without an end", "run"),
        ("<think>we see https://example.org/some/path</think> it", "we see it"),
        ("so x and y in triangle ABC weigh 3 kg", "so and in triangle weigh"),
        ("let alpha_beta be α + αβ", "let be"),
    ],
)
def test_mathematics_code_and_tags_are_no_prose(text: str, words: str) -> None:
    assert " ".join(segment.text for segment in segments_of(text)) == words


def test_no_character_belongs_to_two_scripts() -> None:
    classes = [re.compile(f"[{inside}]") for inside in SCRIPTS.values()]
    for char in map(chr, (*range(0xD800), *range(0xE000, 0x11000), 0x20000)):
        assert sum(one.match(char) is not None for one in classes) <= 1, hex(ord(char))


def test_the_table_agrees_with_lingua() -> None:
    from lingua import Language

    groups = {
        "latin": Language.all_with_latin_script(),
        "cyrillic": Language.all_with_cyrillic_script(),
        "arabic": Language.all_with_arabic_script(),
        "devanagari": Language.all_with_devanagari_script(),
    }
    for script, languages in groups.items():
        codes = {language.iso_code_639_1.name.lower() for language in languages}
        assert codes == {code for code in LANGUAGES if LANGUAGES[code][1] == script}
    assert {one.iso_code_639_1.name.lower() for one in Language.all()} <= set(LANGUAGES)


def test_an_unknown_code_is_refused_with_the_nearest_ones() -> None:
    for wrong, near in (("english", "'en' (English)"), ("ens", "'en'"), ("jp", "known are af")):
        with pytest.raises(ValueError, match=re.escape(near)):
            require_language(wrong)


def test_all_languages_are_named_among_all(
    judge: LanguageJudge, solutions: dict[str, list[str]]
) -> None:
    for language, texts in solutions.items():
        assert [judge.detect(text)[0] for text in texts] == [language] * len(texts)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("pl", "Najpierw liczymy, ile jabłek ma Anna. Potem dodajemy pozostałe owoce."),
        ("tr", "Önce elmaların sayısını buluruz. Sonra kalanları ekleriz."),
        ("vi", "Đầu tiên ta tính số quả táo. Sau đó cộng phần còn lại."),
        ("nl", "Eerst berekenen we hoeveel appels ze heeft. Daarna tellen we de rest op."),
        ("it", "Prima calcoliamo quante mele ha. Poi aggiungiamo il resto."),
        ("fi", "Ensin lasketaan kuinka monta omenaa hänellä on. Sitten lisätään loput."),
        ("uk", "Спочатку порахуємо, скільки яблук має Анна. Потім додамо решту."),
        ("ko", "먼저 사과가 몇 개인지 셉니다. 그다음 나머지를 더합니다."),
        ("fa", "ابتدا تعداد سیب‌ها را می‌شماریم. سپس بقیه را اضافه می‌کنیم."),
        ("hi", "पहले हम सेब गिनते हैं। फिर बाकी जोड़ते हैं।"),
        ("el", "Πρώτα μετράμε τα μήλα. Μετά προσθέτουμε τα υπόλοιπα."),
        ("he", "קודם סופרים את התפוחים. אחר כך מוסיפים את השאר."),
    ],
)
def test_other_languages_are_named_and_foreign_in_english(
    judge: LanguageJudge, language: str, text: str
) -> None:
    assert judge.detect(text)[0] == language
    reading = judge.read(text, "en")
    assert (reading.language, reading.share) == (language, 0.0)
    assert judge.read(text, language).share == 1.0


def test_pure_solutions_are_let_pass(judge: LanguageJudge, solutions: dict[str, list[str]]) -> None:
    texts = [(language, text) for language in solutions for text in solutions[language]]
    wrong = [text for language, text in texts if rejected(judge, text, language)]
    assert len(wrong) <= 0.02 * len(texts), wrong


def test_swapped_sentences_are_caught_in_all_pairs_of_languages(
    judge: LanguageJudge, solutions: dict[str, list[str]]
) -> None:
    pairs = list(permutations(solutions, 2))
    texts = switched(solutions, pairs, each=5)
    homes = [home for home, _ in pairs for _ in range(5)]
    assert len(texts) == 550
    caught = sum(rejected(judge, *case) for case in zip(texts, homes, strict=True))
    assert caught >= 0.98 * len(texts)


def test_swapped_sentences_are_caught_in_languages_of_one_script(
    judge: LanguageJudge, solutions: dict[str, list[str]]
) -> None:
    pairs = list(permutations(LATIN, 2))
    texts = switched(solutions, pairs, each=20)
    homes = [home for home, _ in pairs for _ in range(20)]
    assert len(texts) == 400
    caught = sum(rejected(judge, *case) for case in zip(texts, homes, strict=True))
    assert caught >= 0.97 * len(texts)


def test_english_solutions_are_let_pass_and_fast(judge: LanguageJudge) -> None:
    texts = english("gsm8k_train.parquet", "answer")[:1000]
    judge.read(texts[0], "en")
    started = time.process_time()
    wrong = [text for text in texts if rejected(judge, text, "en")]
    assert time.process_time() - started < 1.3  # 0.4 s where this was written
    assert len(wrong) <= 0.015 * len(texts)


def test_models_english_completions_are_let_pass(judge: LanguageJudge) -> None:
    texts = english("example_model_solutions.parquet", "solution")
    assert sum(rejected(judge, text, "en") for text in texts) <= 0.015 * len(texts)


def test_short_english_problems_are_not_taken_for_another_language(judge: LanguageJudge) -> None:
    readings = [judge.detect(text) for text in english("math500.parquet", "problem")]
    sure = [language for language, confidence in readings if confidence >= 0.8]
    assert set(sure) == {"en"}
    assert len(sure) >= 0.88 * len(readings)


def test_a_verdict_does_not_depend_on_what_was_read_before() -> None:
    texts = english("gsm8k_train.parquet", "answer")[:150]
    forward, backward = LanguageJudge(), LanguageJudge()
    first = [forward.read(text, "en") for text in texts]
    assert first == [backward.read(text, "en") for text in reversed(texts)][::-1]
    assert first == [forward.read(text, "en") for text in texts]


def test_one_chinese_word_is_seen_in_english(judge: LanguageJudge) -> None:
    reading = judge.read("She sells six eggs at the market, 因此 she makes twelve dollars.", "en")
    assert [(part.text, part.language, part.letters) for part in reading.foreign] == [
        ("因此", "zh", 4)
    ]
    assert reading.language == "en"


def test_names_and_units_in_latin_are_at_home_in_every_script(judge: LanguageJudge) -> None:
    assert judge.read("Jason 走了 5 km，然后又走了 3 km，所以他一共走了 8 km。", "zh").share == 1.0
    share = judge.read("Jason 走了 5 km，然后 walked 3 km more，所以他一共走了 8 km。", "zh").share
    assert share is not None
    assert share < 0.9


def test_chinese_and_japanese_are_told_apart_by_kana(judge: LanguageJudge) -> None:
    chinese, japanese = "她一共有十一个苹果，所以答案是十一。", "彼女はりんごを十一個持っています。"
    assert (judge.detect(chinese)[0], judge.detect(japanese)[0]) == ("zh", "ja")
    assert judge.read(chinese, "ja").share == 0.0
    assert judge.read(japanese, "zh").share == 0.0
    assert judge.read("合計金額。" + japanese, "ja").share == 1.0


def test_weak_evidence_of_all_sentences_adds_up(judge: LanguageJudge) -> None:
    sentences = ("Ana come una.", "Compra una casa.", "Total final.")
    assert judge.read(" ".join(sentences), "it").share == 0.0
    for sentence in sentences:
        assert judge.read(f"Anna ha cinque mele rosse. {sentence}", "it").share == 1.0


def test_sister_languages_are_not_foreign_to_each_other(judge: LanguageJudge) -> None:
    text = "Pertama kita hitung berapa apel yang dia punya. Lalu kita tambahkan sisanya."
    assert judge.read(text, "ms").share == 1.0
    assert judge.read(text, "en").share == 0.0


def test_candidates_restrict_what_a_text_can_be() -> None:
    judge = LanguageJudge(candidates=("en", "de"))
    assert judge.detect("Prima calcoliamo quante mele ha.")[0] in ("en", "de")
    assert judge.read("Dann hat er noch sieben Bälle übrig.", "en").share == 0.0
    assert LanguageJudge(candidates=("en",)).read("Dann hat er noch sieben.", "en").share == 1.0


def test_too_little_prose_is_unscored(judge: LanguageJudge) -> None:
    for text in ("", "\\boxed{42}", "$x = 3$, so 3.", "5 + 6 = 11", "Jibu ni 11."):
        reading = judge.read(text, "en")
        assert (reading.language, reading.share) == (None, None)
    assert judge.read("答案是 11", "en").share is not None


@pytest.mark.parametrize(
    "text",
    [
        *("\\[" * 500_000, "$" * 1_000_000, "$a " * 300_000, "`" * 1_000_000, "<a" * 500_000),
        *("a" * 1_000_000, "a_" * 500_000, "\\a{" * 300_000, "\\(\\[\\)" * 200_000, "``` " * 9_999),
        *("é'" * 500_000, "שלום עולם " * 100_000, "我们" * 500_000, "a" + "\u0301" * 1_000_000),
        *(
            "\0" * 1_000_000,
            "\ud800 word \udfff" * 80_000,
            ". " * 500_000,
            "\u202eabc def. " * 80_000,
        ),
        " ".join(
            f"w{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}"
            for i in range(17_000)
        ),
    ],
    ids=lambda text: ascii(text[:6]),
)
def test_hostile_texts_neither_raise_nor_hang(judge: LanguageJudge, text: str) -> None:
    started = time.process_time()
    judge.read(text, "en")
    judge.detect(text)
    assert time.process_time() - started < 6


def test_the_middle_of_a_very_long_text_is_left_out() -> None:
    text = "one " * 100_000 + "two " * 100_000
    assert len(prose_of(text)) < 100_010
    assert prose_of(text).startswith("one ")
    assert prose_of(text).endswith("two ")


def test_importing_loads_no_detector() -> None:
    modules = "ratchet.texts.language.judge, filters.kinds.language"
    code = f"import sys, {modules}; print('lingua' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"
