"""A vector per template by what it says: latent semantic indexing (LSI) of its words and letters, fitted on the training templates.

    template ── words, pairs of words, letters in threes ──► hashed counts x idf, length 1 ── SVD ──► at most 64 numbers

Deerwester et al., 1990, doi:10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9; hashing: Weinberger et al., ICML 2009,
arXiv:0902.2206. Nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats
from qlogad.errors import DataError
from qlogad.features.view import Base, View

__all__ = ["WIDTH", "TemplateVectors", "terms"]

WIDTH = 64  # largest number of dimensions
_HASHED = 2**18  # columns of hashed terms
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # camelCase gives two words


@dataclass(frozen=True)
class TemplateVectors(View):
    """LSI vectors of the templates, (V, D) with D = min(V, 64); the cosine of two vectors is near that of the templates' terms.

    Terms are words in lower case, without masked parts and split at camelCase, pairs of neighbouring words, and letters in threes within
    a word. A vector has at most the length 1; a template without a word has the zero vector.

    >>> from qlogad import Features
    >>> found = Features.from_sequences([[0, 1, 2]], views=["template-vectors"]).view("template-vectors")
    >>> found.shape, (found @ found.T).round(6).tolist() == np.eye(3).tolist()
    ((3, 3), True)
    """

    vectors: tuple[tuple[float, ...], ...]  # by event id

    of: ClassVar[Literal["template"]] = "template"

    def __post_init__(self) -> None:
        if len({len(vector) for vector in self.vectors}) > 1 or not np.isfinite(np.asarray(self.vectors, dtype=np.float64)).all():
            raise DataError("the vectors of the view 'template-vectors' must be finite numbers, as many for each template")

    @classmethod
    def fit(cls, base: Base) -> Self:
        """Decompose the terms of the training templates."""
        if not base.size:
            return cls(())
        from scipy.sparse import csr_array
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
        from sklearn.utils.extmath import randomized_svd

        hashed = HashingVectorizer(analyzer=_terms_of, n_features=_HASHED, norm=None).transform(base.vocabulary)
        kept = np.union1d(hashed.indices, np.arange(min(base.size, _HASHED)))  # V columns or more; the others are zero
        places = np.searchsorted(kept, hashed.indices)
        weighted = TfidfTransformer().fit_transform(csr_array((hashed.data, places, hashed.indptr), shape=(base.size, len(kept))))
        left_VD, singular_D, _ = randomized_svd(weighted, min(base.size, WIDTH), transpose=True, random_state=0)
        return cls(tuple(tuple(row) for row in (left_VD * singular_D).tolist()))

    def make(self, base: Base) -> Floats:
        """The vectors of the templates.

        Raises:
            DataError: it was fitted on other templates.
        """
        if len(self.vectors) != base.size:
            raise DataError(f"the view 'template-vectors' was fitted on {len(self.vectors)} templates, but there are {base.size}")
        return np.asarray(self.vectors, dtype=np.float64).reshape(base.size, len(self.vectors[0]) if self.vectors else 0)


def terms(template: str) -> Iterator[str]:
    """The terms of a template: words, pairs of neighbouring words, and letters in threes, marked at the ends of a word.

    >>> list(terms("openFile <*>"))
    ['open', 'file', 'open file', '<op', 'ope', 'pen', 'en>', '<fi', 'fil', 'ile', 'le>']
    """
    words = [word.lower() for word in _WORD.findall(re.sub(r"<\*>|<:[A-Z]+:>", " ", template))]
    yield from words
    yield from map(" ".join, pairwise(words))
    for word in words:
        marked = f"<{word}>"
        yield from (marked[start : start + 3] for start in range(len(marked) - 2))


def _terms_of(template: str) -> list[str]:
    return list(terms(template))
