"""Live progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ratchet.progress import Step
from ratchet.store.artifacts import Manifest
from ratchet.visible import visible

_ESTIMATED_FROM = 0.02
_ESTIMATED_REPORTS = 8
"""What must be done after the first report before the rest is estimated: a share of the stage, and
as many groups or steps as even out one long text."""
_LINE_EVERY = 10.0
"""Seconds between two plain lines of one stage."""


def describe(step: Step, seconds: float, left: float | None = None) -> str:
    """One report in words, e.g. `512/2000 · 2,310 tokens/s · 310 accepted of 4096 · 41 s left`.

    `left`: the seconds that are left, None where that can't be said yet.
    """
    parts = [f"{step.done}/{step.total}"]
    if step.tokens and seconds > 0:
        parts.append(f"{step.tokens / seconds:,.0f} tokens/s")
    if step.accepted is not None:
        total = f" of {step.completions}" if step.completions else ""
        parts.append(f"{step.accepted} accepted{total}")
    if step.note:
        parts.append(step.note)
    if left is not None:
        parts.append(f"{left:,.0f} s left")
    return " · ".join(parts)


def headline(manifest: Manifest) -> str:
    """What a finished stage has to say of itself in a few words."""
    metrics = manifest.metrics
    match manifest.stage:
        case "sample":
            return f"{metrics['completions']} completions, {metrics['tokens']:,} tokens"
        case "filter":
            return f"{metrics['accepted']} of {metrics['completions']} accepted"
        case "select" | "train":
            return f"{metrics['rows']} rows"
        case "eval":
            return _accuracy(metrics)
        case "gate":
            return f"{metrics['verdict']}: {metrics['reason']}"
        case _:
            return ""


def _accuracy(metrics: Mapping[str, Any]) -> str:
    """E.g. `mean@4 46.5 % [44.0, 49.0], n=500`; the name is left out for one completion each."""
    if metrics["state"] == "grader_broken":
        return "nothing could be graded: the grader is broken"
    if metrics["mean"] is None:
        return ""
    name = f"mean@{metrics['k']} " if metrics["k"] > 1 else ""
    mean, low, high = (100 * metrics[key] for key in ("mean", "low", "high"))
    return f"{name}{mean:.1f} % [{low:.1f}, {high:.1f}], n={metrics['n']}"


class StageDisplay:
    """Shows one stage; `show` takes its latest words."""

    def __init__(self, title: str, show: Callable[[Step | None, str], None]) -> None:
        self._title = title
        self._show = show
        self._started = time.monotonic()
        self._first: tuple[float, int] | None = None
        """When the first report came, and what was done by then."""
        self.last = ""

    def progress(self, step: Step) -> None:
        now = time.monotonic()
        self._first = self._first or (now, step.done)
        self._show(step, describe(step, now - self._started, self._left(step, now)))

    def _left(self, step: Step, now: float) -> float | None:
        """By the pace since the first report: until then a model was loaded, a long text drawn."""
        assert self._first
        began, done = self._first
        if step.done >= step.total or step.done - done < self._sound_from(step.total):
            return None
        return (now - began) * (step.total - step.done) / (step.done - done)

    @staticmethod
    def _sound_from(total: int) -> float:
        return max(_ESTIMATED_FROM * total, _ESTIMATED_REPORTS)

    def waiting(self) -> None:
        self._show(None, "another process makes this artifact; waiting for it")

    def finished(self, manifest: Manifest, reused: bool) -> None:
        took = "reused" if reused else f"{time.monotonic() - self._started:.1f} s"
        self.last = f"{self._title:<16} {took:>9}  {headline(manifest)}"


class Display:
    """Shows a run's stages, one after the other."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)

    def line(self, text: str) -> None:
        self._console.print(visible(text), markup=False)

    @contextmanager
    def stage(self, title: str) -> Iterator[StageDisplay]:
        """Show a stage while it works, and one line when it has finished."""
        shown = self._bar(title) if self._console.is_terminal else self._lines(title)
        with shown as display:
            yield display
        if display.last:
            self.line(display.last)

    @contextmanager
    def _bar(self, title: str) -> Iterator[StageDisplay]:
        columns = (
            TextColumn("{task.description:<16}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[words]}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(title, total=None, words="")

            def show(step: Step | None, words: str) -> None:
                if step:
                    bar.update(task, completed=step.done, total=step.total, words=visible(words))
                else:
                    bar.update(task, words=visible(words))

            yield StageDisplay(title, show)

    @contextmanager
    def _lines(self, title: str) -> Iterator[StageDisplay]:
        last = time.monotonic()

        def show(step: Step | None, words: str) -> None:
            nonlocal last
            if step is None or time.monotonic() - last >= _LINE_EVERY:
                last = time.monotonic()
                self.line(f"{title:<16} {words}")

        yield StageDisplay(title, show)
