"""``predator``: the command line. Commands import what they need when they run."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from predator import __version__
from predator.domain.errors import PredatorError
from predator.edge.cli import argocd, governance, operations
from predator.edge.cli.given import AnyContour, AsJson, Contour, CycleId, Set

app = typer.Typer(
    name="predator",
    help="The search platform that improves itself, and can prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Measure relevance and speed.", no_args_is_help=True)
cycle = typer.Typer(help="The turns of the ring.", no_args_is_help=True)
app.add_typer(bench, name="bench")
app.add_typer(cycle, name="cycle")

Json = Annotated[Path | None, typer.Option("--json", help="Write the results to this file.")]
Data = Annotated[Path | None, typer.Option("--data", help="A BEIR folder (default: docstrings).")]
Lang = Annotated[str, typer.Option(help="The words: en or uk.")]
MissingDocs = Annotated[
    str, typer.Option(help="What to do with judgments of unknown documents: error or ignore.")
]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"predator {__version__}")
        raise typer.Exit


@app.command()
def run(
    data: Data = None,
    cycles: Annotated[int, typer.Option(min=1, max=100, help="Turns of the ring.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random.")] = None,
    json_file: Json = None,
    missing_docs: MissingDocs = "error",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew where a stopped run could go on.")
    ] = False,
    set_: Set = None,
) -> None:
    """Bring up the platform with users, shift the world, and turn the ring.

    A run that was stopped goes on when the same command is given again.
    """
    from predator.edge.cli.run import run_local

    run_local(data, cycles, seed, json_file, missing_docs, set_ or [], fresh=fresh)


@app.command()
def serve(
    run_folder: Annotated[Path | None, typer.Option("--run", help="A run's folder.")] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    set_: Set = None,
) -> None:
    """Start the platform alone, on the live release of the newest run."""
    from predator.edge.cli.serve import serve_run

    serve_run(run_folder, set_ or [], with_parent=with_parent)


@app.command()
def worker(
    run_folder: Annotated[Path | None, typer.Option("--run", help="A run's folder.")] = None,
    url: Annotated[str | None, typer.Option(help="The platform's address.")] = None,
    concurrency: Annotated[
        int,
        typer.Option(min=1, max=256, help="Cycles under way at once, those that wait included."),
    ] = 32,
    set_: Set = None,
) -> None:
    """The loop beside a running platform: scheduled, signalled and requested cycles."""
    from predator.edge.cli.worker import work

    work(run_folder, url, concurrency, set_ or [])


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    url: Annotated[str | None, typer.Option(help="The platform's address.")] = None,
    user: Annotated[str | None, typer.Option(help="Search as this user.")] = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Ask a running platform."""
    from predator.edge.cli.search import search_once

    search_once(query, k, url, user, as_json, set_ or [])


@app.command()
def settings(
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Every setting with its value; set with --set or the environment (PREDATOR_<NAME>)."""
    from predator.edge.cli.settings import show_settings

    show_settings(as_json, set_ or [])


@app.command()
def simulate(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many.")] = 365,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random.")] = None,
    as_json: AsJson = False,
    lang: Lang = "en",
    report: Annotated[
        Path | None, typer.Option(help="Write a page with a plot (or .svg: the plot) there, too.")
    ] = None,
    set_: Set = None,
) -> None:
    """A year of the loop on a virtual clock, and what its key figures hide.

    The loop's own deciders on made-up users, drift, faults, outages and attackers.
    """
    from predator.edge.cli.simulate import simulate as run_year

    raise typer.Exit(run_year(days, seed, as_json, lang, report, set_ or []))


@app.command()
def kpi(
    since: Annotated[
        str, typer.Option(help="How long ago (12h, 30d), or a date (its first moment, UTC).")
    ] = "30d",
    contour: Contour = None,
    lang: Lang = "en",
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """The key figures of the loop that runs here: target, current value and trend."""
    from predator.edge.cli.kpi import show_kpi

    show_kpi(contour, since, lang, as_json, set_ or [])


@bench.command("relevance")
def bench_relevance(
    folder: Annotated[Path | None, typer.Argument(help="A BEIR folder.")] = None,
    json_file: Json = None,
    missing_docs: MissingDocs = "error",
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    labels: Annotated[
        str, typer.Option(help="judgments, or none: learn from the documents alone.")
    ] = "judgments",
    cycles: Annotated[
        int, typer.Option(min=1, max=20, help="Turns, each from what the last one promoted.")
    ] = 1,
    set_: Set = None,
) -> None:
    """What the learning part gains on a collection, without users (default: docstrings)."""
    from predator.edge.cli.bench import relevance

    relevance(folder, json_file, missing_docs, seed, set_ or [], labels, cycles)


@bench.command("latency")
def bench_latency(
    rate: Annotated[float, typer.Option(min=1, max=500, help="Searches a second.")] = 20,
    seconds: Annotated[float, typer.Option(min=2, max=600)] = 30,
    json_file: Json = None,
    set_: Set = None,
) -> None:
    """Search latency over HTTP beside the sum of its parts, and swaps under load."""
    from predator.edge.cli.latency import latency

    latency(rate, seconds, json_file, set_ or [])


@cycle.command("list")
def cycle_list(contour: AnyContour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """Every cycle with its trigger, verdict, times and cost, newest first."""
    from predator.edge.cli.cycles import list_cycles

    list_cycles(contour, as_json, set_ or [])


@cycle.command("show")
def cycle_show(cycle_id: CycleId, as_json: AsJson = False, set_: Set = None) -> None:
    """One cycle: how far it is, its actions and files; the audit chain is verified."""
    from predator.edge.cli.cycles import show_cycle

    show_cycle(cycle_id, as_json, set_ or [])


governance.add_cycle_commands(cycle)
governance.add_to(app)
operations.add_to(app)
argocd.add_to(app)


def main() -> None:
    """Run the command line; errors are one line, exit code 2 for what the user gave."""
    interrupted = _remember_ctrl_c()
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if not (interrupted.is_set() and _is_ctrl_c(error)):
            _explain(error)
        code = _INTERRUPTED
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        sys.stderr.write("interrupted; the same command goes on from here\n")
    raise SystemExit(code if isinstance(code, int) else 0)


def _is_ctrl_c(error: BaseException | None) -> bool:
    """Whether an error is what became of a ctrl-C: an import that it came into fails as another,
    with or without saying why."""
    if isinstance(error, KeyboardInterrupt | ImportError | SystemError):
        return True
    return error is not None and _is_ctrl_c(error.__cause__ or error.__context__)


def _explain(error: Exception) -> NoReturn:
    """What is an error of the user's, or of their disk, in one line; any other as it is."""
    if isinstance(error, PredatorError):
        _fail(str(error), error.exit_code)
    if isinstance(error, OSError) and error.filename is not None:
        _fail(f"{error.filename}: {error.strerror}", 2 if error.errno in _PATHS else 1)
    # Typer's errors of usage have no public name in common.
    message = getattr(error, "format_message", None)
    if message is None:
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(message())  # with rich, it prints the help itself
        raise SystemExit(2) from None
    _fail(f"{message().rstrip('.')}. See `predator --help`", 2)


def _remember_ctrl_c() -> threading.Event:
    """Set once a ctrl-C came, whatever becomes of its exception on the way up."""
    came = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        came.set()
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    return came


_INTERRUPTED = 130
"""What Typer makes of a ctrl-C, as a shell would."""
_PATHS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM})
"""What is wrong with a path that somebody gave, unlike a disk that is full."""


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
