"""The reasons of verdicts in plain words."""

from __future__ import annotations

from ratchet.records import Verdict

_WORDS = {
    # the outcome filter
    "equal_string": "its answer {answer!r} is the reference answer",
    "equal_number": "its answer {answer!r} is the same number as the reference answer",
    "equal_rounded": "its answer {answer!r} is the reference answer, rounded",
    "equal_parts": "its answer {answer!r} equals the reference answer part by part",
    "equal_symbolic": "its answer {answer!r} is mathematically equal to the reference answer",
    "different": "its answer {answer!r} is not the reference answer",
    "no_answer": "it states no final answer",
    "truncated": "it stopped at its length limit before a final answer",
    "too_large": "its answer is too large to be compared",
    "timeout": "comparing its answer {answer!r} took too long; nobody knows whether it is right",
    "memory": "comparing its answer {answer!r} took too much memory; nobody knows whether it is "
    "right",
    "grader_error": "its answer {answer!r} could not be compared; nobody knows whether it is right",
    "reference_missing": "there is no reference answer to compare it with",
    "unevaluated": "its answer {answer!r} leaves the reference number to be worked out",
    "several_answers": "it states several different final answers",
    "alternatives": "its answer {answer!r} lists alternatives",
    "repeats_problem": "its answer {answer!r} only repeats the problem",
    "sentence": "its answer is a whole sentence",
    "run_on": "it answers a second problem that nobody asked",
    # format
    "well_formed": "it has the shape that is asked for",
    "finish_length": "it stopped at its length limit",
    "no_boxed": "it has no \\boxed{{}}",
    "several_boxed": "it has several \\boxed{{}}",
    "unclosed_boxed": "its \\boxed{{ is never closed",
    "empty_boxed": "its \\boxed{{}} is empty",
    "no_think": "it has no <think>...</think>",
    "several_think": "it has several <think> blocks",
    "text_before_think": "it says something before <think>",
    "nothing_after_think": "nothing follows </think>",
    "tag_missing": "a tag is missing",
    "tag_repeated": "a tag occurs twice",
    "tags_out_of_order": "its tags are out of order",
    "text_outside_tags": "it has text outside the tags",
    "empty_tag": "a tag is empty",
    "pattern_mismatch": "it does not match the pattern",
    "answer_first": "it gives its answer before any reasoning",
    "empty_reasoning": "it gives its answer without reasoning",
    # length
    "fits": "its length, {reward:g}, is within bounds",
    "too_short": "its length, {reward:g}, is below the minimum",
    "too_long": "its length, {reward:g}, is above the maximum",
    "outlier_short": "its length, {reward:g}, is far below the others'",
    "outlier_long": "its length, {reward:g}, is far above the others'",
    "long_problem": "the problem is among the longest",
    # repetition
    "varied": "it does not go in circles",
    "repeated_ngrams": "{reward:.0%} of its runs of words come again",
    "repeated_lines": "{reward:.0%} of its lines come again",
    "compressible": "it can be compressed to {reward:.0%}, so it hardly says anything new",
    # language
    "wanted_language": "it is in the wanted language",
    "wrong_language": "it is in another language",
    "code_switched": "some of its sentences are in another language",
    "mixed_scripts": "it mixes scripts",
    # arithmetic
    "equations_hold": "all its equations hold",
    "no_equations": "it has no equation that can be checked",
    "wrong_equation": "an equation does not hold",
    # diversity
    "unique": "nothing kept is like it",
    "duplicate_text": "its text was there already",
    "duplicate_equations": "its equations were there already",
    "near_duplicate": "it is nearly the same as another",
    "near_duplicate_embedding": "it means nearly the same as another",
    # decontamination
    "clean": "it shares nothing with a benchmark",
    "contaminated_problem": "its problem is in a benchmark",
    "contaminated_completion": "it holds a benchmark's problem",
    # difficulty
    "in_band": "the problem's pass rate, {reward:.0%}, is within bounds",
    "too_easy": "the problem's pass rate, {reward:.0%}, is too high",
    "too_hard": "the problem's pass rate, {reward:.0%}, is too low",
    "never_solved": "the problem was never solved",
    # any
    "unscored": "there is nothing that could be judged",
    "filter_error": "the filter failed on it",
    "prompt_too_long": "its prompt was too long for the engine",
    "not_recorded": "the recording has no such completion",
    "engine_error": "the engine failed on it",
    "server_error": "the server failed on it, each time it was asked",
    "bad_answer": "the server's answers to it could not be used",
    "request_refused": "the server refused to answer it",
}


def in_words(verdict: Verdict) -> str:
    """A verdict's reason as part of a sentence; an unknown code, such as a user's own, stays."""
    told = _WORDS.get(verdict.reason, verdict.reason)
    if "{reward" in told and verdict.reward is None:
        told = verdict.reason
    if verdict.reason in _WORDS:
        told = told.format(answer=verdict.answer, reward=verdict.reward)
    return f"{told} ({verdict.note})" if verdict.note else told
