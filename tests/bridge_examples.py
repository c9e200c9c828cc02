"""A small company whose bill ties exactly, and faults that each move one line of the bridge by known dollars."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from attribution.ledger import Ledger
from attribution.pricing import price_events
from attribution.reconciliation import Reconciliation
from tests.examples import call, identity, insert, ledger_of

MONEY = ("quantity", "list_cost", "contracted_cost", "billed_cost", "effective_cost", "unit_scale")
#: gpt-5-mini: dollars a token.
IN, OUT, CACHED = Decimal("0.00000025"), Decimal("0.000002"), Decimal("0.000000025")


def bill_line(name: str = "b1", **columns: Any) -> dict[str, Any]:
    """Return one daily line of an OpenAI cost report; only what differs need be said."""
    line: dict[str, Any] = {
        "bill_line_id": identity(name), "source": "openai_costs", "role": "both", "file_id": "bill", "line": 1,
        "record_no": None, "period_start": datetime(2026, 10, 5), "period_end": None, "billing_period": None,
        "provider": "openai", "model": "gpt-5-mini", "service_tier": None, "meter": "input", "category": "usage",
        "quantity": None, "unit": "tokens", "requests": None, "list_cost": None, "contracted_cost": None,
        "billed_cost": None, "effective_cost": None, "currency": "USD", "request_id": None, "description": None,
        "account_id": None, "project_id": None, "api_key_id": None, "region": None, "context_window": None,
        "charge_class": None, "sku": None, "exported_at": None, "replaces_key": None, "principal": None,
        "resource_id": None, "estimated_cost": None,
    } | columns  # fmt: skip
    line["period_end"] = line["period_end"] or line["period_start"] + timedelta(days=1)
    line["billing_period"] = line["billing_period"] or f"{line['period_start']:%Y-%m}"
    line["effective_cost"] = line["effective_cost"] if line["effective_cost"] is not None else line["billed_cost"]
    for money in MONEY:
        if line.get(money) is not None:
            line[money] = Decimal(str(line[money]))
    return line


def billed(*calls: dict[str, Any], lines: Iterable[dict[str, Any]] = (), **tables: list[dict[str, Any]]) -> Ledger:
    """Return a priced ledger of these calls beside a bill of these lines."""
    ledger = ledger_of(*calls, **tables)
    insert(ledger, "bill_line", list(lines))
    price_events(ledger)
    return ledger


def bridge(answer: Reconciliation, provider: str | None = None) -> dict[str, Decimal]:
    """Return the rows of the bridge that are not zero, and check that it adds up."""
    frame = answer.bridge if provider is None else answer.bridges[answer.bridges["provider"] == provider]
    amounts = dict(zip(frame["cause"], frame["amount"], strict=True))
    assert sum(amounts.values()) - amounts["billed"] == amounts["billed"]
    return {cause: amount for cause, amount in amounts.items() if amount}


def _day(day: int) -> datetime:
    return datetime(2026, 10, day)


@dataclass
class Company:
    """Ten days of one call each, 1,000 tokens in and 100 out, and a bill that says the same."""

    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for day in range(1, 22):
            self.calls[f"c{day}"] = call(f"c{day}", started_at=_day(day) + timedelta(hours=12), response_id=f"r{day}")
            self.bill(day, "input", 1000, IN)
            self.bill(day, "output", 100, OUT)
            self.usage(day, 1)

    def bill(self, day: int, meter: str, quantity: int, price: Decimal, **columns: Any) -> None:
        """Bill a quantity at a price."""
        name = f"{day}-{meter}"
        amount = {"billed_cost": price * quantity} | columns
        self.lines[name] = bill_line(name, period_start=_day(day), meter=meter, quantity=quantity, **amount)

    def usage(self, day: int, requests: int, **columns: Any) -> None:
        """Report the requests of a day, as a usage report does."""
        told: dict[str, Any] = {"source": "openai_usage", "role": "usage", "service_tier": "standard", "quantity": 0}
        told |= {"requests": requests, "record_no": day, "file_id": "usage"}
        self.lines[f"{day}-usage"] = bill_line(f"{day}-usage", period_start=_day(day), **told | columns)

    def ledger(self) -> Ledger:
        """Return the priced ledger."""
        return billed(*self.calls.values(), lines=self.lines.values(), setting=self.settings)


#: Fault → what it does to the company, and the dollars by which it moves its line of the bridge.
Plant = Callable[[Company], Decimal]


def duplicate(company: Company) -> Decimal:
    """The same answer recorded twice."""
    again = company.calls["c1"] | {"event_id": identity("again"), "call_id": "again"}
    company.calls["again"] = again
    return -(1000 * IN + 100 * OUT)


def cut_off(company: Company) -> Decimal:
    """A call of September's last minute that ends in October, which bills it."""
    company.calls["late"] = call(
        "late", started_at=datetime(2026, 9, 30, 23, 59, 59), ended_at=datetime(2026, 10, 1, 0, 0, 5)
    )
    company.bill(1, "input", 2000, IN)
    company.bill(1, "output", 200, OUT)
    company.usage(1, 2)
    return 1000 * IN + 100 * OUT


