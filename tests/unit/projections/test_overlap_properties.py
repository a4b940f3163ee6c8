"""What holds for whatever lists of tokens."""

from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.projections import top_overlap
from tests.support.examples import examples

IDS = st.lists(st.integers(0, 20), min_size=1, max_size=12, unique=True)


@examples(50)
@given(a=IDS, b=IDS)
def test_overlap_is_that_of_sets(a, b):
    found = top_overlap([a], [b])[0]
    assert found == len({*a} & {*b}) / len({*a} | {*b})
    assert found == top_overlap([b[::-1]], [a[::-1]])[0]
    assert top_overlap([a], [sorted(a)])[0] == 1
