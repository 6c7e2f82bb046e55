"""The command line. Commands only join parts; heavy imports wait until a command needs them."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from flows.commands.compare import compare
from flows.commands.config import config as show_settings
from flows.commands.decide import decide
from flows.commands.eval import evaluate
from flows.commands.init import init
from flows.commands.verify import verify
from ratchet.errors import InputError
from ratchet.visible import json_text, visible

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn a language model and problems with known answers into a better model, gated.",
)


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    NOTHING_PROMOTED = 3
    SUSPENDED = 4
    INTERRUPTED = 130
    TERMINATED = 143


StoreOption = Annotated[
    Path, typer.Option("--store", envvar="RATCHET_STORE", help="The folder of artifacts and runs.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on stdout.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting, e.g. sampler.group_size=4.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="The run's name.")]
ConfigArgument = Annotated[Path, typer.Argument(help="A run's config, e.g. configs/demo.toml.")]
RunArgument = Annotated[str, typer.Argument(help="A run's name.")]
_STORE = Path("ratchet-store")
_PREFECT_PROFILES = Path("~/.prefect/profiles.toml")


def _quiet_prefect(store: Path) -> None:
    """Set what Prefect reads on import, unless the user has set it.

    Its files go into the store, because nothing is written anywhere else; only a home with a
    profile of the user's own is left where it is, for the sake of the profile.
    """
    home = store.resolve() / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    defaults = {
        # Errors are told by `main`, once; Prefect's own record of them is in its UI.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Below ~ by default, the second even where PREFECT_HOME is set (Prefect 3.7.7).
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PREFECT_SERVER_MEMO_STORE_PATH": str(home / "memo_store.toml"),
    }
    if not _PREFECT_PROFILES.expanduser().exists():
        defaults["PREFECT_HOME"] = str(home)
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


@contextmanager
def _prefect_server(store: Path) -> Iterator[None]:
    """A Prefect server for the while, where the user names none."""
    from flows.prefect_server import OwnServer, users_own

    if users_own(_PREFECT_PROFILES.expanduser().parent):
        yield
        return
    server = OwnServer(store.resolve() / "prefect" / "server.log")
    # Registered before Prefect's own, so it comes after them: they send their last events to it.
    atexit.register(server.close)
    server.wait()
    os.environ["PREFECT_API_URL"] = server.url
    try:
        yield
    except KeyboardInterrupt:
        server.close()
        raise


class _Terminated(KeyboardInterrupt):
    """SIGTERM: as Ctrl-C, but for the exit code."""


_GRACE_SECONDS = 4.0
"""For what is at work to end in order; what takes longer is cut off, as by kill -9."""


@contextmanager
def _interruptible(name: str) -> Iterator[None]:
    """An interrupt ends with one line; what the run had finished is on disk by then.

    The process ends at once: Prefect's threads would wait for answers from a server that is gone.
    """

    def stop(number: int, _frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        bound = threading.Timer(_GRACE_SECONDS, _leave, (name, 128 + number))
        bound.daemon = True
        bound.start()
        raise KeyboardInterrupt if number == signal.SIGINT else _Terminated

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        sys.stdout.flush()
        terminated = isinstance(error, _Terminated)
        _leave(name, Exit.TERMINATED if terminated else Exit.INTERRUPTED)


def _leave(name: str, code: int) -> NoReturn:
    # No stream's lock is asked for: the thread that hangs may hold it.
    os.write(2, f"interrupted; go on with: ratchet resume {name}\n".encode())
    os._exit(code)


def _answer(value: Any) -> None:
    sys.stdout.write(json_text(value) + "\n")


def _say(text: str) -> None:
    typer.echo(visible(text))


def _work(
    config: dict[str, Any],
    name: str,
    store: Path,
    as_json: bool,
    redo: tuple[int, str] | None = None,
) -> None:
    """Check the input, run the flow, print the run, and leave with its exit code."""
    from flows.preflight import preflight
    from ratchet.store.artifacts import Store
    from ratchet.store.ledger import Run, check_run_name

    check_run_name(name)
    Run(Store(store), name).check_free()
    preflight(config, name, Store(store))
    _quiet_prefect(store)
    from flows.reports.run_report import print_run, show

    recorded = Run.create(Store(store), name, config)
    with _interruptible(name), _prefect_server(store):
        from flows.improve import improve

        outcome = improve(name, os.path.relpath(store), redo)
    shown = show(recorded)
    _answer(shown) if as_json else print_run(shown)
    codes = {
        "promoted": Exit.DONE,
        "nothing_promoted": Exit.NOTHING_PROMOTED,
        "suspended": Exit.SUSPENDED,
    }
    raise typer.Exit(codes[outcome])


@app.command()
def run(
    config: ConfigArgument,
    name: NameOption = None,
    settings: SetOption = None,
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
) -> None:
    """Run a config to its report; what the store has already is used."""
    from flows.config import dump_config, load_config

    parsed = load_config(config, settings or [])
    _work(dump_config(parsed), parsed.name if name is None else name, store, as_json)


@app.command()
def resume(
    name: RunArgument,
    from_iteration: Annotated[int | None, typer.Option(help="Do again from here on.")] = None,
    from_stage: Annotated[
        str | None,
        typer.Option(help="sample, filter, select, train, eval or gate; goes with the iteration."),
    ] = None,
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was stopped, or do it again from an iteration and stage."""
    from ratchet.store.artifacts import Store
    from ratchet.store.ledger import STAGES, Run, redo_from

    found = Run.open(Store(store), name)
    if from_iteration is None and from_stage is not None:
        raise InputError(
            f"--from-stage {from_stage} does not say of which iteration; add --from-iteration N"
        )
    redo = None if from_iteration is None else (from_iteration, from_stage or STAGES[0])
    if redo:
        redo_from(found, *redo)
    _work(found.config, name, store, as_json, redo)


