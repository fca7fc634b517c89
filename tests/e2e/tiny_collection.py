"""A small BEIR folder with topics of its own, made up word by word: quick to index and learn."""

from __future__ import annotations

import json
import random
from pathlib import Path

TOPICS = {
    "ocean": "wave tide reef coral current salt harbour whale kelp shore drift anchor",
    "forest": "oak pine moss fern canopy root bark deer trail leaf acorn fungus",
    "kitchen": "bread yeast oven flour butter knead recipe spice broth simmer whisk dough",
    "space": "orbit comet rocket lunar gravity telescope nebula probe launch crater solar dust",
    "music": "chord tempo violin rhythm melody drum tenor score octave concert reed brass",
}
COMMON = ("the", "of", "and", "with", "in", "a", "to", "for", "from", "by", "about", "near")
SYLLABLES = ("ba", "ko", "mi", "ru", "te", "lo", "za", "ni", "pe", "du", "sha", "vor", "gla", "tri")


def write_tiny_collection(folder: Path, documents_a_topic: int = 80) -> Path:
    """400 documents, 200 judged queries; each query names a rare word that its document holds."""
    rng = random.Random(0)  # noqa: S311 - test data
    documents: list[dict[str, str]] = []
    queries: list[dict[str, str]] = []
    judgments = ["query-id\tcorpus-id\tscore"]
    for topic in TOPICS.values():
        words = topic.split()
        for place in range(documents_a_topic):
            number = len(documents)
            rare = ["".join(rng.choices(SYLLABLES, k=3)) for _ in range(6)]
            body = rng.choices(words, k=25) + rare + rng.choices(COMMON, k=20)
            rng.shuffle(body)
            title = f"{rng.choice(words)} {rare[0]}"
            documents.append({"_id": f"d{number}", "title": title, "text": " ".join(body) + "."})
            if place % 2 == 0:
                asked = [rng.choice(rare[:3]), *rng.sample(words, 2), rng.choice(COMMON)]
                queries.append({"_id": f"q{number}", "text": " ".join(asked)})
                judgments.append(f"q{number}\td{number}\t1")
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
    (folder / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in queries))
    (folder / "qrels" / "all.tsv").write_text("\n".join(judgments) + "\n")
    return folder
