"""An experiment told in whole sentences, in English and in Ukrainian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from predator.domain.verdicts import Verdict
from predator.edge.cli.times import span
from predator.loop.experiment.view import ExperimentView, LookPoint

LANGUAGES = ("en", "uk")

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Experiment {id} on {contour}",
        "PASS": "PASS: users of the candidate were better served.",
        "FAIL": "FAIL: the candidate is not to be given to users.",
        "INCONCLUSIVE": "INCONCLUSIVE: neither a gain nor a loss was shown; nothing is promoted.",
        "ERROR": "ERROR: the experiment could not be judged; nothing is promoted.",
        "RUNNING": "RUNNING: no verdict yet.",
        "STOPPED": "STOPPED: its cycle ended before there was a verdict; nothing is promoted.",
        "UNREADABLE": "UNREADABLE: there was a verdict, and its file is gone or damaged.",
        "other": "{verdict}: a verdict that this version does not know.",
        "reason": "In the decider's words: {reason}",
        "estimate": "{metric} changed by {delta}; the interval goes from {low} to {high}.",
        "wider": "It holds at all looks at once and for losses too, so it is wider than what the "
        "evidence for a gain needs.",
        "no_estimate": "No difference could be estimated.",
        "evidence": "Evidence for a gain: {evidence}, of the {needed} that were set beforehand.",
        "plan": "Planned before the start: {searches} searches would show {effect}; "
        "{share} of the users get the candidate.",
        "sizes": "It had {users} users with {searches} searches, in {elapsed}, at {looks} looks.",
        "metric": "metric", "baseline": "baseline", "candidate": "candidate",
        "change": "change", "interval": "interval", "state": "state", "arm": "arm",
        "users": "users", "searches": "searches", "mean": "mean",
        "holds": "no loss shown", "doubtful": "doubtful", "broken": "broken",
        "unknown": "not known",
        "mismatch": "The arms did not get their shares of users: nothing can be concluded.",
        "excluded": "{users} users were left out as bots or fraud.",
        "quarantine": "So many that its data are in quarantine: nothing is learnt from them.",
        "novelty": "The gain of the first half did not last into the second.",
        "screen": "Screened by interleaving before: {verdict}. {reason}",
        "shadow": "Replayed in the shadow before: {verdict}. {reason}",
        "audit_ok": "The audit of the cycle is intact.",
        "audit_bad": "THE AUDIT IS BROKEN: {audit}. Do not rely on these figures.",
        "look": "look", "gain_axis": "relative change of {metric}, with interval",
        "evidence_axis": "evidence (the line: what a PASS needs)", "x_axis": "searches",
        "none": "There was no look with an estimate: nothing to draw.",
    },
    "uk": {
        "title": "Експеримент {id} у контурі {contour}",
        "PASS": "PASS: користувачів кандидата обслужено краще.",
        "FAIL": "FAIL: кандидата не можна давати користувачам.",
        "INCONCLUSIVE": "INCONCLUSIVE: ні виграшу, ні втрати не показано; нічого не просувається.",
        "ERROR": "ERROR: експеримент не вдалося оцінити; нічого не просувається.",
        "RUNNING": "RUNNING: вердикту ще немає.",
        "STOPPED": "STOPPED: цикл закінчився до вердикту; нічого не просувається.",
        "UNREADABLE": "UNREADABLE: вердикт був, але його файл зник або пошкоджений.",
        "other": "{verdict}: вердикт, якого ця версія не знає.",
        "reason": "Словами алгоритму: {reason}",
        "estimate": "{metric} змінилась на {delta}; інтервал від {low} до {high}.",
        "wider": "Він чинний для всіх переглядів разом і для втрат теж, тож він ширший, ніж треба "
        "для свідчення про виграш.",
        "no_estimate": "Різницю не вдалося оцінити.",
        "evidence": "Свідчення на користь виграшу: {evidence} з потрібних {needed}.",
        "plan": "Заплановано до старту: {searches} пошуків показали б {effect}; "
        "кандидата отримують {share} користувачів.",
        "sizes": "Було {users} користувачів і {searches} пошуків за {elapsed}, "
        "переглядів результату: {looks}.",
        "metric": "метрика", "baseline": "базовий", "candidate": "кандидат",
        "change": "зміна", "interval": "інтервал", "state": "стан", "arm": "група",
        "users": "користувачі", "searches": "пошуки", "mean": "середнє",
        "holds": "втрат не показано", "doubtful": "під сумнівом", "broken": "порушено",
        "unknown": "невідомо",
        "mismatch": "Групи не отримали своїх часток користувачів: висновків робити не можна.",
        "excluded": "Вилучено користувачів як ботів або шахраїв: {users}.",
        "quarantine": "Їх стільки, що дані в карантині: на них нічого не вчиться.",
        "novelty": "Виграш першої половини не втримався у другій.",
        "screen": "Перед тим відсіяно чергуванням видач: {verdict}. {reason}",
        "shadow": "Перед тим відтворено в тіні: {verdict}. {reason}",
        "audit_ok": "Журнал циклу цілий.",
        "audit_bad": "ЖУРНАЛ ПОШКОДЖЕНО: {audit}. Не покладайтеся на ці числа.",
        "look": "перегляд", "gain_axis": "відносна зміна {metric}, з інтервалом",
        "evidence_axis": "свідчення (лінія: скільки треба для PASS)", "x_axis": "пошуки",
        "none": "Жодного перегляду з оцінкою: малювати нічого.",
    },
}  # fmt: skip


def say_in(language: str, name: str, **values: object) -> str:
    """One of :data:`WORDS`, filled in."""
    return WORDS[language][name].format(**values)


def sentences(one: ExperimentView, language: str) -> list[str]:
    """The experiment in words: verdict, why, sizes, plan, what else was noticed."""

    def say(name: str, **values: object) -> str:
        return say_in(language, name, **values)

    known = one.verdict in WORDS[language]
    lines = [say(one.verdict) if known else say("other", verdict=one.verdict)]
    if one.reason:
        lines.append(say("reason", reason=one.reason))
    lines += _estimated(one, language)
    lines += _sized(one, language)
    plan = one.plan
    if _has(plan, "searches", "effect_rel", "share"):
        lines.append(
            say("plan", searches=plan["searches"], effect=percent(plan["effect_rel"], signed=True),
                share=percent(plan["share"]))
        )  # fmt: skip
    if _mapping(one.notes.get("sample_ratio")).get("mismatch") is True:
        lines.append(say("mismatch"))
    excluded = _mapping(one.notes.get("excluded"))
    users = excluded.get("users", one.notes.get("excluded_users"))
    if isinstance(users, int) and users > 0:
        lines.append(say("excluded", users=users))
    if excluded.get("quarantined") is True:
        lines.append(say("quarantine"))
    if _mapping(one.notes.get("novelty")).get("holds") is False:
        lines.append(say("novelty"))
    for name, found in (("screen", one.screen), ("shadow", one.shadow)):
        if found:
            lines.append(
                say(name, verdict=found.get("verdict", "?"), reason=found.get("reason", ""))
            )
    lines.append(say("audit_bad", audit=one.audit) if one.audit else say("audit_ok"))
    return lines


def metric_name(one: ExperimentView) -> str:
    """The registered metric, as it is written."""
    return str(one.plan.get("metric", "click_mrr"))


def needed_evidence(one: ExperimentView) -> float | None:
    """The evidence that a PASS needs, where the plan is one of evidence."""
    value: object = one.plan.get("evidence")
    return float(value) if _is_number(value) else None


def percent(value: object, *, signed: bool = False) -> str:
    """``+3.1%``; a dash for what is no number."""
    if not _is_number(value):
        return "–"
    return f"{value:+.1%}" if signed else f"{value:.0%}"


def interval(low: float | None, high: float | None) -> str:
    """``-1.0% … +5.2%``."""
    return f"{percent(low, signed=True)} … {percent(high, signed=True)}"


def figure(value: float | None) -> str:
    """A number in four digits; a dash for none."""
    return "–" if value is None else f"{value:.4g}"


def _estimated(one: ExperimentView, language: str) -> list[str]:
    final = one.final
    if final is None or final.delta_rel is None:
        return [say_in(language, "no_estimate")]
    lines = [
        say_in(
            language, "estimate", metric=metric_name(one),
            delta=percent(final.delta_rel, signed=True), low=percent(final.ci_low, signed=True),
            high=percent(final.ci_high, signed=True),
        )
    ]  # fmt: skip
    if one.verdict == Verdict.PASS and final.ci_low is not None and final.ci_low <= 0:
        lines.append(say_in(language, "wider"))
    needed = needed_evidence(one)
    if final.evidence is not None and needed is not None:
        lines.append(
            say_in(
                language, "evidence", evidence=figure(final.evidence), needed=figure(needed)
            )
        )  # fmt: skip
    return lines


def _sized(one: ExperimentView, language: str) -> list[str]:
    users = [arm.users for arm in one.arms if arm.users is not None]
    final: LookPoint | None = one.final
    if not users:
        return []
    searches = final.searches if final is not None else None
    elapsed = final.elapsed_s if final is not None else None
    return [
        say_in(
            language, "sizes", users=sum(users), searches="–" if searches is None else searches,
            elapsed=span(elapsed), looks=max(1, len(one.looks)),
        )
    ]  # fmt: skip


def _has(plan: Mapping[str, Any], *names: str) -> bool:
    return all(_is_number(plan.get(name)) for name in names)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def rows_of_metrics(one: ExperimentView, language: str) -> Sequence[Sequence[object]]:
    """A row a metric: name, both arms, change, interval, state."""
    return [
        (
            metric.name, figure(metric.baseline), figure(metric.candidate),
            percent(metric.delta_rel, signed=True), interval(metric.ci_low, metric.ci_high),
            say_in(language, metric.state),
        )
        for metric in one.metrics
    ]  # fmt: skip
