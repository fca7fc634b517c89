"""A doc2query model is read as data from a folder, or refused with the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.query_writer.doc2query import Doc2QueryWriter
from predator.domain.errors import InputError
from predator.learning.query_text import content
from predator.ports.query_writer import QueryWriter
from predator.search.analyze import terms
from tests.contracts.query_writer import DOCUMENTS, QueryWriterContract

CONFIG = {"model_type": "t5", "is_encoder_decoder": True}


def folder_with(folder: Path, **files: Any) -> Path:
    given = {
        "config.json": CONFIG,
        "model.safetensors": {},
        "tokenizer.json": {},
        "tokenizer_config.json": {},
    }
    for name, value in {**given, **files}.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"config.json": None}, "no config.json"),
        ({"config.json": "[" * 100_000}, "no config.json"),
        ({"config.json": [1]}, "no config.json"),
        ({"config.json": {"model_type": "bert"}}, "no sequence-to-sequence"),
        ({"config.json": {**CONFIG, "auto_map": {"AutoModel": "evil.py"}}}, "code of its own"),
        ({"tokenizer_config.json": {"auto_map": {"AutoTokenizer": "evil.py"}}}, "code of its own"),
        ({"model.safetensors": None, "pytorch_model.bin": "x"}, "no safetensors"),
        ({"tokenizer.json": None, "spiece.model": "x"}, "no tokenizer.json"),
    ],
)
def test_a_folder_that_is_no_such_model_is_refused(
    tmp_path: Path, files: dict[str, Any], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        Doc2QueryWriter(folder_with(tmp_path, **files))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder") as raised:
        Doc2QueryWriter(tmp_path / "gone")
    assert "save_pretrained" in str(raised.value.cure)


def test_without_the_train_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("predator.adapters.query_writer.doc2query.import_module", missing)
    with pytest.raises(InputError, match="not installed") as raised:
        Doc2QueryWriter(folder_with(tmp_path)).write(DOCUMENTS, 1)
    assert "predator-search[train]" in str(raised.value.cure)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 of 10,000 weights that has learnt to ask for a document by its title's terms."""
    transformers: Any = pytest.importorskip("transformers")
    torch: Any = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("doc2query")
    words = sorted({word for document in DOCUMENTS for word in terms(content(document))})
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    config = transformers.T5Config(
        vocab_size=len(vocabulary),
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        **shape,
    )
    learner = transformers.T5ForConditionalGeneration(config)
    optimizer = torch.optim.Adam(learner.parameters(), 0.01)
    texts = tokenizer(
        [content(document) for document in DOCUMENTS], padding=True, return_tensors="pt"
    )
    titles = [f"{' '.join(terms(document.title))} </s>" for document in DOCUMENTS]
    labels = tokenizer(titles, padding=True, return_tensors="pt")["input_ids"]
    for _ in range(60):
        optimizer.zero_grad()
        learner(
            input_ids=texts["input_ids"],
            attention_mask=texts["attention_mask"],
            labels=labels.masked_fill(labels == 0, -100),
        ).loss.backward()
        optimizer.step()
    learner.save_pretrained(folder)
    return folder


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestDoc2Query(QueryWriterContract):
    @pytest.fixture
    def writer(self, model: Path) -> QueryWriter:
        return Doc2QueryWriter(model)

    def test_the_seed_decides(self, model: Path) -> None:
        def written(seed: int) -> Any:
            return Doc2QueryWriter(model, seed=seed).write(DOCUMENTS, 3)

        assert written(1) == written(1) != written(2)

    def test_tokens_are_counted(self, model: Path) -> None:
        writer = Doc2QueryWriter(model)
        writer.write(DOCUMENTS, 2)
        spent = writer.spent()
        assert spent.requests == 1
        assert spent.prompt_tokens > 10
        assert spent.completion_tokens > 6

    @pytest.mark.parametrize("cut", [0, 10, 1000])
    def test_damaged_weights_are_an_error_in_one_line(
        self, model: Path, tmp_path: Path, cut: int
    ) -> None:
        for file in model.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:cut])
        with pytest.raises(InputError, match="cannot be loaded") as raised:
            Doc2QueryWriter(tmp_path).write(DOCUMENTS, 1)
        assert len(str(raised.value).splitlines()) == 1

    def test_a_pickle_beside_the_weights_is_not_read(self, model: Path, tmp_path: Path) -> None:
        for file in model.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
        assert Doc2QueryWriter(tmp_path).write(DOCUMENTS, 3)