@app.command()
def runs(store: StoreOption = _STORE, as_json: JsonOption = False) -> None:
    """List the runs of the store."""
    from flows.reports.run_report import print_runs, show
    from ratchet.store.artifacts import Store
    from ratchet.store.ledger import list_runs

    found = list_runs(Store(store))
    if not store.exists():
        _tell(f"there is no store at {store} yet; `ratchet run` makes it, --store names another")
    _answer([show(each) for each in found]) if as_json else print_runs(store, found)


@app.command()
def show(name: RunArgument, store: StoreOption = _STORE, as_json: JsonOption = False) -> None:
    """Show one run: its iterations, decisions and test result."""
    from flows.reports.run_report import print_run
    from flows.reports.run_report import show as shown_run
    from ratchet.store.artifacts import Store
    from ratchet.store.ledger import Run

    shown = shown_run(Run.open(Store(store), name))
    _answer(shown) if as_json else print_run(shown)


@app.command()
def why(
    name: RunArgument,
    problem_id: Annotated[str, typer.Argument(help="A problem of the run.")],
    full: Annotated[bool, typer.Option("--full", help="Show completions uncut.")] = False,
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
) -> None:
    """Tell one problem's story: its completions, why each was accepted or not, what was trained."""
    from flows.commands.why import describe
    from flows.commands.why import why as tell
    from ratchet.store.artifacts import Store
    from ratchet.store.ledger import Run

    story = tell(Run.open(Store(store), name), problem_id)
    _answer(story) if as_json else _say(describe(story, full=full))


@app.command()
def rescore(
    name: RunArgument,
    settings: SetOption = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Take filters and selection from this config.")
    ] = None,
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
) -> None:
    """Judge a run's completions by other filters or selection; nothing is sampled again."""
    from flows.commands.rescore import changed_config, describe
    from flows.commands.rescore import rescore as judge_again
    from ratchet.store.artifacts import Store
    from ratchet.store.ledger import Run

    found = Run.open(Store(store), name)
    rescored = judge_again(found, changed_config(found, settings or [], config))
    _answer(rescored) if as_json else _say(describe(rescored))


@app.command()
def export(
    name: RunArgument,
    out: Annotated[Path, typer.Option("-o", "--out", help="A folder that is not there yet.")],
    iteration: Annotated[
        int | None, typer.Option(help="This iteration's candidate, in place of the incumbent.")
    ] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="The adapter alone, not merged into its model.")
    ] = False,
    dtype: Annotated[
        str, typer.Option(help="bfloat16, float16 or float32 for the merged checkpoint.")
    ] = "bfloat16",
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
) -> None:
    """Write a checkpoint that transformers and vLLM load, with a model card."""
    from flows.commands.export import Wanted
    from flows.commands.export import export as write_checkpoint
    from ratchet.store.artifacts import Store
    from ratchet.store.ledger import Run

    found = Run.open(Store(store), name)
    written = write_checkpoint(found, Wanted(out, iteration, adapter, dtype))
    _answer(written) if as_json else _say(f"{written['checkpoint']}: {written['what']}")


@app.command()
def plan(
    config: ConfigArgument,
    name: NameOption = None,
    settings: SetOption = None,
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
) -> None:
    """Dry run: what would be done, what is there already, a cost forecast. Needs no network."""
    from flows.commands.plan import describe
    from flows.commands.plan import plan as make_plan
    from flows.config import load_config
    from ratchet.store.artifacts import Store

    parsed = load_config(config, settings or [])
    known = Store(store) if store.exists() else None
    planned = make_plan(parsed, known, parsed.name if name is None else name)
    _answer(planned) if as_json else _say(describe(planned))


@app.command()
def doctor(store: StoreOption = _STORE, as_json: JsonOption = False) -> None:
    """Say what this machine has, and what would not work on it."""
    from dataclasses import asdict

    from flows.commands.doctor import examine

    findings = examine(store)
    if as_json:
        _answer([asdict(finding) for finding in findings])
        return
    for finding in findings:
        advice = f"   ! {finding.advice}" if finding.advice else ""
        _say(f"{finding.what:<16} {finding.seen}{advice}")


app.command()(verify)
app.command("config")(show_settings)
app.command()(init)
app.command("eval")(evaluate)
app.command()(compare)
app.command()(decide)


def _tell(text: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(visible(text), markup=False)


def main() -> None:
    """Entry point: errors become a message and an exit code, never a traceback for bad input."""
    try:
        app()
    except InputError as error:
        _tell(f"error: {error}")
        sys.exit(Exit.BAD_INPUT)
    except (RuntimeError, OSError) as error:
        _tell(f"failed: {type(error).__name__}: {error}")
        sys.exit(Exit.FAILED)
