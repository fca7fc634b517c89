"""What a user gets who brings documents and nothing else: search, and no verdict on anything."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

import pytest

from tests.e2e.test_local_run import GRACE_S, Place
from tests.e2e.tiny_collection import write_tiny_collection
from tests.search.encoder.tiny import tiny_folder

MODEL = {"port": 0, "model": "model", "max_tokens": 32}


@pytest.mark.nightly
def test_documents_alone_can_be_searched_and_learnt_from_and_are_no_verdict(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, uuid.uuid4().hex)
    data = tmp_path / "data"
    write_tiny_collection(data)
    (data / "queries.jsonl").unlink()
    shutil.rmtree(data / "qrels")
    tiny_folder(tmp_path / "model")
    place.run("run", "--data", "data", "--json", "out.json", **MODEL)
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["verdict"] == "INCONCLUSIVE" and found["cycles"] == []
    assert "no judged queries" in found["reason"] and "predator serve" in found["cure"]
    assert place.alive() == []

    server = place.start("serve", "--with-parent", **MODEL)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    answer = json.loads(place.run("search", "whale coral", "--url", url, "--json"))
    assert answer["hits"]
    server.communicate(timeout=GRACE_S)

    place.run("bench", "relevance", "data", "--labels", "none", "--json", "bench.json", **MODEL)
    table = json.loads((tmp_path / "bench.json").read_text())
    assert "nothing is judged" in table["protocol"]
    assert "there are no judgments" in table["left_out"]["lambdamart"]
