"""What holds for every change of a value, whatever its shape and whichever heads and tokens are chosen."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.activations.interventions import mean, patch, put, scale, zero
from tests.support.examples import examples


@st.composite
def chosen(draw):
    """A value [batch, token, head, d_head] with heads and tokens of it, either of which may be left to be all."""
    batch, n_tokens, n_heads, d_head = (draw(st.integers(1, most)) for most in (3, 5, 4, 3))
    value = torch.randn(batch, n_tokens, n_heads, d_head, generator=torch.Generator().manual_seed(draw(st.integers(0, 1000))))
    heads = draw(st.none() | st.lists(st.integers(0, n_heads - 1), min_size=1, unique=True))
    tokens = draw(st.none() | st.lists(st.integers(0, n_tokens - 1), min_size=batch, max_size=batch))
    return value, {"heads": heads, "tokens": tokens}


def touched(value, heads, tokens):
    """Which numbers a choice is about, counted one by one."""
    found = torch.zeros(value.shape, dtype=torch.bool)
    for sequence in range(value.shape[0]):
        for token in range(value.shape[1]) if tokens is None else [tokens[sequence]]:
            for head in range(value.shape[2]) if heads is None else heads:
                found[sequence, token, head] = True
    return found


@examples(60)
@given(case=chosen(), seed=st.integers(0, 1000))
def test_a_change_is_made_at_the_chosen_heads_and_tokens_and_nowhere_else(case, seed):
    value, choice = case
    before, inside = value.clone(), touched(value, **choice)
    other = torch.randn(value.shape, generator=torch.Generator().manual_seed(seed))
    everywhere = {
        zero: torch.zeros_like(value),
        mean: value.mean(dim=(0, 1), keepdim=True).expand_as(value),
        patch: other,
        scale: -3 * value,
    }
    arguments = {zero: (), mean: (), patch: (other,), scale: (-3.0,)}
    for change, expected in everywhere.items():
        assert torch.equal(change(*arguments[change], **choice)(value), torch.where(inside, expected, value))
    assert torch.equal(value, before)


@examples(60)
@given(case=chosen(), a=st.floats(-3, 3, width=32), b=st.floats(-3, 3, width=32))
def test_multiples_are_multiplied_and_means_and_zeros_stay(case, a, b):
    value, choice = case
    torch.testing.assert_close(scale(a, **choice)(scale(b, **choice)(value)), scale(a * b, **choice)(value))
    assert torch.equal(scale(0.0, **choice)(value), zero(**choice)(value))
    assert torch.equal(put(torch.zeros(()), **choice)(value), zero(**choice)(value))
    assert torch.equal(patch(value, **choice)(value), value)
    for over in (0, (0, 1)):
        once = mean(over, heads=choice["heads"])(value)
        torch.testing.assert_close(mean(over, heads=choice["heads"])(once), once)
        torch.testing.assert_close(once.mean(dim=over), value.mean(dim=over))
