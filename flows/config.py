"""A run's whole config: the stages' settings joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from evals.config import EvalConfig, GateConfig, GuardConfig, PairedGate, looks_of
from evals.exploration.config import ExplorationConfig
from filters.config import FilterConfig, check_filters
from filters.kinds.decontamination import BENCHMARK
from filters.kinds.orm import OrmConfig
from filters.selection.config import DpoSelection, GrpoSelection, SelectionConfig, SftSelection
from filters.selection.stage import check_selection
from ratchet.config import Config, NotIdentity, apply_overrides, of_form, parse_config, read_toml
from ratchet.config_errors import Fault, Faults, Place, refuse
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import ModelConfig
from ratchet.problems.config import ProblemSource
from ratchet.problems.disjoint import OnOverlap, OverlapRules
from ratchet.store.ledger import check_run_name
from samplers.config import (
    EngineConfig,
    SamplerConfig,
    VllmEngineConfig,
    check_params,
    check_prompt,
)
from trainers.config import LoraConfig, TrainerConfig, at_iteration


class ProblemSets(Config):
    """Three disjoint sets: train is sampled, dev decides, test is reported once."""

    train: ProblemSource
    """The problems that are sampled and trained on."""
    dev: ProblemSource
    """The problems that the gate decides on, after each iteration."""
    test: ProblemSource
    """The problems that are measured once, at the end of a run, and decide nothing."""
    overlap_threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Share of a problem's 8-grams found in one problem of another set that counts as overlap."""
    on_overlap: OnOverlap = "drop"
    """What is done about problems that two sets share: `drop` leaves out of train what dev, test or
    a guard holds, and out of dev what test holds; `stop` refuses the config; `allow` keeps them,
    and every report says so."""
    max_dropped: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """Share of a set's problems beyond which `drop` stops instead."""

    def overlap_rules(self) -> OverlapRules:
        """The three settings on overlap."""
        return OverlapRules(
            on_overlap=self.on_overlap,
            threshold=self.overlap_threshold,
            max_dropped=self.max_dropped,
        )


