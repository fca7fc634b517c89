"""doc2query (Nogueira, Lin 2019): a sequence-to-sequence model, here from a local folder, says
what a document would be asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from predator.adapters.query_writer.proposals import accepted, askable, checked_count
from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.learning.query_text import READ_CHARACTERS, clean_query
from predator.ports.query_writer import Progress, Spent, Written

BATCH = 8
"""Documents at once: on two cores a larger batch is no faster, and its padding grows."""
MOST_INPUT_TOKENS, MOST_QUERY_TOKENS = 512, 64
TOP_K = 10
"""Sampled from the ten likeliest tokens, as docTTTTTquery does: beams say the same five times."""
_MOST_CONFIG = 1_000_000
_CURE = "Save the model with save_pretrained(FOLDER) as safetensors, with its tokenizer.json"


class Doc2QueryWriter:
    """``QueryWriter`` over a folder that transformers saved, without network.

    Only safetensors are read and no code of the folder is run; ``InputError`` for any other
    folder, and where the train extra is not installed. The same seed writes the same queries.
    """

    name = "doc2query"

    def __init__(self, folder: Path, *, seed: int = 0, device: str = "cpu") -> None:
        self._folder = checked_folder(folder)
        self._seed, self._device = seed, device
        self._loaded: tuple[Any, Any, Any] | None = None
        self._spent = Spent()

    def spent(self) -> Spent:
        return self._spent

    def write(
        self,
        documents: Sequence[Document],
        count_each: int,
        progress: Progress = lambda _done, _total: None,
    ) -> Sequence[Written]:
        asked = askable(documents) if checked_count(count_each) else []
        if not asked:
            return []
        torch, tokenizer, model = self._load()
        written: list[Written] = []
        rest, done = iter(asked), 0
        # Chance is this call's alone: who else samples with torch is not disturbed.
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(self._seed)
            while batch := list(islice(rest, BATCH)):
                texts = self._said(tokenizer, model, batch, count_each)
                for document, proposals in zip(batch, texts, strict=True):
                    queries, refused = accepted(proposals, document, count_each)
                    written += [(query, document.id) for query in queries]
                    self._count(documents=1, refused=refused)
                done += len(batch)
                progress(done, len(asked))
        return written

    def _said(
        self, tokenizer: Any, model: Any, batch: Sequence[Document], count_each: int
    ) -> list[list[str]]:
        given = tokenizer(
            [clean_query(f"{d.title}. {d.text}", READ_CHARACTERS) for d in batch],
            truncation=True,
            max_length=MOST_INPUT_TOKENS,
            padding=True,
            return_tensors="pt",
        ).to(self._device)
        try:
            output = model.generate(
                input_ids=given["input_ids"],
                attention_mask=given["attention_mask"],
                do_sample=True,
                top_k=TOP_K,
                num_return_sequences=count_each,
                max_new_tokens=MOST_QUERY_TOKENS,
            )
        except (RuntimeError, ValueError, IndexError) as error:
            raise InputError(
                f"the model in {self._folder} cannot write queries: {_line(error)}", cure=_CURE
            ) from None
        self._count(
            requests=1,
            prompt_tokens=int(given["attention_mask"].sum()),
            completion_tokens=int(output.numel()),
        )
        texts: list[str] = tokenizer.batch_decode(output, skip_special_tokens=True)
        return [texts[i : i + count_each] for i in range(0, len(texts), count_each)]

    def _load(self) -> tuple[Any, Any, Any]:
        if self._loaded is None:
            try:
                torch: Any = import_module("torch")
                transformers: Any = import_module("transformers")
            except ImportError:
                raise InputError(
                    "doc2query needs torch and transformers, which are not installed",
                    cure="Run: pip install 'predator-search[train]'",
                ) from None
            transformers.utils.logging.disable_progress_bar()  # the caller shows progress
            given = {"local_files_only": True, "trust_remote_code": False}
            folder = str(self._folder)
            try:
                tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **given)
                model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
                    folder, use_safetensors=True, **given
                )
            except Exception as error:  # the library raises whatever its parsers do
                raise InputError(
                    f"the model in {folder} cannot be loaded: {_line(error)}", cure=_CURE
                ) from None
            self._loaded = torch, tokenizer, model.to(self._device).eval()
        return self._loaded

    def _count(self, **more: int) -> None:
        now = {name: getattr(self._spent, name) + n for name, n in more.items()}
        self._spent = replace(self._spent, **now)


def checked_folder(folder: Path) -> Path:
    """``folder``, absolute, where it holds a sequence-to-sequence model as data alone."""
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder with a doc2query model", cure=_CURE)
    config: Any = None
    with suppress(OSError, ValueError, RecursionError):
        if (folder / "config.json").stat().st_size <= _MOST_CONFIG:
            config = json.loads((folder / "config.json").read_bytes())
    if not isinstance(config, dict):
        raise InputError(f"{folder} has no config.json that can be read", cure=_CURE)
    if not config.get("is_encoder_decoder"):
        raise InputError(f"the model in {folder} is no sequence-to-sequence model", cure=_CURE)
    tokenizer: Any = None
    with suppress(OSError, ValueError, RecursionError):
        if (folder / "tokenizer_config.json").stat().st_size <= 10 * _MOST_CONFIG:
            tokenizer = json.loads((folder / "tokenizer_config.json").read_bytes())
    if "auto_map" in config or (isinstance(tokenizer, dict) and "auto_map" in tokenizer):
        raise InputError(f"the model in {folder} brings code of its own, which is not run")
    weights = ("model.safetensors", "model.safetensors.index.json")
    if not any((folder / name).is_file() for name in weights):
        raise InputError(f"{folder} holds no safetensors", cure=_CURE)
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{folder} holds no tokenizer.json", cure=_CURE)
    return folder


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
