"""The data sets of a ledger that suites are about, with what rules need to know about a row from other rows."""

from __future__ import annotations

from attribution.expectations.derivations import Dataset, Derived, Facts

#: Two teams on one trace: the first says who asked, so a second one pays for another's request.
_DIVIDED = Facts(
    "quality_divided",
    ("trace_id", "owner_team"),
    """
    select trace_id, count(*) as teams
    from (select distinct trace_id, owner_team from {base} where trace_id is not null and owner_team is not null)
    group by trace_id having count(*) > 1
    """,
)
_OWNERS_IN_TRACE = Derived(
    "owners_in_trace",
    "BIGINT",
    ("trace_id",),
    "case when row.trace_id is not null then coalesce(divided.teams, 1) end",
    "left join quality_divided as divided on divided.trace_id = row.trace_id",
    _DIVIDED,
)
_CACHED = Derived(
    "cached_input_tokens",
    "BIGINT",
    ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    "case when coalesce(row.cache_read_tokens, row.cache_write_5m_tokens, row.cache_write_1h_tokens) is not null"
    " then coalesce(row.cache_read_tokens, 0) + coalesce(row.cache_write_5m_tokens, 0)"
    " + coalesce(row.cache_write_1h_tokens, 0) end",
)
_UNKNOWN_TEAM = Derived(
    "unknown_team",
    "VARCHAR",
    ("owner_team",),
    "case when known.team is null and (select count(*) from team) > 0 then row.owner_team end",
    "left join (select distinct team from team) as known on known.team = row.owner_team",
    needs_ledger=True,
)


def _flagged(name: str, flags: str, test: str) -> Derived:
    """The first of a row's flags that passes a test."""
    found = f"list_filter(coalesce(row.{flags}, []), lambda flag: {test})[1]"
    return Derived(name, "VARCHAR", (flags,), found)


#: The last complete seven days of a source against the four weeks before, told on the last record of the source.
_ARRIVALS = Facts(
    "quality_arrival",
    ("source", "started_at", "observation_id"),
    """
    with horizon as (select max(started_at) as at from {base}),
    week as (
        select source, max_by(observation_id, (started_at, observation_id)) as observation_id,
            max(started_at) as last_at,
            count(*) filter (where started_at > horizon.at - interval 7 days) as records,
            count(*) filter (where started_at > horizon.at - interval 35 days
                and started_at <= horizon.at - interval 7 days) as records_before,
            bool_or(started_at <= horizon.at - interval 28 days) as is_long
        from {base}, horizon where started_at is not null group by source
    )
    select observation_id, date_diff('hour', last_at, horizon.at) as hours,
        case when is_long and records_before > 0 then records * 400 // records_before end as percent
    from week, horizon
    """,
)
_ARRIVAL = "left join quality_arrival as arrival on arrival.observation_id = row.observation_id"

_UNKNOWN_FILE = Derived(
    "unknown_file",
    "VARCHAR",
    ("file_id",),
    "case when file.file_id is null then row.file_id end",
    "left join (select distinct file_id from source_file) as file on file.file_id = row.file_id",
    needs_ledger=True,
)

OBSERVATIONS = Dataset(
    "observations",
    "OB",
    "observation",
    ("observation_id",),
    (
        _OWNERS_IN_TRACE,
        _CACHED,
        _flagged("personal_data", "ownership_flags", "contains(flag, 'personal_data')"),
        _flagged("unhashed_handle", "ownership_flags", "contains(flag, ':unhashed')"),
        _flagged(
            "broken_identity",
            "usage_flags",
            "not starts_with(flag, 'source_cost') and not starts_with(flag, 'hidden reasoning')",
        ),
        Derived(
            "tokens_beside_total",
            "BIGINT",
            ("total_tokens", "input_tokens", "output_tokens"),
            "row.total_tokens - row.input_tokens - row.output_tokens",
        ),
        Derived("hours_behind", "BIGINT", ("observation_id",), "arrival.hours", _ARRIVAL, _ARRIVALS),
        Derived("week_percent", "BIGINT", ("observation_id",), "arrival.percent", _ARRIVAL, _ARRIVALS),
        _UNKNOWN_FILE,
        Derived(
            "is_matched",
            "BOOLEAN",
            ("observation_id",),
            "matched.observation_id is not null",
            "left join event_observation as matched on matched.observation_id = row.observation_id",
            needs_ledger=True,
        ),
    ),
    calls="select distinct row_key, event_id from failed join event_observation on observation_id = row_key",
)

