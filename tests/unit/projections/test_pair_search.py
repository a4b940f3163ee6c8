"""The pair search against the dense product, on whatever hypothesis can think of."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.projections import best_pairs, bounds, exact, pair_search, top_pairs
from analysis_lib.projections.pair_search import SPLITS, search_pairs
from tests.support.examples import examples


def dense_pairs(left, right, k, keep_left=None, keep_right=None, groups=None, largest=True):
    """The whole product, filtered, sorted by score and then by ids."""
    left, right = np.asarray(left, float), np.asarray(right, float)
    scores = (left[:, None] * right[None]).sum(-1)  # each entry by itself, in float64
    allowed = np.ones(scores.shape, bool)
    if keep_left is not None:
        allowed &= np.asarray(keep_left)[:, None]
    if keep_right is not None:
        allowed &= np.asarray(keep_right)[None]
    if groups is not None:
        allowed &= np.not_equal.outer(groups, groups)
    rows, columns = np.nonzero(allowed)
    values = scores[rows, columns]
    order = np.lexsort((columns, rows, -values if largest else values))[:k]
    return rows[order], columns[order], values[order]


def assert_same(found, expected):
    np.testing.assert_array_equal(found.left_ids, expected[0])
    np.testing.assert_array_equal(found.right_ids, expected[1])
    np.testing.assert_array_equal(found.scores, expected[2])


@pytest.fixture(params=[2, 7, 1024])
def block_size(request, monkeypatch):
    """Blocks far smaller than the factors, so that many are visited and pruned."""
    monkeypatch.setattr(pair_search, "BLOCK", request.param)
    monkeypatch.setattr(exact, "RESCORED_ENTRIES", 64 * request.param)
    monkeypatch.setattr(best_pairs, "HELD", request.param)
    monkeypatch.setattr(bounds, "LEAF", request.param)
    monkeypatch.setattr(bounds, "SAMPLED", (4 * request.param, 5))
    monkeypatch.setattr(bounds, "GRAM_ROWS", 8 * request.param)
    for name, share in {"CORNER": 1, "CHUNK": 1, "BOUNDS_HELD": 20}.items():
        if request.param < 1024:
            monkeypatch.setattr(pair_search, name, share * request.param)


in_small_blocks = pytest.mark.usefixtures("block_size")


@st.composite
def problems(draw):
    """Factors of many characters, with or without masks and groups."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    square = draw(st.booleans())
    n_left = draw(st.integers(1, 40))
    n_right = n_left if square else draw(st.integers(1, 40))
    width = draw(st.integers(1, 9))
    kind = draw(
        st.sampled_from(["normal", "heavy", "integer", "negative", "repeated", "low rank", "equal norms", "zero rows", "large mean"])
    )
    mean = 1000 * rng.normal(size=width)
    span = rng.normal(size=(max(1, width // 2), width))

    def factor(n):
        rows = rng.normal(size=(n, width))
        if kind == "heavy":
            rows *= np.exp(2 * rng.normal(size=(n, 1)))
        if kind == "integer":
            rows = rng.integers(-2, 3, size=(n, width)).astype(float)
        if kind == "negative":
            rows = np.abs(rows) + 0.1
        if kind == "low rank":
            rows = rows[:, : len(span)] @ span
        if kind == "equal norms":
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if kind == "zero rows":
            rows[rng.random(n) < 0.5] = 0
        if kind == "large mean":
            rows += mean
        if kind == "repeated":
            rows = rows[rng.integers(0, max(1, n // 4), size=n)]
        return rows

    left, right = factor(n_left), factor(n_right)
    if kind == "negative":
        left = -left
    scale = 10.0 ** draw(st.integers(-30, 15))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    options = {"largest": draw(st.booleans())}
    if draw(st.booleans()):
        options["keep_left"] = rng.random(n_left) < draw(st.sampled_from([0, 0.5, 0.9]))
    if draw(st.booleans()):
        options["keep_right"] = rng.random(n_right) < 0.7
    if square and draw(st.booleans()):
        options["groups"] = rng.integers(0, draw(st.integers(1, n_left)), size=n_left)
    k = draw(st.one_of(st.integers(1, 60), st.just(5000)))
    return (left * scale).astype(dtype), right.astype(dtype), k, options


@in_small_blocks
@examples(40)
@given(problem=problems())
def test_equals_the_dense_product(problem):
    left, right, k, options = problem
    before = left.copy(), right.copy()
    found = top_pairs(left, right, k, **options)
    assert_same(found, dense_pairs(left, right, k, **options))
    np.testing.assert_array_equal(left, before[0])
    np.testing.assert_array_equal(right, before[1])


@in_small_blocks
@examples(40)
@given(problem=problems(), strategy=st.sampled_from(list(SPLITS)))
def test_every_strategy_equals_the_dense_product(problem, strategy):
    left, right, k, options = problem
    found, report = search_pairs(left, right, k, **options, strategy=strategy)
    assert_same(found, dense_pairs(left, right, k, **options))
    assert report.strategy in (strategy, "nothing")


@in_small_blocks
@examples(20)
@given(problem=problems())
def test_torch_and_numpy_agree(problem):
    left, right, k, options = problem
    tensors = {name: torch.as_tensor(value) if name != "largest" else value for name, value in options.items()}
    found = top_pairs(torch.tensor(left), torch.tensor(right), k, **tensors)
    assert_same(found, top_pairs(left, right, k, **options))


@in_small_blocks
def test_ties_at_the_last_place_go_to_the_smallest_ids():
    ones = np.ones((40, 3), np.float32)
    found = top_pairs(ones, ones, k=50)
    np.testing.assert_array_equal(found.left_ids, [0] * 40 + [1] * 10)
    np.testing.assert_array_equal(found.right_ids, [*range(40), *range(10)])
    smallest = top_pairs(ones, ones, k=3, largest=False)
    np.testing.assert_array_equal(smallest.right_ids, [0, 1, 2])


@in_small_blocks
def test_zero_factors_are_all_ties():
    found = top_pairs(np.zeros((9, 2)), np.zeros((9, 2)), k=4, groups=np.arange(9))
    assert found.right_ids.tolist() == [1, 2, 3, 4]
    assert found.scores.tolist() == [0.0] * 4


@in_small_blocks
def test_scores_that_float32_cannot_tell_apart():
    """Rows whose scores differ by less than float32 rounding are still ranked right."""
    rng = np.random.default_rng(0)
    left = np.repeat(rng.normal(size=(1, 64)), 50, axis=0)
    left[:, 0] += rng.permutation(50) * 1e-9
    right = np.abs(rng.normal(size=(30, 64)))
    assert_same(top_pairs(left, right, 20), dense_pairs(left, right, 20))


@in_small_blocks
@pytest.mark.parametrize("scale", [1e-38, 1e-4, 1.0, 1e30])
def test_scale_does_not_matter(scale):
    """Bisecting a threshold from 10 downwards ten times never reaches small scores."""
    rng = np.random.default_rng(1)
    left = rng.normal(size=(100, 8)).astype(np.float32)
    right = rng.normal(size=(100, 8)).astype(np.float32)
    small = (left * np.float32(scale)).astype(np.float32)
    product = small.astype(float) @ right.T.astype(float)
    if scale < 0.01:
        assert not (product > 10 / 2**10).any()  # the lowest threshold it tries
    found = top_pairs(small, right, 30)
    assert len(found.scores) == 30
    assert_same(found, dense_pairs(small, right, 30))


@in_small_blocks
def test_huge_factors_do_not_overflow():
    left = np.array([[1e30, 1e30], [1e30, -1e30]])
    found = top_pairs(left.astype(np.float32), left.astype(np.float32), k=2)
    np.testing.assert_allclose(found.scores, 2e60, rtol=1e-6)


@in_small_blocks
def test_smallest_means_most_negative():
    """Sorting a list of the top the other way round gives its last, not the lowest."""
    left = np.array([[1.0], [-1.0]])
    right = np.array([[10.0], [33.0], [34.0], [35.0], [50.0]])
    top_three = top_pairs(left, right, k=3).scores
    assert sorted(top_three)[0] == 34.0  # what reversing the top list would show first
    lowest = top_pairs(left, right, k=3, largest=False)
    assert lowest.scores.tolist() == [-50.0, -35.0, -34.0]
    assert lowest.left_ids.tolist() == [1, 1, 1]


@in_small_blocks
def test_filters_come_before_the_selection():
    """Masked pairs take no place: k pairs come back although all the best are masked."""
    left = np.arange(100, 0, -1, dtype=float)[:, None]
    keep = np.arange(100) >= 90
    found = top_pairs(left, left, k=50, keep_left=keep, keep_right=keep)
    assert len(found.scores) == 50
    assert found.scores[0] == 100.0


def test_one_token():
    one = np.array([[2.0, 1.0]])
    assert top_pairs(one, one, k=50).scores.tolist() == [5.0]
    assert len(top_pairs(one, one, groups=np.zeros(1, int)).scores) == 0


def test_nothing_kept_is_an_empty_list():
    left = np.ones((4, 2))
    found = top_pairs(left, left, keep_left=np.zeros(4, bool))
    assert found.left_ids.shape == found.right_ids.shape == found.scores.shape == (0,)
    assert found.left_ids.dtype == np.int64
    assert len(top_pairs(left, left, groups=np.zeros(4, int)).scores) == 0
    assert len(top_pairs(np.ones((0, 2)), left).scores) == 0


@in_small_blocks
def test_half_precision_and_gradients():
    left = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    half = left.to(torch.bfloat16)
    assert_same(top_pairs(half, half, 5), dense_pairs(half.float(), half.float(), 5))
    found = top_pairs(left.requires_grad_(), left, 5)
    assert_same(found, top_pairs(left.detach(), left.detach(), 5))


@pytest.mark.parametrize("strategy", SPLITS)
def test_most_of_the_product_is_never_computed(monkeypatch, strategy):
    """With heavy-tailed norms every bound prunes."""
    for module, name, value in ((pair_search, "BLOCK", 64), (pair_search, "CHUNK", 8), (bounds, "LEAF", 16)):
        monkeypatch.setattr(module, name, value)
    rng = np.random.default_rng(0)
    left = rng.normal(size=(3000, 16)) * np.exp(0.7 * rng.normal(size=(3000, 1)))
    _, report = search_pairs(left, left[::-1].copy(), k=50, strategy=strategy)
    assert 0 < report.computed < 0.05 * 3000**2


def test_a_direction_that_one_side_does_not_use_costs_nothing(monkeypatch):
    """A mean far larger than everything else on the left, to which the right is orthogonal: norms as they stand would prune nothing."""
    monkeypatch.setattr(pair_search, "BLOCK", 64)
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 3000, 16)) * np.exp(0.7 * rng.normal(size=(2, 3000, 1)))
    left[:, 0], right[:, 0] = 1000, 0
    found, report = search_pairs(left, right, k=50, strategy="norms")
    assert report.computed < 0.05 * 3000**2
    assert_same(found, search_pairs(left, right, k=50, strategy="split 1")[0])


def test_the_sample_chooses_a_split_where_one_direction_is_strong(monkeypatch):
    """All products are negative because of it, so that norms rule out none."""
    monkeypatch.setattr(pair_search, "BLOCK", 64)
    monkeypatch.setattr(bounds, "LEAF", 32)
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 2000, 16))
    left[:, 0] += 30
    right[:, 0] -= 30
    found, report = search_pairs(left, right, k=20)
    assert report.strategy.startswith("split")
    assert_same(found, search_pairs(left, right, k=20, strategy="norms")[0])
    isotropic = rng.normal(size=(2, 2000, 16))
    assert search_pairs(*isotropic, k=20)[1].strategy == "norms"


@in_small_blocks
@pytest.mark.parametrize("strategy", SPLITS)
@pytest.mark.parametrize("scales", [(1e-44, 1.0), (1e38, 1e38), (1e-38, 1e-38), (1e-30, 1e30)])
def test_the_ends_of_float32(strategy, scales):
    rng = np.random.default_rng(2)
    left, right = (np.clip(rng.normal(size=(90, 5)), -3, 3) * scale for scale in scales)
    left, right = left.astype(np.float32), right.astype(np.float32)
    assert_same(search_pairs(left, right, k=30, strategy=strategy)[0], dense_pairs(left, right, 30))


@examples(25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200), r=st.integers(0, 2), leaf=st.integers(1, 20))
def test_boxes_hold_every_token_once_and_bound_its_products(seed, n, r, leaf):
    rng = np.random.default_rng(seed)
    left, right = (torch.tensor(rng.normal(size=(count, 4)), dtype=torch.float32) for count in (30, n))
    a, b = bounds.reduced(left, r), bounds.reduced(right, r)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "LEAF", leaf)
        cells, spare = bounds.leaves(b, torch.ones(r + 1))
    assert sorted(cells[~spare].tolist()) == list(range(n))
    bound = bounds.against_boxes(a) @ bounds.box_rows(b, cells).T
    products = (left @ right.T)[:, cells]
    assert (products.amax(2) <= bound + 1e-5).all()


