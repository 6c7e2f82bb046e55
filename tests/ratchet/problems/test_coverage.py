from ratchet.problems.coverage import coverage_warnings, left_out
from ratchet.records import Problem


def make_problem(level: int | None, subject: str | None) -> Problem:
    return Problem(
        problem_id=f"{level}{subject}",
        problem="?",
        reference_answer="1",
        level=level,
        subject=subject,
    )


TRAIN = [make_problem(1, "Algebra"), make_problem(5, "Counting & Probability")]


def test_levels_and_subjects_that_a_cut_leaves_out_are_named() -> None:
    cut = [make_problem(5, "counting_and_probability"), make_problem(7, "topology")]
    assert left_out(TRAIN, cut) == {"levels": ["1"], "subjects": ["Algebra"]}
    assert left_out(TRAIN, TRAIN) == {}


def test_a_set_that_knows_no_levels_or_subjects_is_another_kind_and_no_cut() -> None:
    assert left_out(TRAIN, [make_problem(None, None)]) == {}
    assert left_out([make_problem(None, None)], TRAIN) == {}


def test_the_warning_says_what_to_do() -> None:
    dev = [make_problem(1, "Algebra")]
    level, subject = coverage_warnings({"train": TRAIN, "dev": dev, "test": TRAIN})
    assert level.startswith("dev has no problem of levels 5, which train has")
    assert subject.startswith("dev has no problem of subjects Counting & Probability")
    assert "give problems.dev and what is cut from the same rows one shuffle_seed" in subject
    assert coverage_warnings({"dev": dev}) == []