def missing_event(company: Company) -> Decimal:
    """A call that nobody recorded."""
    del company.calls["c2"]
    return 1000 * IN + 100 * OUT


def token_count(company: Company) -> Decimal:
    """A call recorded with too few tokens."""
    company.calls["c3"] |= {"input_tokens": 400}
    return 600 * IN


def cached_as_fresh(company: Company) -> Decimal:
    """Cached input that was recorded as fresh."""
    company.bill(4, "input", 200, IN)
    company.bill(4, "cache_read", 800, CACHED)
    return 800 * (CACHED - IN)


def unpriced(company: Company) -> Decimal:
    """A model that no price book knows."""
    company.calls["c5"] |= {"model": "atlas-preview-0926"}
    for meter in ("input", "output"):
        company.lines[f"5-{meter}"] |= {"model": "atlas-preview-0926"}
    company.lines["5-usage"] |= {"model": "atlas-preview-0926"}
    return 1000 * IN + 100 * OUT


def unit_price(company: Company) -> Decimal:
    """A discount that no contract knows."""
    company.bill(6, "input", 1000, IN, billed_cost="0.0002")
    return Decimal("-0.00005")


def list_price(company: Company) -> Decimal:
    """Another list price on the bill than in the book."""
    company.bill(7, "input", 1000, IN, list_cost="0.0003", contracted_cost="0.0003", billed_cost="0.0003")
    return Decimal("0.00005")


def discount(company: Company) -> Decimal:
    """A discount that the bill states."""
    company.bill(8, "input", 1000, IN, list_cost="0.00025", contracted_cost="0.0002", billed_cost="0.0002")
    return Decimal("-0.00005")


def rounding(company: Company) -> Decimal:
    """A line rounded to the bill's last decimal, beside the exact product it states."""
    company.calls["c9"] |= {"input_tokens": 1001}
    company.bill(9, "input", 1001, IN, contracted_cost="0.00025025", billed_cost="0.00025")
    return Decimal("-0.00000025")


def not_billed(company: Company) -> Decimal:
    """A call that the provider does not charge."""
    for name in ("10-input", "10-output", "10-usage"):
        del company.lines[name]
    return -(1000 * IN + 100 * OUT)


def storage(company: Company) -> Decimal:
    """Storage, which no call causes."""
    company.lines["storage"] = bill_line("storage", meter="vector_storage", model=None, billed_cost="0.07")
    return Decimal("0.07")


def purchase(company: Company) -> Decimal:
    """A top-up of a prepaid balance."""
    company.lines["purchase"] = bill_line("purchase", category="purchase", model=None, meter=None, billed_cost="10")
    return Decimal(10)


def credit(company: Company) -> Decimal:
    """A credit."""
    company.lines["credit"] = bill_line("credit", category="credit", model=None, meter=None, billed_cost="-0.5")
    return Decimal("-0.5")


def adjustment(company: Company) -> Decimal:
    """A correction of an earlier month, invoiced now."""
    company.lines["adjustment"] = bill_line(
        "adjustment", category="usage", charge_class="correction", period_start=datetime(2026, 9, 3),
        billing_period="2026-10", quantity=-100, billed_cost="-0.02",
    )  # fmt: skip
    return Decimal("-0.02")


def tax(company: Company) -> Decimal:
    """Tax."""
    company.lines["tax"] = bill_line("tax", category="tax", model=None, meter=None, billed_cost="0.08")
    return Decimal("0.08")


def out_of_scope(company: Company) -> Decimal:
    """A charge that is no AI, under a declared scope."""
    company.lines["seat"] = bill_line("seat", model=None, meter=None, description="EC2 instance", billed_cost="5")
    entry = '[{"provider": "openai", "field": "description", "match": "glob", "pattern": "ec2*", "in_scope": false}]'
    company.settings = [{"name": "scope", "value": entry, "place": "attribution.yaml"}]
    return Decimal(5)


def unexplained(company: Company) -> Decimal:
    """A line that states an amount and no quantity."""
    for meter in ("input", "output"):
        del company.lines[f"11-{meter}"]
    amount = 1000 * IN + 100 * OUT + Decimal("0.01")
    company.lines["11-amount"] = bill_line("11-amount", period_start=_day(11), meter=None, billed_cost=amount)
    company.lines.pop("11-usage")
    return Decimal("0.01")


FAULTS: dict[str, tuple[str, Plant]] = {
    "duplicate": ("duplicates", duplicate),
    "cut_off": ("cut_off", cut_off),
    "missing_event": ("extra_or_missing_events", missing_event),
    "token_count": ("token_count", token_count),
    "cached_as_fresh": ("token_count", cached_as_fresh),
    "unpriced": ("unpriced", unpriced),
    "unit_price": ("price", unit_price),
    "list_price": ("list_price", list_price),
    "discount": ("discount", discount),
    "rounding": ("rounding", rounding),
    "not_billed": ("not_billed", not_billed),
    "storage": ("non_token_usage", storage),
    "purchase": ("purchases", purchase),
    "credit": ("credits", credit),
    "adjustment": ("adjustments", adjustment),
    "tax": ("tax", tax),
    "out_of_scope": ("out_of_scope", out_of_scope),
    "unexplained": ("unexplained", unexplained),
}
