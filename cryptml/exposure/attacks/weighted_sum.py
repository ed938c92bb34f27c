"""Weighted sums, each read by a table, and no more of them than answers: linear classifiers, which are found by their edges."""

from __future__ import annotations

import math

from cryptml.exposure.knowledge import Knowledge


def weighted_sum_queries(known: Knowledge) -> int | None:
    """Return about how many chosen queries find the sums of a segment whose answers depend on them through a table each.

    With all other inputs fixed, a binary search over one input's range finds where the answer passes an edge of the table, which
    takes as many queries as the input has bits; edges along every input give a sum up to a factor, and its table is read along the
    way (Lowd and Meek, "Adversarial learning", KDD 2005, for linear classifiers, whose table has two entries). A table of more
    entries has more edges, which makes them easier to find.

    Args:
        known: What a client knows of the segment before it asks.

    Returns:
        Inputs times bits of an input, for each table; None where there are more tables than answers behind them, which then show
        no table by itself, or where tables come first, last or not at all. A single table may be the last.
    """
    if known.linear or known.activations != 1 or known.layers[0].kind == "activation":
        return None
    place = next(place for place, layer in enumerate(known.layers) if not layer.linear)
    table, behind = known.layers[place], known.layers[place + 1 :]
    sums = math.prod(table.reads)
    if table.kind != "activation" or sums > (known.writes.size if behind else 1):
        return None
    return sums * known.reads.size * max(1, (known.reads.high - known.reads.low).bit_length())
