"""Every decision of the ring, kept with what it was based on, so that it can be derived again.

For each decider there is ``<name>_inputs``, from what a station holds to JSON, a pure function
from JSON to JSON in :data:`DECIDERS`, and ``to_<name>``, from its answer back to the domain.
Inputs hold what decides and nothing else: no user's name, and of what users wrote only single
terms. A station calls :func:`write_decision`; ``replay`` does the same again.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from predator.domain.canonical import canonical_json, digest_of, sha256_hex
from predator.domain.errors import ConflictError, InputError, IntegrityError
from predator.journal.audit import AuditJournal
from predator.journal.files import read_file, write_whole
from predator.loop.experiment.deciders import (
    Occasion,
    decide_judge_experiment,
    decide_look_experiment,
    decide_plan_experiment,
    judge_experiment_inputs,
    look_experiment_inputs,
    plan_experiment_inputs,
    to_judge_experiment,
    to_occasion,
    to_plan_experiment,
)
from predator.loop.experiment.screen_deciders import (
    decide_screen,
    decide_shadow,
    screen_inputs,
    shadow_inputs,
    to_screen,
    to_shadow,
)
from predator.loop.offline_deciders import (
    decide_diagnose,
    decide_evaluate,
    decide_gate,
    decide_monitor,
    decide_policy,
    decide_promotion,
    decide_reading_room,
    decide_submit,
    diagnose_inputs,
    evaluate_inputs,
    gate_inputs,
    monitor_inputs,
    policy_inputs,
    promotion_inputs,
    reading_room_inputs,
    submit_inputs,
    to_diagnose,
    to_evaluate,
    to_gate,
    to_monitor,
    to_policy,
    to_promotion,
    to_reading_room,
    to_submit,
)
from predator.loop.release.contour_promotion import (
    decide_promotion_between,
    promotion_between_inputs,
    to_promotion_between,
)
from predator.loop.watch.deciders import (
    arm_inputs,
    decide_watch_baseline,
    decide_watch_look,
    decide_watch_plan,
    to_watch_baseline,
    to_watch_look,
    to_watch_plan,
    watch_baseline_inputs,
    watch_look_inputs,
    watch_plan_inputs,
)
from predator.policy.rules import policy_digest
from predator.ports.runtime import Json

__all__ = [
    "DECIDERS",
    "Occasion",
    "arm_inputs",
    "diagnose_inputs",
    "evaluate_inputs",
    "gate_inputs",
    "judge_experiment_inputs",
    "keep_policies",
    "look_experiment_inputs",
    "monitor_inputs",
    "plan_experiment_inputs",
    "policies_file",
    "policy_digest",
    "policy_inputs",
    "promotion_between_inputs",
    "promotion_inputs",
    "read_decision",
    "reading_room_inputs",
    "screen_inputs",
    "shadow_inputs",
    "submit_inputs",
    "to_diagnose",
    "to_evaluate",
    "to_gate",
    "to_judge_experiment",
    "to_monitor",
    "to_occasion",
    "to_plan_experiment",
    "to_policy",
    "to_promotion",
    "to_promotion_between",
    "to_reading_room",
    "to_screen",
    "to_shadow",
    "to_submit",
    "to_watch_baseline",
    "to_watch_look",
    "to_watch_plan",
    "watch_baseline_inputs",
    "watch_look_inputs",
    "watch_plan_inputs",
    "write_decision",
]

DECIDERS: Mapping[str, Callable[[Json], Json]] = {
    "monitor": decide_monitor,
    "diagnose": decide_diagnose,
    "evaluate": decide_evaluate,
    "reading_room": decide_reading_room,
    "submit": decide_submit,
    "gate": decide_gate,
    "shadow": decide_shadow,
    "screen": decide_screen,
    "plan_experiment": decide_plan_experiment,
    "look_experiment": decide_look_experiment,
    "judge_experiment": decide_judge_experiment,
    "watch_baseline": decide_watch_baseline,
    "watch_plan": decide_watch_plan,
    "watch_look": decide_watch_look,
    "policy": decide_policy,
    "promotion": decide_promotion,
    "promotion_between": decide_promotion_between,
}
"""By name. Pure: the same inputs give the same answer, on any day and in any process."""

LARGE = 1_000_000
"""A file of more bytes than this is compressed."""


def write_decision(
    folder: Path, journal: AuditJournal, key: str, decider: str, inputs: Json
) -> Json:
    """Decide, and keep inputs and answer in ``decisions/NNN-<decider>.json`` under ``key``.

    ``NNN`` is the number of the journal's record that holds the file's hash. Where ``key`` is
    decided already, nothing is written and the kept answer is returned, whatever ``inputs`` are
    now: a step that is done again must not decide otherwise. Raises ``InputError`` for inputs
    that are not plain, finite JSON, ``ConflictError`` where ``key`` belongs to another decider
    or the journal is closed, ``IntegrityError`` where the kept file was changed.
    """
    if journal.find(key) is None:
        decided = {"decider": decider, "inputs": _normal(inputs)}
        decided["output"] = DECIDERS[decider](decided["inputs"])
        data = canonical_json(decided) + b"\n"

        def keep(number: int) -> dict[str, str]:
            name = f"decisions/{number:03d}-{decider}.json"
            stored = data
            if len(data) > LARGE:
                name, stored = f"{name}.gz", gzip.compress(data, mtime=0)
            write_whole(folder / name, stored)
            return {
                "type": "decision",
                "decider": decider,
                "file": name,
                "sha256": sha256_hex(stored),
                "output_sha256": digest_of(decided["output"]),
            }

        journal.append_made(key, keep)
    record = journal.find(key)
    if record is None or record.get("decider") != decider:
        raise ConflictError(f"{key} in {folder} is not a decision by {decider}")
    return read_decision(folder, record)["output"]


def read_decision(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """``decider``, ``inputs`` and ``output`` of a decision, proven to be what ``record`` says.

    ``IntegrityError`` where they are not.
    """
    name = str(record.get("file"))
    data = read_file(folder, name, str(record.get("sha256")))
    try:
        kept = json.loads(gzip.decompress(data) if name.endswith(".gz") else data)
        proven = digest_of(kept["output"]) == record.get("output_sha256")
        named = kept["decider"] == record.get("decider")
        inputs = kept["inputs"]
    except (OSError, EOFError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise IntegrityError(f"{name[:120]} is not a decision") from error
    if not (proven and named):
        raise IntegrityError(f"{name[:120]} is another decision than its record says")
    return {"decider": kept["decider"], "inputs": inputs, "output": kept["output"]}


def policies_file(digest: str) -> str:
    """Where a cycle's folder keeps the policies of ``digest``."""
    return f"decisions/policies-{digest[:16]}.json"


def keep_policies(folder: Path) -> str:
    """Keep the texts of the policies in force beside a cycle's decisions; their digest.

    A record of what policy said names the digest (``policy_digest``), so that the answer can be
    derived after the policies have changed. Cheap where they are kept already.
    """
    digest = policy_digest()
    path = folder / policies_file(digest)
    if not path.exists():
        texts = {
            file.name: file.read_text(encoding="utf-8")
            for file in files("predator.policy").iterdir()
            if file.name.endswith(".cedar")
        }
        write_whole(path, canonical_json(texts) + b"\n")
    return digest


def _normal(inputs: Json) -> Json:
    """As they will be read back, so that a replay decides on the very same."""
    try:
        return json.loads(canonical_json(inputs))
    except (TypeError, ValueError) as error:
        raise InputError(f"a decision cannot be based on this: {error}") from error
