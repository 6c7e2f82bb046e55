"""Protocols: what a preset settles, and which worked examples it draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.config import EvalConfig
from evals.protocols import MAX_SHOT_CHARS, PROTOCOLS, protocol_named, resolve
from ratchet.config import identity_settings
from ratchet.errors import InputError
from ratchet.problems.config import Gsm8kSource, Math500Source, MathSource
from ratchet.problems.load import load_problems
from ratchet.records import Problem
from ratchet.verifier.find.extraction import extract_answer

GSM8K = protocol_named("gsm8k-8-shot")
MATH = protocol_named("math-4-shot")


def make_examples(count: int, *, first: int = 0) -> list[Problem]:
    """Worked examples that share no run of eight words."""
    return [
        Problem(
            problem_id=f"t{i}",
            problem=" ".join(f"w{i}n{word}" for word in range(10)) + "?",
            reference_answer=str(i),
            solution=f"It is {i}.\n#### {i}",
        )
        for i in range(first, first + count)
    ]


def shot_numbers(template: str) -> list[str]:
    return [line.removeprefix("#### ") for line in template.splitlines() if line.startswith("####")]


def test_the_examples_come_before_the_problem_and_end_on_their_answers() -> None:
    resolved = resolve(GSM8K, make_examples(40), make_examples(5, first=100))
    asked = resolved.prompt.template.replace("{problem}", "How many?")
    assert asked.count("Question: ") == 9
    assert asked.endswith("\n\nQuestion: How many?\nAnswer:")
    assert [f"t{number}" for number in shot_numbers(asked)] == list(resolved.shot_ids)
    assert resolved.prompt.style == "plain"


def test_the_same_rows_give_the_same_examples() -> None:
    first, again = (resolve(GSM8K, make_examples(40), []) for _ in range(2))
    assert first == again
    assert first.shot_ids != tuple(f"t{i}" for i in range(8))


def test_no_example_is_a_problem_of_the_benchmark() -> None:
    """The others stay as they were: what is left out is replaced from the end of the draw."""
    free = resolve(GSM8K, make_examples(40), []).shot_ids
    held = [each for each in make_examples(40) if each.problem_id in free[:3]]
    resolved = resolve(GSM8K, make_examples(40), held)
    assert resolved.shot_ids[:5] == free[3:]
    assert not set(resolved.shot_ids) & set(free[:3])


def test_too_few_examples_are_told_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"of 9 rows .* 7 have .* 8 are needed.*--shots FILE"):
        resolve(GSM8K, make_examples(9), make_examples(2))


def test_what_would_break_the_template_or_fill_the_context_is_no_example() -> None:
    rows = make_examples(8)
    spoiled = [
        Problem(
            problem_id="hole", problem="a {problem} b", reference_answer="1", solution="#### 1"
        ),
        Problem(problem_id="figure", problem="p", reference_answer="1", solution="[asy]#### 1"),
        Problem(problem_id="none", problem="p q", reference_answer="1"),
        Problem(
            problem_id="long", problem="x" * MAX_SHOT_CHARS, reference_answer="1", solution="s"
        ),
    ]
    with pytest.raises(InputError, match=r"of 8 rows .* 4 have"):
        resolve(GSM8K, [*spoiled, *rows[:4]], [])
    chosen = resolve(GSM8K, [*spoiled, *rows[:8]], []).shot_ids
    assert set(chosen) == {each.problem_id for each in rows[:8]}


def test_boxed_is_a_chat_prompt_without_examples() -> None:
    resolved = resolve(protocol_named("boxed"), [], make_examples(2))
    assert (resolved.prompt.style, resolved.shot_ids) == ("chat", ())
    assert resolved.answer_format == "boxed"
    assert resolved.evaluation == {}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_a_protocol_settles_is_a_valid_part_of_an_eval_config(name: str) -> None:
    config = EvalConfig.model_validate(PROTOCOLS[name].evaluation)
    if PROTOCOLS[name].shots:
        assert (config.temperature, config.group_size) == (0.0, 1)
        assert config.stop


def test_another_draw_of_examples_is_another_evaluation() -> None:
    one = resolve(GSM8K, make_examples(40), [])
    other = resolve(GSM8K, make_examples(40), make_examples(20))
    assert identity_settings(one.prompt) != identity_settings(other.prompt)


def test_an_unknown_protocol_is_told_with_those_that_are_known() -> None:
    with pytest.raises(InputError, match=r"did you mean gsm8k-8-shot\?.*boxed, gsm8k-8-shot"):
        protocol_named("gsm8k-8shot")


def test_real_gsm8k_rows_make_the_prompt(shared_data: Path) -> None:
    train = Gsm8kSource(path=str(shared_data / "gsm8k_train.parquet"), solution_style="raw")
    test = Gsm8kSource(path=str(shared_data / "gsm8k_test.parquet"), split="test")
    examples = load_problems(train).problems
    resolved = resolve(GSM8K, examples, load_problems(test).problems)
    assert len(set(resolved.shot_ids)) == 8
    references = {each.problem_id: each.reference_answer for each in examples}
    found = shot_numbers(resolved.prompt.template)
    assert [references[i] for i in resolved.shot_ids] == [n.replace(",", "") for n in found]
    # A user's file may hold train rows: they are not used as examples of themselves.
    benchmark = [each for each in examples if each.problem_id in resolved.shot_ids]
    assert not set(resolve(GSM8K, examples, benchmark).shot_ids) & set(resolved.shot_ids)


def test_real_math_rows_make_the_prompt(shared_data: Path) -> None:
    """MATH-500's problems are none of MATH's train split; the solutions end on a box."""
    train = MathSource(path=str(shared_data / "math_train.parquet"))
    examples = load_problems(train).problems
    benchmark = load_problems(Math500Source(path=str(shared_data / "math500.parquet"))).problems
    resolved = resolve(MATH, examples, benchmark)
    assert len(resolved.prompt.template) < 4 * MAX_SHOT_CHARS + 100
    worked = {each.problem_id: each for each in examples}
    for shot in resolved.shot_ids:
        found = extract_answer(worked[shot].solution or "", "boxed")
        assert found is not None
        assert (worked[shot].solution or "") in resolved.prompt.template
