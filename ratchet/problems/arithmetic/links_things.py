"""Steps that go on from a number of things."""

from __future__ import annotations

from ratchet.problems.arithmetic.steps import HAS, HOW_MANY, HOW_MANY_PLAIN, OWNS, StepTemplate

THINGS_LINKS = (
    StepTemplate(
        name="buys-more",
        before="things",
        after="things",
        operation="+",
        tellings=(
            "{owner} buys {n} more {things}.",
            "{owner} gets another {n} {things} at a fair.",
        ),
        asks=HOW_MANY,
        working=HAS,
    ),
    StepTemplate(
        name="put-together",
        before="things",
        after="things",
        operation="+",
        tellings=(
            "{other} adds {n} {things} to {owner}'s.",
            "{owner} gets {n} {things} from {other}.",
        ),
        asks=HOW_MANY,
        working=HAS,
    ),
    StepTemplate(
        name="other-has-more",
        before="things",
        after="things",
        operation="+",
        tellings=(
            "{other} has {n} more {things} than {owner}.",
            "{owner} has {n} fewer {things} than {other}.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
        moves=True,
    ),
    StepTemplate(
        name="gives-away",
        before="things",
        after="things",
        operation="-",
        tellings=(
            "{owner} gives {n} {things} to {other}.",
            "{other} takes {n} {things} from {owner}.",
        ),
        asks=HOW_MANY,
        working=HAS,
    ),
    StepTemplate(
        name="loses",
        before="things",
        after="things",
        operation="-",
        tellings=(
            "{owner} loses {n} of the {things}.",
            "{n} of {owner}'s {things} get lost.",
        ),
        asks=("How many {things} are left for {who}?", *HOW_MANY),
        working=HAS,
    ),
    StepTemplate(
        name="other-has-fewer",
        before="things",
        after="things",
        operation="-",
        tellings=(
            "{other} has {n} fewer {things} than {owner}.",
            "{owner} has {n} more {things} than {other}.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
        moves=True,
    ),
    StepTemplate(
        name="times-as-many",
        before="things",
        after="things",
        operation="*",
        tellings=(
            "{other} has {times} as many {things} as {owner}.",
            "{other} owns {times} the number of {things} that {owner} has.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
        moves=True,
        high=5,
    ),
    StepTemplate(
        name="collection-grows",
        before="things",
        after="things",
        operation="*",
        tellings=(
            "{owner}'s collection of {things} grows to {n} times its size.",
            "A year later {owner} has {n} times that many {things}.",
        ),
        asks=HOW_MANY,
        working=HAS,
        high=9,
    ),
    StepTemplate(
        name="keeps-one-bag",
        before="things",
        after="things",
        operation="/",
        tellings=(
            "{owner} packs the {things} evenly into {n} bags and keeps one bag.",
            "{owner} shares the {things} equally among {n} people, {owner} included.",
        ),
        asks=("How many {things} does {who} keep?",),
        working=HAS,
        high=9,
    ),
    StepTemplate(
        name="part-as-many",
        before="things",
        after="things",
        operation="/",
        tellings=(
            "{other} has {part} as many {things} as {owner}.",
            "{other} owns {part} of the number of {things} that {owner} has.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
        moves=True,
        high=5,
    ),
    StepTemplate(
        name="sells-each",
        before="things",
        after="dollars",
        operation="*",
        tellings=(
            "{owner} sells all the {things} for ${n} each.",
            "{other} pays {owner} ${n} for each of the {things}.",
        ),
        asks=("How many dollars does {who} get?",),
        working=OWNS,
        high=9,
    ),
    StepTemplate(
        name="sells-sets",
        before="things",
        after="dollars",
        operation="/",
        tellings=(
            "{owner} sells all the {things} at {n} for a dollar.",
            "{other} buys all of {owner}'s {things} and pays a dollar for every {n}.",
        ),
        asks=("How many dollars does {who} get?",),
        working=OWNS,
        high=9,
    ),
)
