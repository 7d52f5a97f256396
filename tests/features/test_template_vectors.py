"""Laws of template vectors: cosines are those of the terms, and templates that say nearly the same are near."""

import math
import string
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from qlogad.features.features import Features
from qlogad.features.template_vectors import TemplateVectors, terms

WORDS = st.text(string.ascii_letters, min_size=1, max_size=9)
TEMPLATES = st.lists(
    st.lists(st.one_of(WORDS, st.sampled_from(["<*>", "<:IP:>", "42"])), min_size=1, max_size=6), min_size=1, max_size=9
)


def vectors(templates: list[str]) -> np.ndarray:
    features = Features.from_sequences([list(range(len(templates)))])
    object.__setattr__(features, "vocabulary", tuple(templates))
    return TemplateVectors.fit(features).make(features)


@settings(max_examples=40, deadline=None)
@given(TEMPLATES)
def test_few_templates_have_the_cosines_of_their_weighted_terms(words: list[list[str]]) -> None:
    """With no more templates than dimensions, nothing is lost: TF-IDF in ten lines gives the same products."""
    templates = [" ".join(own) for own in words]
    counts = []
    for template in templates:  # terms may share a column, then they add up with their signs
        own: Counter[int] = Counter()
        for term in terms(template):
            code = murmurhash3_32(term)
            own[abs(code) % 2**18] += 1 if code >= 0 else -1
        counts.append(own)
    holding = Counter(column for own in counts for column in own)
    weighted = [{t: n * (math.log((1 + len(counts)) / (1 + holding[t])) + 1) for t, n in own.items()} for own in counts]
    norms = [math.sqrt(sum(w * w for w in own.values())) or 1.0 for own in weighted]
    found = vectors(templates)
    for i, one in enumerate(weighted):
        for j, other in enumerate(weighted):
            wanted = sum(w * other.get(term, 0.0) for term, w in one.items()) / (norms[i] * norms[j])
            assert abs(found[i] @ found[j] - wanted) < 1e-6


def test_similar_wording_is_near_and_other_wording_is_far() -> None:
    near, same, far = vectors(["Receiving block <*> src: <*>", "receivingBlock <*> from src <*>", "Connection refused by peer"])
    assert near @ same > 0.6 > 0.1 > abs(near @ far)


def test_many_templates_have_at_most_64_dimensions_and_unit_length() -> None:
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list(string.ascii_lowercase), 6)) for _ in range(300)]
    made = vectors([" ".join(rng.choice(names, 5)) for _ in range(200)])
    assert made.shape == (200, 64)
    assert np.linalg.norm(made, axis=1).max() <= 1 + 1e-9
