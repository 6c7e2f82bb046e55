"""The model card of an exported checkpoint: what it was made from, and what was measured.

It is made to be passed on: secrets and this machine's folders are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flows.config import RunConfig
from flows.reports.figures import decision, percent
from flows.reports.run_report import show
from flows.reports.sets_report import overlap_lines
from ratchet.policy import Policy
from ratchet.secrets import shown as presentable
from ratchet.secrets import shown_path
from ratchet.store.ledger import Run


def model_card(run: Run, config: RunConfig, policy: Policy) -> str:
    """Markdown with the metadata that model hubs read. A license is the user's to add."""
    shown = show(run)
    return "\n".join(
        [
            *_metadata(config, policy),
            f"# {run.name}, iteration {policy.iteration}",
            "",
            f"Trained from `{shown_path(config.model.path)}`"
            f"{f' at revision `{config.model.revision}`' if config.model.revision else ''} by "
            "rejection sampling: completions of the model itself were verified, and what was "
            "accepted was trained on.",
            "",
            *_data(config, shown),
            "",
            *_results(shown, policy),
            "",
            *_settings(config),
            "",
        ]
    )


def _metadata(config: RunConfig, policy: Policy) -> Iterator[str]:
    yield "---"
    yield f"base_model: {json.dumps(shown_path(config.model.path))}"
    yield f"library_name: {'peft' if policy.adapter else 'transformers'}"
    yield "pipeline_tag: text-generation"
    yield "tags: [ratchet, rejection-sampling]"
    yield "---"
    yield ""


def _data(config: RunConfig, shown: Mapping[str, Any]) -> Iterator[str]:
    yield "## Data"
    yield ""
    yield "| set | source | used for |"
    yield "|---|---|---|"
    uses = {"train": "sampled and trained on", "dev": "deciding", "test": "measured once"}
    for name, source in config.sources().items():
        described = _source(presentable(source.model_dump()))
        yield f"| {name} | {described} | {uses.get(name, 'guarding')} |"
    for line in overlap_lines(shown["overlap"]):
        yield ""
        yield line


def _source(source: Mapping[str, Any]) -> str:
    named = ("kind", "path", "split", "size", "levels", "limit")
    return ", ".join(f"{key} {source[key]}" for key in named if source.get(key) is not None)


def _results(shown: Mapping[str, Any], policy: Policy) -> Iterator[str]:
    yield "## Results"
    yield ""
    yield "Accuracy with 95 % intervals; a candidate is promoted by a paired test on dev."
    yield ""
    yield "| iteration | sampled | accepted | trained rows | dev | decision |"
    yield "|---|---|---|---|---|---|"
    yield f"| base | | | | {percent(shown['base']['dev'])} | |"
    for row in shown["iterations"]:
        if row["iteration"] > policy.iteration:
            break
        yield (
            f"| {row['iteration']} | {row['sampled']} | {row['accepted']} | {row['train_rows']} | "
            f"{percent(row['dev'])} | {decision(row)} |"
        )
    yield ""
    test = shown["test"]
    promoted = [row["iteration"] for row in shown["iterations"] if row["promoted"]]
    if promoted and promoted[-1] == policy.iteration and test["final"]:
        yield f"Test: base {percent(test['base'])}, this checkpoint {percent(test['final'])}."
        if test["base_sampled"]:
            before, after = test["base_sampled"], test["final_sampled"]
            yield (
                f"Mean over {before['k']} sampled completions: base {percent(before)}, this "
                f"checkpoint {percent(after)}."
            )
        yield _read(test["readings"])
    else:
        yield "This checkpoint was not measured on the test set."


def _read(readings: int) -> str:
    times = "once" if readings == 1 else f"{readings} times"
    return f"The test set was read {times} by this run."


def _settings(config: RunConfig) -> Iterator[str]:
    yield "## Settings"
    yield ""
    yield "```json"
    yield json.dumps(presentable(config.model_dump(mode="json")), indent=1, ensure_ascii=False)
    yield "```"
