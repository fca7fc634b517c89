"""``python -m predator.simulation.traffic``: simulated users in a process of their own.

Commands come on stdin (see ``control.py``; its end stops the run), reports go to stdout as one JSON
object a line, each second and once more with ``"final": true``. Exit codes: 0 stopped as asked,
2 bad input, 3 the server stopped answering.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from predator.domain.errors import InputError
from predator.simulation.control import Stop, mix_weights, parse_command
from predator.simulation.crowd import Crowd, Plan
from predator.simulation.http_client import HttpClient
from predator.simulation.line_pipe import LineWriter, follow_lines
from predator.simulation.target import Target, resolve_target
from predator.simulation.world import Mix, World, load_world


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, cure="See --help")


def _number(low: float, high: float, kind: Callable[[str], Any] = float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} lies outside {low:g} to {high:g}")
        return value

    parse.__name__ = kind.__name__
    return parse


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="predator.simulation.traffic", description="Simulated users who search.")
    add = parser.add_argument
    add("--url", required=True, help="the platform, http://127.0.0.1:PORT")
    add("--world", required=True, type=Path, help="JSON file: query groups with judgments")
    add("--rate", type=_number(0, 10_000), default=45.0, help="searches a second")
    add("--users", type=_number(1, 10**7, int), default=3000, help="how many different users")
    add(
        "--seed", type=_number(0, 2**63, int), default=0, help="same seed, same users and questions"
    )
    add("--mix", help='JSON: query groups asked at first, {"group": weight}; default: all alike')
    add("--k", type=_number(1, 1000, int), default=10, help="results asked for")
    add("--arrivals", choices=("poisson", "even"), default="poisson")
    add("--exponent", type=_number(0, 5), default=0.5, help="popularity = rank ** -exponent")
    add("--think-s", type=_number(0, 60), default=0.2, help="mean time from results to clicks")
    add("--max-in-flight", type=_number(1, 10_000, int), default=200)
    add("--timeout-s", type=_number(0.01, 600), default=10.0)
    add("--give-up-s", type=_number(0.1, 3600), default=15.0, help="end when nothing answers")
    add("--duration-s", type=_number(0, 10**9), help="stop after this time; default: when told to")
    add("--allow-remote", action="store_true", help="load a server that is not this machine")
    return parser


def _first_mix(world: World, text: str | None, exponent: float) -> Mix:
    try:
        if text is None:
            return Mix(world, {name: 1.0 for name, group in world.items() if group}, exponent)
        return Mix(world, mix_weights(json.loads(text)), exponent)
    except ValueError as error:
        raise InputError(f"--mix: {error}") from error


async def _run(target: Target, world: World, mix: Mix, plan: Plan) -> int:
    crowd = Crowd(
        HttpClient(target.address, target.port, timeout_s=plan.timeout_s), world, mix, plan
    )
    loop = asyncio.get_running_loop()

    def soon(call: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before the thread noticed
            loop.call_soon_threadsafe(call, *arguments)

    def stop() -> None:
        crowd.obey(Stop())

    def obey(line: bytes) -> None:
        try:
            crowd.obey(parse_command(line))
        except ValueError as error:
            crowd.tally.rejected_commands += 1
            sys.stderr.write(f"command refused: {error}\n")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    follow_lines(0, lambda line: soon(obey, line), lambda: soon(stop))
    writer = LineWriter(1, lambda: soon(stop))

    def report(line: dict[str, Any]) -> None:
        text = json.dumps(line).encode()
        if line.get("final"):
            writer.close(text, timeout_s=5.0)
        else:
            writer.write(text)

    return await crowd.run(report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; returns the exit code."""
    try:
        given = _parser().parse_args(arguments)
        target = resolve_target(given.url, allow_remote=given.allow_remote)
        world = load_world(given.world)
        mix = _first_mix(world, given.mix, given.exponent)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    plan = Plan(
        rate=given.rate,
        users=given.users,
        seed=given.seed,
        k=given.k,
        arrivals=given.arrivals,
        exponent=given.exponent,
        think_s=given.think_s,
        max_in_flight=given.max_in_flight,
        timeout_s=given.timeout_s,
        give_up_s=given.give_up_s,
        duration_s=given.duration_s,
    )
    return asyncio.run(_run(target, world, mix, plan))


if __name__ == "__main__":
    raise SystemExit(main())
