"""``predator experiment shadow``: recorded queries, answered by two releases, seen by nobody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from predator.bootstrap.home import Home
from predator.bootstrap.rehearsal import NAME as REHEARSAL
from predator.bootstrap.shadow import digest_named, live_digest, recorded_queries_of, replica_of
from predator.domain.errors import InputError
from predator.domain.verdicts import Screening
from predator.edge.cli.options import settings_from
from predator.edge.cli.progress import ConsoleProgress
from predator.edge.cli.shown import print_json, print_table, say
from predator.loop.experiment.shadow import Shadowed, ShadowLimits, judge_shadow
from predator.loop.experiment.shadow_replay import replay
from predator.search.serving.schemas import MAX_QUERY


def shadow(
    release: str,
    baseline: str | None,
    queries: Path | None,
    most: int,
    as_json: bool,
    pairs: Sequence[str],
) -> int:
    """Replay, print what was found, and the exit code: 1 where the release is to be blocked."""
    settings = settings_from(pairs)
    run = Home(settings).current_run()
    if run is None:
        raise InputError(
            f"there is no platform in {settings.home} yet", cure="run `predator run` first"
        )
    if run.about.get("name") == REHEARSAL:
        raise InputError(
            f"{run.folder.name} is a rehearsal: it has no documents and no users",
            cure="found a platform with `predator run`",
        )
    candidate = digest_named(run, release)
    before = live_digest(settings, run) if baseline is None else digest_named(run, baseline)
    texts = _read(queries)[:most] if queries is not None else recorded_queries_of(run, most)
    if not texts:
        raise InputError(
            "nobody has asked anything in the last week", cure="give queries with --queries FILE"
        )
    progress = ConsoleProgress()
    try:
        replica = replica_of(settings, run, progress)
        seen = replay(
            replica.engine(before),
            replica.engine(candidate),
            texts,
            lambda done, total: progress.work("queries replayed", done, total),
        )
    finally:
        progress.close()
    limits = ShadowLimits(settings.latency_delta_rel_max, settings.latency_floor_ms, settings.alpha)
    found = judge_shadow(seen, limits)
    if as_json:
        print_json({"release": candidate, "baseline": before, "shadow": found})
    else:
        _show(candidate, before, found)
    return 1 if found.verdict == Screening.NO_GO else 0


def _read(path: Path) -> list[str]:
    """One query a line; those that the platform would refuse are refused here."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8", cure="give one query a line") from error
    texts = [line.strip() for line in lines if line.strip()]
    for number, text in enumerate(texts, 1):
        if len(text) > MAX_QUERY:
            raise InputError(f"query {number} of {path} has more than {MAX_QUERY} characters")
    return list(dict.fromkeys(texts))


def _show(candidate: str, before: str, found: Shadowed) -> None:
    say(
        f"{found.verdict}: {found.reason}",
        f"{found.queries} queries, {candidate[:12]} beside {before[:12]}",
    )
    rows = [
        (name, f"{found.failed[name]:.2%}", f"{found.empty[name]:.2%}", _ms(p95))
        for name, p95 in found.latency_p95_ms.items()
    ]
    print_table(("release", "failed", "no hit", "p95, ms"), rows, "")
    if found.overlap is not None and found.rbo is not None:
        say(f"lists: overlap@10 {found.overlap:.3f}, rank-biased overlap {found.rbo:.3f}")


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
