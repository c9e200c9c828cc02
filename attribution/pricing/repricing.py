"""What if: the same calls at another book, date, contract, model or tier, without touching what is booked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import schema
from attribution.configuration import check_row
from attribution.errors import QuestionError
from attribution.ledger import Ledger, column_list, open_ledger
from attribution.pricing.book import PriceBook
from attribution.pricing.columns import moment_of
from attribution.pricing.rating import price_events
from attribution.pricing.storing import shipped_book

#: Calls priced at a time, so that memory stays flat.
_CHUNK = 500_000
_BASES = ("list_cost", "contracted_cost")


def reprice(
    ledger: Ledger,
    *by: str,
    book: PriceBook | None = None,
    on: datetime | date | str | None = None,
    contracts: Sequence[Mapping[str, Any]] | None = None,
    provider: str | None = None,
    model: str | None = None,
    tier: str | None = None,
    cached_share: Decimal | None = None,
    where: Mapping[str, Any] | None = None,
    basis: str = "contracted_cost",
) -> pd.DataFrame:
    """Price the calls of a ledger again under other terms and compare, in dollars by group.

    The ledger is not changed. Every option left out stays as it is; give several to combine them. Calls that
    only one side can price are counted apart and are in neither sum, so that the difference is of like and like.

    Parameters
    ----------
    ledger
        A priced ledger.
    *by
        Columns of `cost_event` to group by; `owner_team` and `model` (as called) when none is given.
    book
        Another price book, such as one read with `read_book`; to be given where the ledger was priced with one.
    on
        Price every call as if it began at this moment, in UTC unless it has an offset.
    contracts
        Rows of the contract table to use instead of the ledger's, checked as in a file; an empty list for none.
    provider, model, tier
        What the calls are moved to.
    cached_share
        Share [0–1] of the input that the prompt cache would have answered; counts are rounded down.
    where
        Limit to calls with these column values.
    basis
        `contracted_cost` or `list_cost`, on both sides.

    Returns
    -------
    pandas.DataFrame
        The `by` columns, then `calls`, `before`, `after`, `difference` [USD] and `not_compared` (calls that one
        side or both cannot price), in the order of `by`.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.price_events(ledger)
    ...     len(at.reprice(ledger, tier="batch"))
    0
    """
    groups = schema.require(by or ("owner_team", "model"))
    if basis not in _BASES:
        raise QuestionError.bad_argument("basis", basis, f"one of {', '.join(_BASES)}")
    if book is None:
        _require_shipped(ledger)
    rows = None if contracts is None else [_contract(row, number) for number, row in enumerate(contracts)]
    with closing(open_ledger()) as other:
        _copy_events(ledger, other, where or {})
        _copy_terms(ledger, other, rows)
        _change(other, moment_of(on, "on"), provider, model, tier, cached_share)
        price_events(other, book)
        after = other.arrow(f"select event_id, {basis} as after from event_cost where {basis} is not null")
    with ledger.reading(repriced=after):
        return _compare(ledger, groups, where or {}, basis)


def _require_shipped(ledger: Ledger) -> None:
    """Refuse to compare with the shipped book what another one priced: the difference would be of the books."""
    if not ledger.value("select count(*) from information_schema.tables where table_name = 'rate_book'"):
        return
    used, shipped = ledger.value("select fingerprint from rate_book"), shipped_book().fingerprint
    if used != shipped:
        expected = f"the book that priced this ledger ({used}) or another to compare; the shipped one is {shipped}"
        raise QuestionError.bad_argument("book", None, expected)


def _contract(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    said = {name: value for name, value in row.items() if value is not None and name != "place"}
    return check_row("contract", said, f"contracts:{number}")


def price_as(ledger: Ledger, calls: str, values: Mapping[str, Any] | None = None) -> pa.Table:
    """Price calls as if they had been others: each with its own model, tier or counts.

    Parameters
    ----------
    ledger
        A priced ledger; it is not changed.
    calls
        A query that gives rows of `event`, with what is imagined in place of what was.
    values
        Its bound values.

    Returns
    -------
    pyarrow.Table
        `event_id` (text), `imagined_cost` [USD]: the contracted price; calls that would have none are left out.
    """
    ledger.run(f"create or replace temp table imagined as {calls}", values)
    names = column_list(schema.table("cost_event").of_step("match").names)
    found = [pa.table({"event_id": pa.array([], pa.string()), "imagined_cost": pa.array([], pa.decimal128(38, 12))})]
    for batch in ledger.batches(f"select {names} from imagined", _CHUNK):
        with closing(open_ledger()) as other:
            with other.reading(new_rows=pa.Table.from_batches([batch])):
                other.run(f"insert into event ({names}) select {names} from new_rows")
            _copy_terms(ledger, other, None)
            price_events(other)
            priced = other.arrow(
                """
                select cast(event_id as varchar) as event_id, contracted_cost as imagined_cost
                from event_cost where contracted_cost is not null
                """
            )
        found.append(priced.cast(found[0].schema))
    ledger.run("drop table imagined")
    return pa.concat_tables(found)


def _copy_events(ledger: Ledger, other: Ledger, where: Mapping[str, Any]) -> None:
    """Copy the calls in question, batch by batch, so that memory stays flat."""
    names = column_list(schema.table("cost_event").of_step("match").names)
    condition, values = _condition(where)
    chosen = ledger.arrow(f"select event_id from cost_event where {condition}", values)
    with ledger.reading(chosen=chosen):
        for batch in ledger.batches(f"select {names} from event semi join chosen using (event_id)"):
            with other.reading(new_rows=pa.Table.from_batches([batch])):
                other.run(f"insert into event ({names}) select {names} from new_rows")


def _copy_terms(ledger: Ledger, other: Ledger, contracts: Sequence[Mapping[str, Any]] | None) -> None:
    for name in ("alias", "contract", "currency_rate"):
        names = schema.table(name).names
        rows = ledger.arrow(f'select * from "{name}"')
        if name == "contract" and contracts is not None:
            rows = pa.table({column: pa.array([row.get(column) for row in contracts]) for column in names})
        with other.reading(new_rows=rows):
            other.run(f'insert into "{name}" ({column_list(names)}) select {column_list(names)} from new_rows')


def _change(
    other: Ledger,
    on: datetime | None,
    provider: str | None,
    model: str | None,
    tier: str | None,
    cached_share: Decimal | None,
) -> None:
    if cached_share is not None and not 0 <= cached_share <= 1:
        raise QuestionError.bad_argument("cached_share", cached_share, "a share from 0 to 1")
    share = Fraction(cached_share) if cached_share is not None else None
    other.run(
        """
        update event set
            started_at = coalesce($started_at, started_at),
            provider = coalesce($provider, provider),
            model = coalesce($model, model),
            service_tier = coalesce($tier, service_tier),
            cache_read_tokens = case when $whole is null then cache_read_tokens else greatest(
                coalesce(cache_read_tokens, 0),
                (input_tokens - coalesce(cache_write_5m_tokens, 0) - coalesce(cache_write_1h_tokens, 0)
                    - coalesce(input_audio_tokens, 0) - coalesce(input_image_tokens, 0)
                    - coalesce(input_video_tokens, 0)) * $part // $whole) end
        """,
        {
            "started_at": on,
            "provider": provider,
            "model": model,
            "tier": tier,
            "part": share.numerator if share is not None else None,
            "whole": share.denominator if share is not None else None,
        },
    )


def _compare(ledger: Ledger, groups: list[str], where: Mapping[str, Any], basis: str) -> pd.DataFrame:
    columns = column_list(groups)
    condition, values = _condition(where)
    return ledger.frame(
        f"""
        with compared as (
            select cost_event.*, {basis} as before, repriced.after,
                {basis} is not null and repriced.after is not null as is_compared
            from cost_event left join repriced using (event_id) where {condition}
        )
        select
            {columns}, count(*) as calls,
            cast(coalesce(sum(before) filter (where is_compared), 0) as decimal(38, 12)) as before,
            cast(coalesce(sum(after) filter (where is_compared), 0) as decimal(38, 12)) as after,
            cast(coalesce(sum(after - before) filter (where is_compared), 0) as decimal(38, 12)) as difference,
            count(*) filter (where not is_compared) as not_compared
        from compared group by {columns} order by {columns}
        """,
        values,
    )


def _condition(where: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    names = schema.require(where)
    parts = [f'"{name}" is not distinct from $where_{position}' for position, name in enumerate(names)]
    return " and ".join(parts) or "true", {f"where_{p}": where[name] for p, name in enumerate(names)}
