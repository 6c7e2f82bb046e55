"""The step templates that go on from a quantity: a problem's second and later steps."""

from __future__ import annotations

from ratchet.problems.arithmetic.links_other import MONEY_LINKS, PAGE_LINKS, TIME_LINKS
from ratchet.problems.arithmetic.links_things import THINGS_LINKS

LINKS = (*THINGS_LINKS, *MONEY_LINKS, *TIME_LINKS, *PAGE_LINKS)
