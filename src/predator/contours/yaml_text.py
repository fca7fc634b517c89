"""YAML that a person wrote, read so that neither its size nor its tricks can hurt.

An error names a place, never text of the file: what stands there may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from predator.contours.problems import shown_key
from predator.domain.errors import InputError

MOST_BYTES = 65_536
MOST_DEPTH = 16
MOST_NODES = 5_000


def read_mapping(content: bytes, source: str) -> dict[str, Any]:
    """The mapping in ``content``: plain values under text keys, each key once.

    ``InputError`` for anything else: too large, not UTF-8, not one YAML 1.2 document, anchors,
    aliases, tags, merge keys, or nested too deeply.
    """
    if len(content) > MOST_BYTES:
        raise InputError(f"{source} is larger than {MOST_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} is not UTF-8 (byte {error.start})", cure="save it as UTF-8"
        ) from None
    try:
        trouble = next(_tricks(text), "")
        value = None if trouble else _yaml().load(text)
    except Exception as error:
        # Beside YAMLError, hostile text raises half a dozen builtin errors (RecursionError …).
        raise InputError(
            f"{source} is not YAML{_line(getattr(error, 'problem_mark', None))}",
            cure="check indentation, quotes and brackets there",
        ) from None
    if trouble:
        raise InputError(f"{source}: {trouble}")
    if not isinstance(value, dict):
        raise InputError(f"{source} holds no keys", cure="it has to begin with selfImprovement:")
    return value


def _yaml() -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _tricks(text: str) -> Iterator[str]:
    """What is wrong with the parsed text, place by place."""
    from ruamel.yaml import events

    path: list[str | None] = []  # one entry a level: the key being filled, None in a list
    keys: list[set[str] | None] = []  # keys seen so far, None in a list
    awaiting_key: list[bool] = []
    for number, event in enumerate(_yaml().parse(text)):
        place = _line(event.start_mark)
        if number > MOST_NODES:
            yield f"more than {MOST_NODES} values{place}"
        if isinstance(event, events.AliasEvent) or getattr(event, "anchor", None):
            yield f"an anchor or alias{place}; write the values out"
        if getattr(event, "tag", None):
            yield f"a tag{place}; only plain values are read"
        if isinstance(event, events.MappingEndEvent | events.SequenceEndEvent):
            path.pop()
            keys.pop()
            awaiting_key.pop()
            continue
        opens = isinstance(event, events.MappingStartEvent | events.SequenceStartEvent)
        if not opens and not isinstance(event, events.ScalarEvent):
            continue
        if keys and (seen := keys[-1]) is not None:
            if awaiting_key[-1]:
                if opens:
                    yield f"a key that is not text{place}"
                    return
                key = event.value
                if key in seen or key == "<<":
                    where = ".".join(name for name in [*path[:-1], shown_key(key)] if name)
                    yield f"{where} stands twice{place}" if key in seen else f"a merge key{place}"
                seen.add(key)
                path[-1] = shown_key(key)
                awaiting_key[-1] = False
                continue
            awaiting_key[-1] = True
        if opens:
            mapping = isinstance(event, events.MappingStartEvent)
            path.append(None)
            keys.append(set() if mapping else None)
            awaiting_key.append(mapping)
            if len(path) > MOST_DEPTH:
                yield f"nested deeper than {MOST_DEPTH} levels{place}"


def _line(mark: Any) -> str:
    return f" in line {mark.line + 1}" if mark is not None else ""