SPANS = Dataset(
    "spans",
    "SP",
    "span",
    ("trace_id", "span_id"),
    (
        Derived(
            "unknown_parent",
            "VARCHAR",
            ("trace_id", "parent_span_id"),
            "lost.parent_span_id",
            "left join quality_lost_parent as lost"
            " on lost.trace_id is not distinct from row.trace_id and lost.parent_span_id = row.parent_span_id",
            Facts(
                "quality_lost_parent",
                ("trace_id", "span_id", "parent_span_id"),
                """
                select distinct row.trace_id, row.parent_span_id from {base} as row
                anti join {base} as parent
                    on parent.trace_id = row.trace_id and parent.span_id = row.parent_span_id
                where row.parent_span_id is not null
                """,
            ),
        ),
        Derived(
            "roots_in_trace",
            "BIGINT",
            ("trace_id", "parent_span_id"),
            "top.roots",
            "left join (select trace_id, count(*) filter (where parent_span_id is null) as roots"
            " from {base} group by trace_id) as top on top.trace_id = row.trace_id",
        ),
        _OWNERS_IN_TRACE,
        _UNKNOWN_FILE,
    ),
    calls="""
        select distinct row_key, event_id from failed
        join event_record on concat_ws('/', event_record.trace_id, event_record.span_id) = row_key
    """,
)

#: The coverage of its month, told on every call whose team was not declared at it.
_UNDECLARED = Facts(
    "quality_undeclared",
    ("event_id", "started_at", "owner_evidence"),
    """
    select event_id, declared, case when owner_evidence in ('rule', 'none') then owned end as owned
    from {base} as row join quality_month as month on month.month = strftime(row.started_at, '%Y-%m')
    where owner_evidence not in ('declared', 'matched', 'exclusive_key')
    """,
)

COST_EVENTS = Dataset(
    "cost_events",
    "CE",
    "cost_event",
    ("event_id",),
    (
        _UNKNOWN_TEAM,
        _OWNERS_IN_TRACE,
        _CACHED,
        Derived(
            "roots_in_trace",
            "BIGINT",
            ("trace_id",),
            "top.roots",
            "left join (select trace_id, count(*) filter (where parent_span_id is null) as roots"
            " from span group by trace_id) as top on top.trace_id = row.trace_id",
            needs_ledger=True,
        ),
        Derived(
            "has_first_attempt",
            "BOOLEAN",
            ("call_id",),
            "orphan.call_id is null",
            "left join quality_orphan as orphan on orphan.call_id = row.call_id",
            Facts(
                "quality_orphan",
                ("call_id", "attempt_no"),
                """
                with later as (select distinct call_id from {base} where attempt_no > 1)
                select call_id from later
                except select call_id from {base} where attempt_no = 1 and call_id in (select call_id from later)
                """,
            ),
        ),
        Derived(
            "owned_share_of_month",
            "DECIMAL(7, 6)",
            ("event_id",),
            "undeclared.owned",
            "left join quality_undeclared as undeclared on undeclared.event_id = row.event_id",
            _UNDECLARED,
            needs_ledger=True,
        ),
        Derived(
            "declared_share_of_month",
            "DECIMAL(7, 6)",
            ("event_id",),
            "undeclared.declared",
            "left join quality_undeclared as undeclared on undeclared.event_id = row.event_id",
            _UNDECLARED,
            needs_ledger=True,
        ),
    ),
)

