"""``predator experiment list`` and ``show``: what is tried on users, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from predator.bootstrap.home import Home
from predator.bootstrap.operator import check_platform
from predator.domain.errors import InputError
from predator.edge.cli import experiment_words as words
from predator.edge.cli.desk import at_desk
from predator.edge.cli.experiment_plot import Labels, bars, page, svg
from predator.edge.cli.options import check_writable, settings_from
from predator.edge.cli.shown import print_json, print_table, say
from predator.loop.experiment.view import ExperimentView, known, read_experiment

KINDS = (".svg", ".html")


def list_experiments(contour: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """What runs, by git, and what ended, by what the cycles left."""
    with at_desk(pairs) as office:
        check_platform(office.settings)
        chosen = contour or office.settings.contour
        found = office.operator.experiments(chosen)
        if as_json:
            print_json(found)
            return
        for one in found.running:
            part = "" if one.width >= 1 else f" from {one.users_from:g} to {one.users_to:g}"
            say(
                f"running: {one.id} ({one.kind}) with {one.candidate[:12]} for {one.share:.0%} "
                f"of the users of the layer {one.layer}{part}"
            )
        if not found.running:
            say("none is running")
        rows = [_row(one) for one in known(office.operator.desk.artifacts)
                if one.contour == chosen and one.verdict != "RUNNING"]  # fmt: skip
        titles = ("experiment", "verdict", "users", "change", "interval", "why")
        print_table(titles, rows, "none has ended yet")


def show_experiment(
    experiment_id: str, as_json: bool, plot: Path | None, language: str, pairs: Sequence[str]
) -> None:
    """One experiment in words, numbers and a picture; the cycle's audit is verified.

    ``plot`` takes the picture to a file, ``.svg``, or with the words beside it ``.html``.
    """
    if language not in words.LANGUAGES:
        raise InputError(
            f"--lang cannot be {language[:20]!r}", cure=f"known are {', '.join(words.LANGUAGES)}"
        )
    if plot is not None and plot.suffix.lower() not in KINDS:
        raise InputError(f"--plot cannot write {plot.name!r:.60}", cure="name it .svg or .html")
    check_writable(plot)
    one = read_experiment(Home(settings_from(pairs)).artifacts, experiment_id)
    told = words.sentences(one, language)
    if plot is not None:
        _draw(one, told, plot, language)
    if as_json:
        print_json({"experiment": one, "words": told})
        return
    say(_title(one, language), *(f"  {line}" for line in told))
    print_table(*_arms(one, language))
    if one.metrics:
        print_table(
            tuple(_word(language, name) for name in _METRIC_TITLES),
            words.rows_of_metrics(one, language),
            "",
        )
    drawn = bars(one.looks or ([one.final] if one.final else []))
    if drawn:
        head = f"{_word(language, 'look')}, {_word(language, 'searches')}, "
        say(head + _labels(one, language).gain + ":", *drawn)


_METRIC_TITLES = ("metric", "baseline", "candidate", "change", "interval", "state")


def _draw(one: ExperimentView, told: Sequence[str], path: Path, language: str) -> None:
    labels = _labels(one, language)
    looks = one.looks or ([one.final] if one.final else [])
    text = svg(looks, labels, words.needed_evidence(one))
    if path.suffix.lower() == ".html":
        titles = tuple(_word(language, name) for name in _METRIC_TITLES)
        table = [titles, *words.rows_of_metrics(one, language)]
        text = page(labels.title, language, told, table, text)
    path.write_text(text, encoding="utf-8")


def _labels(one: ExperimentView, language: str) -> Labels:
    return Labels(
        title=_title(one, language),
        gain=words.say_in(language, "gain_axis", metric=words.metric_name(one)),
        evidence=_word(language, "evidence_axis"),
        x=_word(language, "x_axis"),
        none=_word(language, "none"),
    )


def _arms(
    one: ExperimentView, language: str
) -> tuple[Sequence[str], list[tuple[object, ...]], str]:
    titles = [_word(language, name) for name in ("arm", "users", "searches", "mean")]
    rows: list[tuple[object, ...]] = [
        (_word(language, arm.name), arm.users, arm.searches, words.figure(arm.mean))
        for arm in one.arms
    ]
    return titles, rows, ""


def _row(one: ExperimentView) -> tuple[object, ...]:
    users = [arm.users for arm in one.arms if arm.users is not None]
    final = one.final
    return (
        one.id, one.verdict, sum(users) if users else None,
        words.percent(final.delta_rel, signed=True) if final else None,
        words.interval(final.ci_low, final.ci_high) if final else None,
        f"THE AUDIT IS BROKEN: {one.audit}" if one.audit else one.reason,
    )  # fmt: skip


def _title(one: ExperimentView, language: str) -> str:
    return words.say_in(language, "title", id=one.id, contour=one.contour or "?")


def _word(language: str, name: str) -> str:
    return words.WORDS[language][name]
