"""Categories for documents that bring none: clusters of their terms, named by their best ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predator.domain.documents import Document
from predator.search.analyze import terms
from predator.search.processor import DEFAULT_ENTITIES, Rules

DOCUMENTS_A_CATEGORY = 150
MOST_CATEGORIES = 12
SAMPLE = 20_000
TERMS_KEPT = 300


def learn_rules(documents: Sequence[Document], seed: int) -> Rules:
    """Processor rules for a collection: k-means over TF-IDF, a category per 150 documents, 2-12.

    Documents that bring a category keep it, so a collection that has them gets no clusters.
    """
    bare = [d for d in documents if not d.category]
    if len(bare) < 2 * 20:
        return Rules({}, DEFAULT_ENTITIES)
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.feature_extraction.text import TfidfVectorizer

    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(bare))[:SAMPLE]
    texts = [f"{bare[i].title} {bare[i].text[:2000]}" for i in chosen]
    vectorizer = TfidfVectorizer(
        analyzer=terms, min_df=2, max_df=0.3, max_features=20_000, dtype=np.float32
    )
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError:
        return Rules({}, DEFAULT_ENTITIES)
    count = int(np.clip(len(bare) // DOCUMENTS_A_CATEGORY, 2, MOST_CATEGORIES))
    model = MiniBatchKMeans(n_clusters=count, random_state=seed, n_init=3, batch_size=2048)
    model.fit(matrix)
    words = vectorizer.get_feature_names_out()
    categories: dict[str, dict[str, float]] = {}
    for centre in model.cluster_centers_:
        best = np.argsort(-centre)[:TERMS_KEPT]
        weights = centre[best] * vectorizer.idf_[best]
        norm = float(np.linalg.norm(weights)) or 1.0
        name = "-".join(words[i] for i in best if words[i].isalpha() and len(words[i]) > 2)
        label = "-".join(name.split("-")[:3]) or "category"
        if label in categories:
            label = f"{label}-{len(categories)}"
        categories[label] = {
            str(words[i]): round(float(w) / norm, 5)
            for i, w in zip(best, weights, strict=True)
            if w > 0
        }
    return Rules(categories, DEFAULT_ENTITIES)
