"""What an attack asks for next is what it can learn from."""

from __future__ import annotations

from itertools import islice, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.exposure.guesses import _missing

KERNELS = st.lists(st.integers(-6, 6), min_size=1, max_size=4)


@settings(deadline=None)
@given(KERNELS, st.integers(-3, 0), st.integers(1, 3), st.sets(st.integers(-40, 40)))
def test_unseen_sums_come_with_taps_that_make_them(kernel: list[int], low: int, high: int, seen: set[int]) -> None:
    weights = np.array(kernel)
    possible = {int(weights @ taps) for taps in product(range(low, high + 1), repeat=len(kernel))}
    found = list(_missing(weights, dict.fromkeys(seen, 0), low, high))
    totals = [total for total, _ in found]
    assert len(totals) == len(set(totals))
    assert set(totals) <= possible - seen
    for total, taps in found:
        assert int(weights @ taps) == total
        assert ((taps >= low) & (taps <= high)).all()
    if sorted(map(abs, kernel)) == [1] * len(kernel):
        assert set(totals) == possible - seen


def test_the_first_few_are_spread_over_all_that_can_be_reached() -> None:
    """A budget ends somewhere: what it has bought by then must not lie at one end."""
    totals = [total for total, _ in islice(_missing(np.array([1, 2, 4, 40]), {}, 0, 100), 50)]
    places = np.sort(totals) / 4700
    assert places[0] < 0.1
    assert places[-1] > 0.9
    assert np.diff(places).max() < 0.1
