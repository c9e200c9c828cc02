"""Has every source arrived? A source that stops early makes the hours incomplete; it never makes a drop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd

from attribution.ledger import Ledger
from attribution.periods import Period

#: A source is late when it is silent in this many hours at the end in which it usually speaks.
LATE = 2
#: Usually: in at least this share of the same hours before.
USUAL = 0.75
#: A source with few calls is late, too, when it spoke in the hours it is silent in each of this many weeks or more,
#: with this many calls on average: chance alone then makes it silent less than once in fifty.
ALWAYS, CALLS = 3, 4

HOUR = timedelta(hours=1)


def arrivals(ledger: Ledger, window: Period, before: Sequence[Period]) -> pd.DataFrame:
    """Return one row per source: its last call, its silent hours, and whether it has arrived.

    `arrived_until` is the end of the last hour that can be compared; `status` is `arrived`, `late` (silent at the
    end, in hours in which it usually has calls) or `ended` (no call in the window at all, though usually some).
    """
    return ledger.frame(
        """
        with hour_seen as (
            select source, date_trunc('hour', started_at) as hour, max(started_at) as last_at, count(*) as calls
            from observation where started_at is not null group by all
        ),
        shift as (select unnest($shifts) as hours_back),
        slot as (
            select unnest(generate_series($start::timestamp, $end::timestamp - interval 1 hour, interval 1 hour))
                as hour
        ),
        usual as (
            select source, slot.hour as hour, count(seen.hour) / (select count(*) from shift) as share
            from slot cross join shift join hour_seen seen on seen.hour = slot.hour - to_hours(hours_back)
            group by all
        ),
        last_seen as (
            select source, max(last_at) as last_at, max(hour) filter (hour >= $start and hour < $end) as last_hour
            from hour_seen where hour < $end group by source
        ),
        silent as (
            select l.source, l.last_at, l.last_hour,
                count(*) filter (
                    share >= $usual and (l.last_hour is null or usual.hour > l.last_hour)
                ) as silent_hours
            from last_seen l left join usual using (source)
            group by all
        ),
        tail as (
            select l.source as source, hours_back, coalesce(sum(seen.calls), 0) as calls,
                coalesce(l.last_hour + interval 1 hour, $start::timestamp) as since
            from last_seen l cross join shift
            left join hour_seen seen on seen.source = l.source
                and seen.hour >= coalesce(l.last_hour + interval 1 hour, $start::timestamp) - to_hours(hours_back)
                and seen.hour < $end::timestamp - to_hours(hours_back)
            group by l.source, l.last_hour, hours_back
        ),
        judged as (
            select *, silent_hours >= $late or is_always and since <= $end::timestamp - to_hours($late) as is_late
            from silent join (
                select source, since,
                    min(calls) > 0 and count(*) >= $always and sum(calls) >= $calls * count(*) as is_always
                from tail group by all
            ) using (source)
        )
        select source, last_at, silent_hours::bigint as silent_hours,
            case when not is_late then 'arrived' when last_hour is null then 'ended' else 'late' end as status,
            case when is_late then coalesce(last_hour, $start::timestamp) else $end::timestamp end as arrived_until
        from judged order by source
        """,
        window.values()
        | {"shifts": [round((window.start - one.start) / HOUR) for one in before]}
        | {"usual": USUAL, "late": LATE, "always": ALWAYS, "calls": CALLS},
    )


def complete_until(sources: pd.DataFrame, window: Period) -> datetime:
    """Return the end of the hours for which every source has arrived."""
    ends: list[datetime] = [moment.to_pydatetime() for moment in sources["arrived_until"]]
    return min([window.end, *ends])
