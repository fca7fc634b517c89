"""An encoder's languages are measured by how its tokenizer reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from predator.bootstrap.platform import first_retrieval
from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.languages import PROBES, unread_languages


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> EncoderFiles:
    return prepare_encoder(None, tmp_path_factory.mktemp("encoder"))


def test_the_installed_encoder_reads_english_alone(installed: EncoderFiles) -> None:
    assert unread_languages(installed) == ("uk", "ru")


def test_a_first_release_finds_those_by_words_alone(installed: EncoderFiles) -> None:
    first = first_retrieval(installed)
    assert first.asked_in("en").fusion == "rrf"
    assert (first.asked_in("uk").fusion, first.asked_in("uk").dense_weight) == ("weighted", 0.0)


def test_a_tokenizer_that_knows_the_words_reads_the_language(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word for text in PROBES.values() for word in text.replace(",", " ,").split()}
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    class Files:
        @staticmethod
        def tokenizer() -> bytes:
            return (tmp_path / "tokenizer.json").read_bytes()

    assert unread_languages(Files()) == ()  # type: ignore[arg-type]


def test_one_that_reads_everything_by_letters_is_taken_to_read_it(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = {letter: n for n, letter in enumerate(sorted(set("".join(PROBES.values()))))}
    tokenizer = Tokenizer(models.WordLevel({**letters, "[UNK]": len(letters)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    class Files:
        @staticmethod
        def tokenizer() -> bytes:
            return (tmp_path / "tokenizer.json").read_bytes()

    assert unread_languages(Files()) == ()  # type: ignore[arg-type]
