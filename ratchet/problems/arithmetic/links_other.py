"""Steps that go on from dollars, minutes or pages."""

from __future__ import annotations

from ratchet.problems.arithmetic.steps import (
    HAS,
    HOW_LONG,
    HOW_MANY_PAGES,
    HOW_MUCH,
    NEEDS,
    OWNS,
    READS,
    StepTemplate,
)

MONEY_LINKS = (
    StepTemplate(
        name="spends",
        before="dollars",
        after="dollars",
        operation="-",
        tellings=(
            "{owner} spends ${n} on {goods}.",
            "{owner} pays ${n} to {other} for {goods}.",
        ),
        asks=("How many dollars are left for {who}?", *HOW_MUCH),
        working=OWNS,
    ),
    StepTemplate(
        name="earns-more",
        before="dollars",
        after="dollars",
        operation="+",
        tellings=(
            "{owner} earns ${n} more by helping {other}.",
            "{other} gives {owner} ${n}.",
        ),
        asks=HOW_MUCH,
        working=OWNS,
    ),
    StepTemplate(
        name="other-has-more-money",
        before="dollars",
        after="dollars",
        operation="+",
        tellings=(
            "{other} has ${n} more than {owner}.",
            "{owner} has ${n} less than {other}.",
        ),
        asks=("How many dollars does {who} have?",),
        working=OWNS,
        moves=True,
    ),
    StepTemplate(
        name="times-the-money",
        before="dollars",
        after="dollars",
        operation="*",
        tellings=(
            "{other} has {times} as much money as {owner}.",
            "{other} has saved {times} as many dollars as {owner}.",
        ),
        asks=("How many dollars does {who} have?",),
        working=OWNS,
        moves=True,
        high=5,
    ),
    StepTemplate(
        name="splits-money",
        before="dollars",
        after="dollars",
        operation="/",
        tellings=(
            "{owner} shares the money equally in a group of {n}, {owner} included.",
            "{owner} divides the money into {n} equal piles and keeps one pile.",
        ),
        asks=("How many dollars does {who} keep?",),
        working=OWNS,
        high=9,
    ),
    StepTemplate(
        name="spends-it-all",
        before="dollars",
        after="things",
        operation="/",
        tellings=(
            "{owner} spends all the money on {things} at ${n} each.",
            "{owner} turns every dollar into {things}, which cost ${n} apiece.",
        ),
        asks=("How many {things} does {who} buy?",),
        working=HAS,
        high=9,
    ),
)

TIME_LINKS = (
    StepTemplate(
        name="takes-a-break",
        before="minutes",
        after="minutes",
        operation="+",
        tellings=(
            "{owner} also rests for {n} minutes.",
            "{owner} adds {n} minutes for a break.",
        ),
        asks=HOW_LONG,
        working=NEEDS,
    ),
    StepTemplate(
        name="other-is-faster",
        before="minutes",
        after="minutes",
        operation="-",
        tellings=(
            "{other} does the same {n} minutes faster.",
            "{other} needs {n} minutes less than {owner}.",
        ),
        asks=HOW_LONG,
        working=NEEDS,
        moves=True,
    ),
    StepTemplate(
        name="every-day",
        before="minutes",
        after="minutes",
        operation="*",
        tellings=(
            "{owner} does all of this on {n} days.",
            "{owner} repeats this until it has been done {n} times.",
        ),
        asks=("How many minutes does {who} need in all?",),
        working=NEEDS,
        high=9,
    ),
    StepTemplate(
        name="part-of-the-time",
        before="minutes",
        after="minutes",
        operation="/",
        tellings=(
            "{other} needs only {part} of the time that {owner} needs.",
            "{other} takes {part} as long as {owner}.",
        ),
        asks=HOW_LONG,
        working=NEEDS,
        moves=True,
        high=5,
    ),
)

PAGE_LINKS = (
    StepTemplate(
        name="more-pages",
        before="pages",
        after="pages",
        operation="+",
        tellings=(
            "{owner} adds {n} pages to that.",
            "{owner} takes on {n} more pages from {other}.",
        ),
        asks=HOW_MANY_PAGES,
        working=READS,
    ),
    StepTemplate(
        name="fewer-pages",
        before="pages",
        after="pages",
        operation="-",
        tellings=(
            "{other} has {n} pages fewer than {owner}.",
            "{other}'s pages are {n} fewer than {owner}'s.",
        ),
        asks=("How many pages does {who} have?",),
        working=READS,
        moves=True,
    ),
    StepTemplate(
        name="times-the-pages",
        before="pages",
        after="pages",
        operation="*",
        tellings=(
            "{other} has {times} as many pages as {owner}.",
            "{other}'s pages are {times} as many as {owner}'s.",
        ),
        asks=("How many pages does {who} have?",),
        working=READS,
        moves=True,
        high=5,
    ),
    StepTemplate(
        name="minutes-per-page",
        before="pages",
        after="minutes",
        operation="*",
        tellings=(
            "{owner} needs {n} minutes for each page.",
            "Every page takes {owner} {n} minutes.",
        ),
        asks=HOW_LONG,
        working=NEEDS,
        high=9,
    ),
    StepTemplate(
        name="pages-per-minute",
        before="pages",
        after="minutes",
        operation="/",
        tellings=(
            "{owner} gets through {n} pages a minute.",
            "It takes {owner} a minute for every {n} pages.",
        ),
        asks=HOW_LONG,
        working=NEEDS,
        high=9,
    ),
)
