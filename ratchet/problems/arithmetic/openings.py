"""The step templates that a problem starts with."""

from __future__ import annotations

from ratchet.problems.arithmetic.steps import (
    HAS,
    HOW_LONG,
    HOW_MANY,
    HOW_MANY_PAGES,
    HOW_MANY_PLAIN,
    HOW_MUCH,
    NEEDS,
    OWNS,
    READS,
    StepTemplate,
)

THING_OPENINGS = (
    StepTemplate(
        name="finds-more",
        before=None,
        after="things",
        operation="+",
        tellings=(
            "{owner} has {a} {things} and finds {n} more.",
            "{owner} had {a} {things} at home and picked up {n} on the way.",
        ),
        asks=HOW_MANY,
        working=HAS,
    ),
    StepTemplate(
        name="two-colours",
        before=None,
        after="things",
        operation="+",
        tellings=(
            "{owner} collects {things}: {a} are red and {n} are blue.",
            "In {owner}'s bag are {a} old {things} and {n} new ones.",
        ),
        asks=("How many {things} is that in all?", *HOW_MANY_PLAIN),
        working=HAS,
    ),
    StepTemplate(
        name="more-than-other",
        before=None,
        after="things",
        operation="+",
        tellings=(
            "{other} has {a} {things}. {owner} has {n} more than {other}.",
            "{owner} owns {n} {things} more than {other}, who owns {a}.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
    ),
    StepTemplate(
        name="gives-some",
        before=None,
        after="things",
        operation="-",
        tellings=(
            "{owner} had {a} {things} and gave {n} of them to {other}.",
            "Out of {a} {things}, {owner} hands {n} to {other}.",
        ),
        asks=("How many {things} are left for {who}?", *HOW_MANY),
        working=HAS,
    ),
    StepTemplate(
        name="some-broken",
        before=None,
        after="things",
        operation="-",
        tellings=(
            "{owner} ordered {a} {things}, but {n} came broken and were thrown out.",
            "Of the {a} {things} that {owner} made, {n} went wrong and were binned.",
        ),
        asks=("How many good {things} does {who} have?",),
        working=HAS,
    ),
    StepTemplate(
        name="fewer-than-other",
        before=None,
        after="things",
        operation="-",
        tellings=(
            "{other} has {a} {things}. {owner} has {n} fewer than {other}.",
            "{owner} is {n} {things} short of {other}, who has {a}.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
    ),
    StepTemplate(
        name="boxes",
        before=None,
        after="things",
        operation="*",
        tellings=(
            "{owner} buys {a} boxes with {n} {things} in each.",
            "{owner} has {a} bags, and every bag holds {n} {things}.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
        high=12,
    ),
    StepTemplate(
        name="rows",
        before=None,
        after="things",
        operation="*",
        tellings=(
            "{owner} lays out {things} in {a} rows of {n}.",
            "On {owner}'s table stand {a} rows of {n} {things}.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
        high=12,
    ),
    StepTemplate(
        name="per-day",
        before=None,
        after="things",
        operation="*",
        tellings=(
            "{owner} makes {n} {things} a day for {a} days.",
            "For {a} days {owner} gets {n} {things} every day.",
        ),
        asks=HOW_MANY,
        working=HAS,
        high=12,
    ),
    StepTemplate(
        name="fair-share",
        before=None,
        after="things",
        operation="/",
        tellings=(
            "{owner} is one of {n} children who share {a} {things} equally.",
            "{a} {things} are dealt out evenly to {n} people, and {owner} is one of them.",
        ),
        asks=("How many {things} does {who} get?",),
        working=HAS,
        high=12,
    ),
    StepTemplate(
        name="part-of-other",
        before=None,
        after="things",
        operation="/",
        tellings=(
            "{other} has {a} {things}. {owner} has {part} as many.",
            "{owner} has only {part} as many {things} as {other}, who has {a}.",
        ),
        asks=HOW_MANY_PLAIN,
        working=HAS,
        high=5,
    ),
)

OTHER_OPENINGS = (
    StepTemplate(
        name="hourly-pay",
        before=None,
        after="dollars",
        operation="*",
        tellings=(
            "{owner} works {a} hours and earns ${n} an hour.",
            "{owner} is paid ${n} an hour and works for {a} hours.",
        ),
        asks=("How many dollars does {who} earn?",),
        working=OWNS,
        high=12,
    ),
    StepTemplate(
        name="weekly-saving",
        before=None,
        after="dollars",
        operation="*",
        tellings=(
            "{owner} puts ${n} aside every week for {a} weeks.",
            "In each of {a} weeks {owner} saves ${n}.",
        ),
        asks=HOW_MUCH,
        working=OWNS,
        high=12,
    ),
    StepTemplate(
        name="gift-of-money",
        before=None,
        after="dollars",
        operation="+",
        tellings=(
            "{owner} has ${a} and is given ${n} by {other}.",
            "{owner} got ${a} from an aunt and ${n} from {other}.",
        ),
        asks=HOW_MUCH,
        working=OWNS,
    ),
    StepTemplate(
        name="pays-for-goods",
        before=None,
        after="dollars",
        operation="-",
        tellings=(
            "{owner} had ${a} and paid ${n} for {goods}.",
            "With ${a} in hand, {owner} buys {goods} for ${n}.",
        ),
        asks=("How many dollars are left for {who}?", *HOW_MUCH),
        working=OWNS,
    ),
    StepTemplate(
        name="there-and-back",
        before=None,
        after="minutes",
        operation="+",
        tellings=(
            "{owner} walks {a} minutes to the lake and {n} minutes back.",
            "{owner} swims for {a} minutes and then runs for {n} minutes.",
        ),
        asks=HOW_LONG,
        working=NEEDS,
    ),
    StepTemplate(
        name="laps",
        before=None,
        after="minutes",
        operation="*",
        tellings=(
            "{owner} runs {a} laps of {n} minutes each.",
            "{owner} plays {a} songs, each {n} minutes long.",
        ),
        asks=HOW_LONG,
        working=NEEDS,
        high=12,
    ),
    StepTemplate(
        name="faster-than-other",
        before=None,
        after="minutes",
        operation="-",
        tellings=(
            "{other} cleans a bike in {a} minutes. {owner} is {n} minutes faster.",
            "{owner} climbs the hill {n} minutes faster than {other}, who takes {a} minutes.",
        ),
        asks=HOW_LONG,
        working=NEEDS,
    ),
    StepTemplate(
        name="pages-per-day",
        before=None,
        after="pages",
        operation="*",
        tellings=(
            "{owner} reads {n} pages a day for {a} days.",
            "{owner} writes {a} letters of {n} pages each.",
        ),
        asks=HOW_MANY_PAGES,
        working=READS,
        high=12,
    ),
    StepTemplate(
        name="pages-left",
        before=None,
        after="pages",
        operation="-",
        tellings=(
            "{owner} has a book of {a} pages and has read {n} of the pages.",
            "{owner} must copy {a} pages, and {n} of them are done.",
        ),
        asks=("How many pages are left for {who}?",),
        working=READS,
    ),
)

OPENINGS = (*THING_OPENINGS, *OTHER_OPENINGS)
