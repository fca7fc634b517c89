"""How fast a rollback is, on the real platform, under traffic: many drills in a row.

    python benchmarks/rollback.py [--drills 100] [--rate 50] [--documents 400] [--home DIR] [--json]

The platform (`predator serve`, with the embedded corpus's first documents) serves searches of
simulated users over HTTP the whole time. Each drill makes another release live by a commit, with
5% of the users held back; waits until it serves; in every third drill another commit comes in
between (an experiment that was ended, as others do); then takes it back by the loop's own rollback:
policy, journal, flip, one forward commit, and the end of the watch. `traffic back` is from the
decision to the last search that the bad release answered to anybody but the held-back, as recorded;
`git` is from the decision until the restoring commit is applied. Prints a table, then one line of
JSON (`--json`: only that). Needs the sentence encoder (see docs/cli.md), and about two seconds a
drill.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from predator.adapters.runtime.virtual import VirtualRuntime
from predator.bootstrap.governed import Stores, stores_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.platform import collection_of, found_platform
from predator.bootstrap.ring import ring_of
from predator.config import Settings, load_settings
from predator.domain.documents import Collection
from predator.edge.cli.local import feed, wait_for_documents, wait_for_vectors
from predator.edge.cli.options import passed_on
from predator.learning.categories import learn_rules
from predator.loop.drill import OPERATOR
from predator.loop.record import Record
from predator.loop.replica import keep_release
from predator.loop.ring import Ring
from predator.loop.rollback import IN_GIT_S, TRAFFIC_BACK_S, Restored, roll_back
from predator.ports.progress import Silent
from predator.search.desired import Holdback, LiveRelease
from predator.search.serving.agent import load_release
from predator.simulation.processes import PlatformProcess, UsersProcess

SERVED_S = 0.6
"""How long users get the bad release before it is taken back."""


def platform(settings: Settings, run: Run, collection: Collection, count: int, stack: ExitStack
             ) -> str:  # fmt: skip
    """The URL of a platform that serves the first ``count`` documents."""
    documents = collection.documents[:count]
    files = Home(settings).encoder_files()
    found_platform(run, files, learn_rules(documents, settings.seed), "rollback", settings.contour)
    served = PlatformProcess(run.folder, run.folder / "platform.log", passed_on(settings))
    stack.callback(served.stop)
    url = served.wait_ready(120)
    feed(url, documents, Silent())
    wait_for_documents(url, Silent())
    wait_for_vectors(url, Silent())
    return url


def users_of(
    settings: Settings, run: Run, collection: Collection, url: str, rate: float, stack: ExitStack
) -> UsersProcess:
    world = run.folder / "world.json"
    questions = [{"id": q.id, "text": q.text, "relevant": {}} for q in collection.queries[:1000]]
    world.write_text(json.dumps({"groups": {"all": questions}}))
    found = UsersProcess(
        url, world, run.folder / "users.log", rate=rate, users=500, seed=settings.seed,
        mix={"all": 1.0},
    )  # fmt: skip
    stack.callback(found.stop)
    return found


def drill(ring: Ring, stores: Stores, number: int, bad: str, *, others: bool) -> Restored:
    """One bad release out and back."""
    contour, now = ring.options.contour, time.time()
    trigger = {"type": "drill"}
    cycle = stores.cycles.open(f"bench:{number}:{now}", contour, trigger, now)
    record = Record(ring, VirtualRuntime(cycle), cycle, trigger, OPERATOR)
    record.begin()
    good = ring.desired.read().release
    release = LiveRelease(f"{good.version}-drill", bad, cycle)
    holdback = Holdback(f"watch-{cycle}", good.digest, 0.05)
    revision = ring.desired.set_release(
        release, holdback, f"Drill {number}", {"Cycle": cycle, "Step": "drill", "Release": bad}
    )
    ring.deployer.wait(revision, 30)
    time.sleep(SERVED_S)
    if others:
        ring.desired.end_watch(f"Something else {number}", {"Cycle": cycle, "Step": "else"})
    restored = roll_back(record, revision, good, "a drill of the benchmark")
    if ring.desired.read().release != good:
        raise SystemExit(f"drill {number} did not come back to {good.version}")
    stores.cycles.finish(cycle, "success", time.time())
    return restored


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


def measure(given: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    with ExitStack() as stack:
        home = Home(settings)
        collection = collection_of(None, home, "error", 1, Silent())
        run = home.new_run("rollback")
        url = platform(settings, run, collection, given.documents, stack)
        stores = stores_of(settings)
        stack.callback(stores.database.close)
        ring = ring_of(settings, run, url, stores, Silent())
        live = load_release(ring.objects.get(ring.desired.read().release.digest))
        users = users_of(settings, run, collection, url, given.rate, stack)
        time.sleep(2)
        found: list[Restored] = []
        for number in range(given.drills):
            worse = replace(live.retrieval, title_boost=live.retrieval.title_boost + 1 + number)
            bad = keep_release(ring.objects, replace(live, retrieval=worse))
            found.append(drill(ring, stores, number, bad, others=number % 3 == 2))
        traffic = users.finish()
    back = [math.inf if one.restored_s is None else one.restored_s for one in found]
    in_git = [one.git_s for one in found]
    return {
        "drills": given.drills,
        "rate_per_s": given.rate,
        "traffic_back_s": {
            "median": quantile(back, 0.5), "p95": quantile(back, 0.95), "max": max(back),
            "promised": TRAFFIC_BACK_S,
        },
        "git_s": {
            "median": quantile(in_git, 0.5), "p95": quantile(in_git, 0.95), "max": max(in_git),
            "promised": IN_GIT_S,
        },
        "restoring_commits": sum(one.reverts for one in found),
        "drills_with_one_commit": sum(one.reverts == 1 for one in found),
        "searches": traffic["ok"],
        "failed_requests": traffic["failed"],
        "search_p95_ms": traffic["p95_ms"],
        "all": [asdict(one) for one in found],
    }  # fmt: skip


def show(result: dict[str, Any]) -> None:
    print(f"{result['drills']} drills in a row under {result['rate_per_s']:g} searches a second")
    print(f"{'':<14}{'median':>9}{'95%':>9}{'most':>9}{'promised':>10}")
    for name, key in (("traffic back", "traffic_back_s"), ("git", "git_s")):
        row = result[key]
        print(
            f"{name:<14}{row['median']:>7.2f} s{row['p95']:>7.2f} s{row['max']:>7.2f} s"
            f"{row['promised']:>8g} s"
        )
    print(
        f"one restoring commit in {result['drills_with_one_commit']} of {result['drills']}; "
        f"{result['searches']} searches, {result['failed_requests']} failed, "
        f"p95 {result['search_p95_ms']:.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drills", type=int, default=100)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--home", type=Path, help="keeps its state and caches (default: a new one)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    folder = given.home or Path(tempfile.mkdtemp(prefix="predator-rollback-"))
    settings = load_settings(
        {"home": folder / "home", "artifacts": folder / "artifacts", "port": 0, "seed": 0}
    )
    try:
        result = measure(given, settings)
    finally:
        if given.home is None:
            shutil.rmtree(folder, ignore_errors=True)
    if not given.json:
        show(result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
