from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from attribution.rounding import CENT, largest_remainder, rounded

amounts = st.lists(st.decimals("-1000000", "1000000", places=12), min_size=1, max_size=30)


@given(amounts)
def test_what_is_shown_adds_up_to_the_rounded_total(given_amounts: list[Decimal]) -> None:
    shown = largest_remainder(given_amounts)

    assert sum(shown) == rounded(sum(given_amounts, Decimal(0)))


@given(amounts)
def test_no_amount_moves_by_a_whole_unit(given_amounts: list[Decimal]) -> None:
    shown = largest_remainder(given_amounts)

    assert all(abs(a - b) < CENT for a, b in zip(shown, given_amounts, strict=True))


@given(amounts, st.randoms())
def test_the_order_of_rows_does_not_matter(given_amounts: list[Decimal], random: object) -> None:
    keyed = [(f"{place:03}", amount) for place, amount in enumerate(given_amounts)]
    shuffled = keyed.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def shown(rows: list[tuple[str, Decimal]]) -> dict[str, Decimal]:
        return dict(
            zip([k for k, _ in rows], largest_remainder([a for _, a in rows], keys=[k for k, _ in rows]), strict=True)
        )

    assert shown(keyed) == shown(shuffled)


def test_ties_go_to_the_first_key() -> None:
    thirds = [Decimal("0.335"), Decimal("0.335"), Decimal("0.33")]

    assert largest_remainder(thirds, keys=["b", "a", "c"]) == [Decimal("0.33"), Decimal("0.34"), Decimal("0.33")]


def test_a_total_from_elsewhere_is_met() -> None:
    assert sum(largest_remainder([Decimal(1)] * 3, total=Decimal("10.00"))) == Decimal("10.00")


def test_nothing_is_rounded_to_nothing() -> None:
    assert largest_remainder([]) == []
