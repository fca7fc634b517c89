"""The crowd at work: searches arrive on schedule, whatever the server does, and clicks follow."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from predator.simulation.click_user import visit
from predator.simulation.control import Command, SetMix, SetRate, Stop
from predator.simulation.http_client import HttpClient, RequestError
from predator.simulation.messages import (
    User,
    click_events,
    rating_request,
    read_answer,
    search_request,
)
from predator.simulation.population import Population
from predator.simulation.tally import Tally
from predator.simulation.world import Mix, Question, World

_LONGEST_PAUSE_S = 0.1
_LARGEST_LAG_S = 1.0
_REPORT_EVERY_S = 1.0

SERVER_GONE = 3
"""Exit code of a run that ended because nothing answered any more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``rate`` in searches a second; times in seconds; ``max_in_flight`` unanswered requests."""

    rate: float
    users: int
    seed: int
    k: int = 10
    arrivals: Literal["poisson", "even"] = "poisson"
    exponent: float = 0.5
    think_s: float = 0.2
    max_in_flight: int = 200
    timeout_s: float = 10.0
    give_up_s: float = 15.0
    duration_s: float | None = None


class Crowd:
    """Open-loop load: arrivals never wait for answers, so a slow server shows as slow.

    Search number n, its user and what that user does with a given list of hits depend on the seed
    and n alone, not on timing.
    """

    def __init__(self, client: HttpClient, world: World, mix: Mix, plan: Plan) -> None:
        self.tally = Tally()
        self._client = client
        self._world = world
        self._mix = mix
        self._plan = plan
        self._rate = plan.rate
        self._population = Population(plan.users, plan.seed)
        self._visits: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._unanswered_since: float | None = None
        self._unanswered_until = 0.0
        self._broken: BaseException | None = None

    def obey(self, command: Command) -> None:
        """Carry out ``command`` from the next search on; ``ValueError`` where it cannot be."""
        match command:
            case SetMix(weights):
                self._mix = Mix(self._world, weights, self._plan.exponent)
            case SetRate(value):
                self._rate = value
            case Stop():
                self._stopping = True

    async def run(self, report: Callable[[dict[str, Any]], None]) -> int:
        """Search until stopped; ``report`` gets one line a second and the final one.

        Returns 0, or :data:`SERVER_GONE` after ``give_up_s`` without any answer.
        """
        loop = asyncio.get_running_loop()
        arrivals = asyncio.create_task(self._arrive())
        due = loop.time()
        gone = False
        while not arrivals.done():
            due += _REPORT_EVERY_S
            await asyncio.wait({arrivals}, timeout=max(0.0, due - loop.time()))
            gone = gone or self._server_gone()
            self._stopping = self._stopping or gone
            if not arrivals.done():
                report(self.tally.report(time.time()))
        await arrivals
        await self._finish_visits(0.0 if gone else 2 * self._plan.timeout_s)
        self._client.close()
        if self._broken is not None:
            raise self._broken
        report(self.tally.final(time.time()))
        return SERVER_GONE if gone else 0

    async def _arrive(self) -> None:
        loop = asyncio.get_running_loop()
        rng = np.random.default_rng((self._plan.seed, 0))
        started = due = loop.time()
        rate, number = self._rate, 0
        while not self._stopping:
            now = loop.time()
            if self._plan.duration_s is not None and now - started >= self._plan.duration_s:
                return
            if rate != self._rate or not rate:
                rate, due = self._rate, now
            if not rate or due > now:
                await asyncio.sleep(min(due - now, _LONGEST_PAUSE_S) if rate else _LONGEST_PAUSE_S)
                continue
            if now - due > _LARGEST_LAG_S:
                # Suspended or starved: catching up in one burst would be a load nobody asked for.
                self.tally.skipped += int((now - due) * rate)
                due = now
            number += 1
            self._begin(number)
            due += (rng.exponential() if self._plan.arrivals == "poisson" else 1.0) / rate

    def _begin(self, number: int) -> None:
        rng = np.random.default_rng((self._plan.seed, number))
        user, question = self._population.next(rng), self._mix.pick(rng)
        if self.tally.in_flight >= self._plan.max_in_flight:
            self.tally.failed("search:saturated", "too many requests are unanswered")
            return
        task = asyncio.create_task(self._search(user, question, rng))
        self._visits.add(task)
        task.add_done_callback(self._ended)

    async def _search(self, user: User, question: Question, rng: np.random.Generator) -> None:
        self.tally.sent += 1
        sent_at = time.perf_counter()
        body = await self._post("search", search_request(user, question.text, self._plan.k))
        if body is None:
            return
        latency_ms = (time.perf_counter() - sent_at) * 1000
        try:
            answer = read_answer(body)
        except ValueError as error:
            self.tally.failed("search:malformed", str(error))
            return
        self.tally.answered(latency_ms)
        outcome = visit(answer.hits, question.relevant, rng)
        if not outcome.clicks and outcome.rating is None:
            return
        await asyncio.sleep(min(rng.exponential(self._plan.think_s), 5 * self._plan.think_s))
        if outcome.clicks:
            events = click_events(user, question.text, answer, outcome.clicks, time.time())
            if await self._post("events", events) is not None:
                self.tally.events += len(events)
        if outcome.rating is not None:
            rating = rating_request(user, answer, outcome.rating)
            if await self._post("feedback", rating) is not None:
                self.tally.ratings += 1

    async def _post(self, endpoint: str, payload: object) -> bytes | None:
        """The body of a 2xx answer; ``None`` after the failure has been counted."""
        sent_at = asyncio.get_running_loop().time()
        self.tally.in_flight += 1
        try:
            response = await self._client.post(f"/{endpoint}", json.dumps(payload).encode())
        except RequestError as error:
            if self._unanswered_since is None:
                self._unanswered_since = sent_at
            self._unanswered_until = asyncio.get_running_loop().time()
            self.tally.failed(f"{endpoint}:{error.kind}", str(error))
            return None
        finally:
            self.tally.in_flight -= 1
        self._unanswered_since = None
        if not 200 <= response.status < 300:
            excerpt = response.body[:1000].decode("utf-8", "replace")
            self.tally.failed(f"{endpoint}:{response.status}", excerpt)
            return None
        return response.body

    def _server_gone(self) -> bool:
        """Requests kept failing without any answer in between; a pause proves nothing."""
        since = self._unanswered_since
        return since is not None and self._unanswered_until - since > self._plan.give_up_s

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._visits.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken, self._stopping = error, True

    async def _finish_visits(self, patience_s: float) -> None:
        if self._visits:
            await asyncio.wait(set(self._visits), timeout=patience_s)
        for task in list(self._visits):
            task.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
