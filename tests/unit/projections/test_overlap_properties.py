"""What holds for whatever lists of tokens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.projections import TopPairs, distinct_tokens, pairs_jaccard, top_overlap
from tests.support.examples import examples

IDS = st.lists(st.integers(0, 20), min_size=1, max_size=12, unique=True)
PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12, unique=True)


def listed(pairs):
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return TopPairs(left, right, np.zeros(len(left)))


@examples(50)
@given(a=IDS, b=IDS)
def test_overlap_is_that_of_sets(a, b):
    found = top_overlap([a], [b])[0]
    assert found == len({*a} & {*b}) / len({*a} | {*b})
    assert found == top_overlap([b[::-1]], [a[::-1]])[0]
    assert top_overlap([a], [sorted(a)])[0] == 1


@examples(50)
@given(a=PAIRS, b=PAIRS)
def test_jaccard_of_pairs_is_symmetric_and_tokens_are_no_more_than_pairs(a, b):
    found = pairs_jaccard(listed(a), listed(b))
    assert found == pairs_jaccard(listed(b[::-1]), listed(a))
    assert 0 <= found <= 1
    assert (found == 1) == ({*a} == {*b})
    left, right = distinct_tokens(listed(a))
    assert max(left, right) <= len(a) <= left * right
