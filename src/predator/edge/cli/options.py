"""What the commands share: settings from the command line, and writing JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from predator.config import Settings, load_settings, parse_overrides
from predator.domain.errors import InputError


def settings_from(pairs: Sequence[str], **more: object) -> Settings:
    """Settings from the environment, ``--set`` and named options (``None`` is left out)."""
    given = {name: value for name, value in more.items() if value is not None}
    return load_settings({**parse_overrides(list(pairs)), **given})


def check_writable(path: Path | None) -> None:
    """Fail before the work, not after it, where the result could not be written."""
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder of {path} does not exist", cure="create it first")
    if path.is_dir():
        raise InputError(f"{path} is a folder", cure="name a file")
    if not os.access(path.absolute().parent, os.W_OK):
        raise InputError(f"the folder of {path} cannot be written to", cure="name another")


def write_json(path: Path, value: Any) -> None:
    """Write atomically, so that a reader never sees half a file."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def passed_on(settings: Settings) -> dict[str, str]:
    """What a platform process of our own must share with us, as ``--set`` arguments."""
    names = ("home", "host", "port", "model", "max_tokens")
    values = {name: getattr(settings, name) for name in names}
    values["home"] = Path(settings.home).expanduser().absolute()
    return {name: str(value) for name, value in values.items() if value is not None}