class Guard(GuardConfig):
    """A named benchmark or figure that must not get worse."""

    name: Annotated[str, of_form(r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, '_' and '-'")]
    """What reports call it; not train, dev or test."""
    problems: ProblemSource | None = None
    """The benchmark's problems; left out, the guard watches the gate's completions of dev."""


class RetryConfig(Config):
    """Retries of a stage for what can pass: a dead engine or trainer, a full disk."""

    attempts: Annotated[int, Field(ge=0)] = 3
    """Retries of one stage before the run fails; 0 for none."""
    delays: tuple[float, ...] = (5.0, 30.0, 120.0)
    """Seconds before each retry; the last one repeats."""


def _run_name(name: str) -> str:
    check_run_name(name)
    return name


def _listed(value: Any) -> Any:
    """One table where a list of them may stand."""
    return [value] if isinstance(value, dict) else value


@dataclass(frozen=True)
class Training:
    """One training of an iteration's chain; `subject` tells it apart in the ledger."""

    subject: str
    trainer: TrainerConfig
    selection: SelectionConfig

    @property
    def label(self) -> str:
        """What a report calls it."""
        return self.subject or self.trainer.kind


class RunConfig(Config):
    """Everything that a run is made from."""

    name: Annotated[str, NotIdentity(), AfterValidator(_run_name)]
    """The run's name when none is given on the command line."""
    description: Annotated[str, NotIdentity()] = ""
    """A note for people; nothing depends on it."""
    seed: int = 0
    """Seeds everything that is drawn; another seed shares no sampled artifact with this one."""
    iterations: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Times that sample, filter, train and evaluate are gone through, at most."""
    patience: Annotated[int, Field(ge=1)] = 2
    """The run stops after this many iterations in a row that promoted nothing."""
    model: ModelConfig
    """The base model."""
    prompt: PromptConfig = PromptConfig()
    """How a problem becomes a prompt, in sampling, training and evaluation alike."""
    problems: ProblemSets
    """The three problem sets."""
    engine: EngineConfig
    """What samples completions."""
    sampler: SamplerConfig
    """How the train problems' completions are drawn."""
    filters: tuple[FilterConfig, ...] = (OrmConfig(),)
    """What judges each completion, in this order; the verdicts of all are kept."""
    selection: Annotated[tuple[SelectionConfig, ...], BeforeValidator(_listed)] = ()
    """One table, or one for each kind of rows that a trainer takes; left out, the defaults."""
    trainer: Annotated[tuple[TrainerConfig, ...], BeforeValidator(_listed), Field(min_length=1)]
    """One table, or a chain: each starts from the checkpoint of the one before."""
    eval: EvalConfig = EvalConfig()
    """How a checkpoint is evaluated on dev, the guards and test."""
    gate: GateConfig = PairedGate()
    """When a candidate is promoted."""
    guards: tuple[Guard, ...] = ()
    """Further benchmarks and figures that must not get worse."""
    exploration: Annotated[ExplorationConfig, NotIdentity()] = ExplorationConfig()
    """What is made of how much the policy still explores."""
    retry: Annotated[RetryConfig, NotIdentity()] = RetryConfig()
    """Retries of a stage for what can pass."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> RunConfig:
        names = [guard.name for guard in self.guards]
        own = {"train", "dev", "test"}
        taken = [name for name in names if name in own or name.startswith(BENCHMARK)]
        if taken or len(set(names)) < len(names):
            why = (
                "guards need names of their own, and not train, dev, test or "
                f"{BENCHMARK}…, which are those of other sets: {names}"
            )
            raise Faults([Fault(("guards",), why)])
        return self

    @model_validator(mode="after")
    def _sampler_fits(self) -> RunConfig:
        refuse(_faults(("sampler", "params"), check_params, self.engine, self.sampler.params))
        return self

    @model_validator(mode="after")
    def _prompt_fits(self) -> RunConfig:
        refuse(_faults(("prompt",), check_prompt, self.engine, self.prompt))
        return self

    @model_validator(mode="after")
    def _eval_fits(self) -> RunConfig:
        refuse(_faults(("eval", "params"), check_params, self.engine, self.eval.params))
        return self

    @model_validator(mode="after")
    def _guards_can_be_measured(self) -> RunConfig:
        looks = looks_of(self.gate, self.eval)
        faults = []
        for at, guard in enumerate(self.guards):
            drawn = looks[0] if guard.problems is None else guard.drawn(self.eval)
            if guard.k and guard.k > drawn:
                faults.append(
                    Fault(
                        ("guards", at, "k"),
                        f"{guard.metric} of {guard.k} completions can't be had from {drawn}: raise "
                        "the guard's group_size"
                        + (" and give it problems" if guard.problems is None else ""),
                    )
                )
            if guard.metric == "language" and not self.eval.language:
                why = 'the share in which language? set eval.language, e.g. to "en"'
                faults.append(Fault(("guards", at, "metric"), why))
            if guard.problems is None and guard.group_size:
                why = "without problems a guard watches the gate's completions; leave it out"
                faults.append(Fault(("guards", at, "group_size"), why))
        refuse(faults)
        return self

    @model_validator(mode="after")
    def _filters_agree(self) -> RunConfig:
        refuse(_faults(("filters",), check_filters, self.filters))
        return self

    @model_validator(mode="after")
    def _selections_find_filters(self) -> RunConfig:
        trainings = self.trainings()
        refuse(
            [f for t in trainings for f in _faults((), check_selection, t.selection, self.filters)]
        )
        return self

    @model_validator(mode="after")
    def _selections_feed_trainers(self) -> RunConfig:
        taken = [trainer.kind for trainer in self.trainer]
        given = [selection.kind for selection in self.selection]
        faults = []
        if idle := sorted(set(given) - set(taken)):
            faults.append(
                f"selection of kind {', '.join(idle)} feeds no trainer; the trainers are of kind "
                f"{', '.join(taken)}"
            )
        if len(set(given)) < len(given):
            faults.append(f"two selections of one kind: {given}; trainers of a kind share one")
        refuse([Fault(("selection",), why) for why in faults])
        return self

    @model_validator(mode="after")
    def _chain_goes_on(self) -> RunConfig:
        why = (
            'start_from = "base" can only be the first trainer\'s; each later one starts from '
            "the checkpoint of the one before"
        )
        later = [(place, t) for place, t in self.all_trainers() if place[1] != 0]
        refuse([Fault(place, why) for place, t in later if t.start_from == "base"])
        return self

    @model_validator(mode="after")
    def _engine_holds_adapters(self) -> RunConfig:
        if not isinstance(self.engine, VllmEngineConfig):
            return self
        most = self.engine.lora_rank
        refuse(
            [
                Fault(
                    (*place, "lora", "rank"),
                    f"{trainer.lora.rank} is above engine.lora_rank = {most}, so the engine could "
                    "not load what is trained; raise engine.lora_rank, or lower it",
                )
                for place, trainer in self.all_trainers()
                if trainer.lora and trainer.lora.rank > most
            ]
        )
        return self

    @model_validator(mode="after")
    def _adapters_keep_their_shape(self) -> RunConfig:
        refuse(list(_shape_faults(self.trainer)))
        return self

    def all_trainers(self) -> list[tuple[Place, TrainerConfig]]:
        """Every trainer's settings in every iteration that differs, by where they are given."""
        return [
            (("trainer", at, *within), settings)
            for at, trainer in enumerate(self.trainer)
            for within, settings in _by_iteration(trainer)
        ]

    @property
    def trains_adapters(self) -> bool:
        """Whether any iteration does, so that the engine must be ready for adapters."""
        return any(trainer.lora is not None for _, trainer in self.all_trainers())

    def sources(self) -> dict[str, ProblemSource]:
        """Every problem source by its set's name: train, dev, test, then the guards'."""
        sets = self.problems
        own: dict[str, ProblemSource] = {"train": sets.train, "dev": sets.dev, "test": sets.test}
        return own | {g.name: g.problems for g in self.guards if g.problems is not None}

    def trainings(self, iteration: int = 0) -> list[Training]:
        """The chain of trainings of one iteration; the first one's subject is empty."""
        given = {selection.kind: selection for selection in self.selection}
        kinds = [trainer.kind for trainer in self.trainer]
        return [
            Training(
                subject=_subject(kinds, at),
                trainer=at_iteration(trainer, iteration),
                selection=given.get(trainer.kind) or _default_selection(trainer.kind),
            )
            for at, trainer in enumerate(self.trainer)
        ]


def _by_iteration(trainer: TrainerConfig) -> list[tuple[Place, TrainerConfig]]:
    count = len(trainer.per_iteration)
    if not count:
        return [((), trainer)]
    return [(("per_iteration", at), at_iteration(trainer, at)) for at in range(count)]


def _shape_faults(trainers: Sequence[TrainerConfig]) -> Iterator[Fault]:
    """Where a training would go on with an adapter of another shape; each start is promoted."""
    found: dict[Fault, None] = {}
    held: LoraConfig | None = None
    for iteration in range(1 + max(len(trainer.per_iteration) for trainer in trainers)):
        for at, trainer in enumerate(trainers):
            settings = at_iteration(trainer, iteration)
            before = settings.starting_point(held, None)
            held = settings.lora
            if held and before and (held.rank, held.alpha) != (before.rank, before.alpha):
                why = (
                    f"rank {held.rank} and alpha {held.alpha:g} can't go on with the adapter that "
                    f"was trained before, of rank {before.rank} and alpha {before.alpha:g}; give "
                    'the same numbers, or start_from = "base"'
                )
                last = len(trainer.per_iteration) - 1
                within = ("per_iteration", min(iteration, last)) if last >= 0 else ()
                found[Fault(("trainer", at, *within, "lora"), why)] = None
    yield from found


def _faults(place: Place, check: Callable[..., None], *arguments: Any) -> list[Fault]:
    """What a check of a part's own finds, with the place of that part."""
    try:
        check(*arguments)
    except Faults as error:
        return [Fault((*place, *fault.place), fault.why) for fault in error.faults]
    except ValueError as error:
        return [Fault(place, str(error))]
    return []


def _subject(kinds: Sequence[str], at: int) -> str:
    """`dpo`, or `dpo-2` for the chain's second training of that kind."""
    if at == 0:
        return ""
    earlier = kinds[:at].count(kinds[at])
    return f"{kinds[at]}-{earlier + 1}" if earlier else kinds[at]


def _default_selection(kind: str) -> SelectionConfig:
    match kind:
        case "dpo":
            return DpoSelection()
        case "grpo":
            return GrpoSelection()
        case _:
            return SftSelection()


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The config of a TOML file with `--set` overrides.

    Raises:
        InputError: with every error at once.
    """
    tables = apply_overrides(read_toml(path), overrides)
    return parse_config(RunConfig, _absolute_paths(tables), str(path))


def _absolute_paths(node: Any) -> Any:
    """Local paths made absolute, so that a run can be resumed from any folder."""
    if isinstance(node, list):
        return [_absolute_paths(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    return {
        key: inner if key in _OTHERS else _absolute(key, _absolute_paths(inner))
        for key, inner in node.items()
    }


_PATHS = ("path", "model", "accelerate_config")
_OTHERS = ("settings", "args", "params", "chat_template_args")
"""Tables that are passed on as they are: what a key in them means isn't ours to know."""


def _absolute(key: str, value: Any) -> Any:
    if key in _PATHS and isinstance(value, str) and Path(value).exists():
        return str(Path(value).resolve())
    return value


def stored_config(tables: dict[str, Any], run: str) -> RunConfig:
    """The config that a run was made from."""
    return parse_config(RunConfig, renewed_tables(tables), f"the stored config of run {run!r}")


def renewed_tables(tables: dict[str, Any]) -> dict[str, Any]:
    """The tables of a run from before gates had kinds, so that it can be gone on with."""
    gate = tables.get("gate", {})
    if "test" not in gate:
        return tables
    kind = "mcnemar" if gate["test"] == "mcnemar" else "paired"
    rest = {name: value for name, value in gate.items() if name != "test"}
    return {**tables, "gate": {"kind": kind, **rest}}


def dump_config(config: RunConfig) -> dict[str, Any]:
    """The config as plain JSON values, defaults written out."""
    return config.model_dump(mode="json")