LINE_ITEMS = Dataset(
    "line_items",
    "LI",
    "line_item",
    ("event_id", "meter"),
    (
        Derived(
            "is_of_an_event",
            "BOOLEAN",
            ("event_id",),
            "event.event_id is not null",
            "left join event on event.event_id = row.event_id",
            needs_ledger=True,
        ),
    ),
    calls="select distinct row_key, cast(split_part(row_key, '/', 1) as uuid) as event_id from failed",
)

BILL_LINES = Dataset(
    "bill_lines",
    "BL",
    "bill_line",
    ("bill_line_id",),
    (
        _UNKNOWN_FILE,
        Derived(
            "days_behind",
            "BIGINT",
            ("provider", "period_start", "bill_line_id", "role"),
            "last.days",
            """
            left join (
                select max_by(bill_line_id, (period_start, bill_line_id)) as bill_line_id,
                    date_diff('day', max(period_start), (select max(period_start) from {base})) as days
                from {base} where role <> 'estimate' group by provider
            ) as last on last.bill_line_id = row.bill_line_id
            """,
        ),
    ),
    calls="select distinct row_key, cast(null as uuid) as event_id from failed",
    money="coalesce(billed_cost, effective_cost, contracted_cost, list_cost)",
)

OWNERSHIP_RULES = Dataset(
    "ownership_rules",
    "OR",
    "ownership_rule",
    ("rule_id", "place"),
    (
        _UNKNOWN_TEAM,
        Derived(
            "gives",
            "BIGINT",
            ("owner_team", "workflow_id", "feature"),
            "(row.owner_team is not null)::bigint + (row.workflow_id is not null)::bigint"
            " + (row.feature is not null)::bigint",
        ),
        Derived(
            "other_team",
            "VARCHAR",
            ("rule_id", "field", "match", "pattern", "owner_team", "valid_from", "valid_to"),
            """
            (select min(other.owner_team) from {base} as other
                where other.field = row.field and other.match = row.match and other.pattern = row.pattern
                    and other.owner_team <> row.owner_team
                    and coalesce(other.valid_from < row.valid_to, true)
                    and coalesce(row.valid_from < other.valid_to, true))
            """,
        ),
    ),
    calls="""
        select distinct row_key, event_id from failed
        join event_owner on owner_evidence = 'rule' and owner_from = split_part(row_key, '/', 1)
    """,
)

PRICE_BOOK = Dataset(
    "price_book",
    "PB",
    "price",
    ("entry", "meter"),
    (
        Derived(
            "overlapping_entry",
            "VARCHAR",
            (
                "entry",
                "meter",
                "provider",
                "model",
                "service_tier",
                "region",
                "context_over",
                "context_upto",
                "valid_from",
                "valid_to",
                "second_from",
                "second_to",
                "weekdays",
            ),
            """
            (select min(other.entry) from {base} as other
                where other.provider = row.provider and other.model = row.model and other.meter = row.meter
                    and other.service_tier = row.service_tier and other.region is not distinct from row.region
                    and other.entry <> row.entry and other.weekdays & row.weekdays <> 0
                    and other.valid_from < row.valid_to and row.valid_from < other.valid_to
                    and other.context_over < row.context_upto and row.context_over < other.context_upto
                    and other.second_from < row.second_to and row.second_from < other.second_to)
            """,
        ),
    ),
    calls="""
        select distinct row_key, event_id from failed
        join line_item on concat_ws('/', line_item.price_entry, line_item.meter) = row_key
    """,
)

STATEMENTS = Dataset(
    "statements",
    "ST",
    "statement_line",
    ("period", "revision", "line_id"),
    (
        _UNKNOWN_TEAM,
        Derived("rounded_away", "DECIMAL(38, 12)", ("amount", "cents"), "abs(row.amount - row.cents)"),
    ),
    calls="select distinct row_key, cast(null as uuid) as event_id from failed",
    money="amount",
)

DATASETS = {
    each.name: each
    for each in (OBSERVATIONS, SPANS, COST_EVENTS, LINE_ITEMS, BILL_LINES, OWNERSHIP_RULES, PRICE_BOOK, STATEMENTS)
}
