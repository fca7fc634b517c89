"""Who writes training queries beside the built-in methods, by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predator.config import Settings
from predator.domain.errors import InputError

if TYPE_CHECKING:
    from predator.ports.query_writer import QueryWriter


def query_writer_of(settings: Settings) -> QueryWriter | None:
    """The writer that is set, ``None`` for none; ``InputError`` for half of one, or for two.

    The key is read here, from where the setting says that it lies.
    """
    url, model, folder = (
        settings.query_writer_url,
        settings.query_writer_model,
        settings.doc2query_model,
    )
    if url is None and model is None and folder is None:
        return None
    if folder is not None:
        if url is not None or model is not None:
            raise InputError(
                "doc2query_model and query_writer_url name two query writers", cure="Unset one"
            )
        from predator.adapters.query_writer.doc2query import Doc2QueryWriter

        return Doc2QueryWriter(folder, seed=settings.seed)
    if url is None or model is None:
        raise InputError(
            "a query writer needs both query_writer_url and query_writer_model", cure="Set both"
        )
    from predator.adapters.query_writer.endpoint import Endpoint
    from predator.adapters.query_writer.openai_compatible import OpenAiCompatibleWriter, Price
    from predator.contours.secret_reference import resolve

    key = settings.query_writer_key
    return OpenAiCompatibleWriter(
        Endpoint(url, resolve(key) if key else ""),
        model,
        price=Price(settings.query_writer_prompt_usd, settings.query_writer_completion_usd),
        tokens_max=settings.query_writer_tokens_max,
    )