@in_small_blocks
@examples(25)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 9))
def test_balanced_factors_have_the_same_product(seed, width):
    rng = np.random.default_rng(seed)
    mixes = rng.normal(size=(2, width, width)) * 10.0 ** rng.integers(-2, 3, size=width)
    left, right = (torch.tensor(rng.normal(size=(50, width)) @ mix) for mix in mixes)
    turned = bounds.balancing(left, right)
    assert turned is not None
    turns, exponent, drift = turned
    a, b = left @ turns[0], right @ turns[1]
    assert (a @ b.T * 2.0**exponent - left @ right.T).abs().max() <= drift * 2.0**exponent
    if len(left) > bounds.GRAM_ROWS:
        return  # balanced on a sample of rows: the product is the same, the Gram matrices are near
    grams = a.T @ a, b.T @ b
    torch.testing.assert_close(*grams, rtol=1e-4, atol=1e-6 * grams[0].diagonal().max().item())


GOOD = np.ones((4, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"left": [[1.0, np.nan]] * 4}, r"left must be finite; row 0, column 1 holds nan"),
        ({"right": [[1.0, 1], [1, -np.inf]]}, r"right must be finite; row 1, column 1"),
        ({"left": np.ones(4)}, r"left must be a matrix .* \(4,\)"),
        ({"left": np.ones((4, 0))}, r"left must be a matrix"),
        ({"left": np.ones((4, 2), complex)}, r"left must hold real numbers"),
        ({"right": np.ones((4, 3))}, r"same width; got \(4, 2\) and \(4, 3\)"),
        ({"strategy": "guess"}, r"strategy must be one of norms, .*; got 'guess'"),
        ({"k": 0}, r"k must be a whole number of at least 1; got 0"),
        ({"k": 2.5}, r"k must be .* 2.5"),
        ({"keep_left": np.ones(3, bool)}, r"keep_left must be a bool array of shape \(4,\)"),
        ({"keep_right": np.ones(4)}, r"keep_right must be a bool array .* float64"),
        ({"groups": np.ones(4)}, r"groups must be an integer array .* float64"),
        ({"groups": np.ones(3, int)}, r"groups must be an integer array"),
        ({"right": np.ones((5, 2)), "groups": np.ones(4, int)}, r"right \(5\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        search_pairs(**{"left": GOOD, "right": GOOD} | arguments)


def test_non_finite_rows_are_refused_even_when_masked():
    left = np.ones((4, 2))
    left[2] = np.inf
    keep = np.array([True, True, False, True])
    with pytest.raises(ValueError, match="row 2"):
        top_pairs(left, GOOD, keep_left=keep)
