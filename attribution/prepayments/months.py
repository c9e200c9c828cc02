"""One provider's month of prepaid balances: what is bought, drawn and lost, in whole pico-dollars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from attribution.prepayments.lots import Lot, balance_of, billed, is_of_balance, order

#: Where a bill shows usage at nothing that costs something, it drew on a balance itself.
BY_BILL = "effective cost of the bill"
BY_CREDIT = "covering credit of the invoice"
BY_INVOICE = "usage that the invoice leaves out"
BY_USAGE = "usage of the bill, up to the balance"
BY_CALLS = "cost of the calls; no bill shows their usage"
#: An invoice rounds each of its lines to the cent; two numbers as near as this are one.
_CENTS = 5 * 10**10


@dataclass(frozen=True, order=True)
class Group:
    """Usage of a day, account and project that a balance may pay for."""

    day: datetime
    account_id: str
    project_id: str


@dataclass
class Bill:
    """What the bills of a provider say about a month, added up."""

    provider: str
    month: str
    start: datetime
    end: datetime
    has_bill: bool = False
    has_invoice: bool = False
    usage: dict[Group, int] = field(default_factory=dict)
    calls: dict[Group, int] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)
    unused: dict[str, int] = field(default_factory=dict)
    purchases: list[dict[str, Any]] = field(default_factory=list)
    credits: list[dict[str, Any]] = field(default_factory=list)
    difference: int = 0


@dataclass
class Cover:
    """Which usage of a month a balance pays for, and what of the invoice that nets against."""

    provider: str
    month: str
    evidence: str | None = None
    usage: dict[Group, int] = field(default_factory=dict)
    difference: int = 0
    credit_lines: list[str] = field(default_factory=list)
    #: Purchases that no loaded bill shows, where there is no invoice to deny them.
    unbilled: list[Lot] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All that is covered."""
        return sum(self.usage.values()) + self.difference


@dataclass
class Account:
    """One contract's month."""

    opening: int = 0
    purchased: int = 0
    used: int = 0
    expired: int = 0
    billed_purchase: int | None = None
    billed_use: int | None = None
    evidence: str | None = None
    does_tie: bool = True

    @property
    def closing(self) -> int:
        """What is left."""
        return self.opening + self.purchased - self.used - self.expired


class Balances:
    """The lots of one provider, followed month by month."""

    def __init__(self, provider: str, declared: Sequence[Lot]) -> None:
        self.provider = provider
        self.lots: list[Lot] = []
        self._waiting = list(declared)

    def follow(self, bill: Bill) -> tuple[dict[tuple[str, str], Account], Cover]:
        """Run one month and return its accounts by contract and kind, and what its balances cover."""
        accounts: dict[tuple[str, str], Account] = {}
        for lot in self.lots:
            self._account(accounts, lot).opening += lot.left
        cover = Cover(bill.provider, bill.month)
        self._buy(bill, accounts, cover)
        for contract_id, amount in bill.drawn.items():
            self._take(accounts, contract_id, amount, BY_BILL)
        for contract_id, amount in bill.unused.items():
            self._lose(accounts, contract_id, amount)
        self._draw(bill, accounts, cover)
        self._meet(bill, accounts)
        for lot in self.lots:
            if lot.expires is not None and lot.expires <= bill.end and lot.left > 0:
                self._account(accounts, lot).expired += lot.left
                lot.left = 0
        return accounts, cover

    def _account(self, accounts: dict[tuple[str, str], Account], lot: Lot) -> Account:
        kind = "commitment" if lot.kind == "commitment" else "credit"
        return accounts.setdefault((lot.contract_id, kind), Account())

    def _buy(self, bill: Bill, accounts: dict[tuple[str, str], Account], cover: Cover) -> None:
        """Take in what is bought in the month: declared purchases, told with their bill lines, and others."""
        lines = list(bill.purchases)
        fresh = [lot for lot in self._waiting if lot.bought < bill.end]
        self._waiting = [lot for lot in self._waiting if lot.bought >= bill.end]
        for lot in fresh:
            if lot.kind == "credit" and (line := _line_of(lot, lines)) is not None:
                lines.remove(line)
                lot.billed, lot.lines = line["billed"], [str(line["bill_line_id"])]
        fresh += [billed(line, self.provider) for line in lines if _is_prepayment(line)]
        for lot in fresh:
            lot.left = lot.amount
            self.lots.append(lot)
            account = self._account(accounts, lot)
            if lot.kind == "opening":
                account.opening += lot.amount
                continue
            account.purchased += lot.amount
            if lot.billed is not None:
                account.billed_purchase = (account.billed_purchase or 0) + lot.billed
            if lot.kind == "credit" and lot.is_declared:
                account.does_tie &= lot.billed == lot.amount if bill.has_invoice else lot.billed in (None, lot.amount)
                if lot.billed is None and not bill.has_invoice:
                    cover.unbilled.append(lot)
        self.lots.sort(key=order)

    def _draw(self, bill: Bill, accounts: dict[tuple[str, str], Account], cover: Cover) -> None:
        """Draw usage on the balances, as far as the bill's own evidence goes."""
        usage = {group: amount for group, amount in sorted(bill.usage.items()) if amount > 0}
        is_held = any(lot.left > 0 and lot.kind != "commitment" for lot in self.lots)
        covering = [line for line in bill.credits if is_of_balance(line["description"], is_held=is_held)]
        by_credit = -sum(line["billed"] for line in covering)
        if covering and by_credit > 0:
            cover.evidence = BY_CREDIT
            cover.credit_lines = [str(line["bill_line_id"]) for line in covering]
            cover.difference = min(by_credit, bill.difference) if bill.has_invoice else 0
            self._spread(usage, by_credit - cover.difference, accounts, cover, is_told=True)
            rest = by_credit - sum(cover.usage.values())
            if rest:
                self._take(accounts, self._first_contract(bill), rest, BY_CREDIT)
            told = self._account_of(accounts, self._first_contract(bill))
            told.billed_use = by_credit
            return
        if not is_held:
            return
        if bill.has_invoice and usage:
            cover.evidence = BY_INVOICE
            left_out = max(-bill.difference, 0)
            whole = self._available(usage)
            limit = whole if abs(left_out - whole) <= _CENTS else min(left_out, whole)
        elif usage:
            cover.evidence, limit = BY_USAGE, self._available(usage)
        elif not bill.drawn:
            cover.evidence, usage = BY_CALLS, {g: amount for g, amount in sorted(bill.calls.items()) if amount > 0}
            limit = self._available(usage)
        else:
            return
        self._spread(usage, limit, accounts, cover)

    def _available(self, usage: dict[Group, int]) -> int:
        """Return how much of the usage the balances could pay for."""
        left = {id(lot): lot.left for lot in self.lots}
        whole = 0
        for group, amount in usage.items():
            for lot in self._payers(group):
                part = min(amount, max(left[id(lot)], 0))
                left[id(lot)] -= part
                amount -= part
                whole += part
        return whole

    def _payers(self, group: Group) -> Iterable[Lot]:
        return (
            lot
            for lot in self.lots
            if lot.kind != "commitment" and lot.covers(group.day, group.account_id or None, group.project_id or None)
        )

    def _spread(
        self,
        usage: dict[Group, int],
        limit: int,
        accounts: dict[tuple[str, str], Account],
        cover: Cover,
        *,
        is_told: bool = False,
    ) -> None:
        """Cover usage in the order of its days; what the bill itself says was covered needs no balance."""
        for group, amount in usage.items():
            paid = 0
            for lot in self._payers(group):
                part = min(amount - paid, limit - paid, max(lot.left, 0))
                lot.left -= part
                paid += part
                account = self._account(accounts, lot)
                account.used += part
                account.evidence = account.evidence or cover.evidence
            whole = min(amount, limit) if is_told else paid
            if whole > paid:
                self._take(accounts, self._first_contract(None), whole - paid, cover.evidence or BY_CREDIT)
            if whole:
                cover.usage[group] = whole
                limit -= whole

    def _first_contract(self, bill: Bill | None) -> str:
        """Name the contract that is drawn on where the bill does not say which."""
        held = [lot for lot in self.lots if lot.kind != "commitment"]
        return held[0].contract_id if held else balance_of(self.provider)

    def _account_of(self, accounts: dict[tuple[str, str], Account], contract_id: str) -> Account:
        return accounts.setdefault((contract_id, "credit"), Account())

    def _take(self, accounts: dict[tuple[str, str], Account], contract_id: str, amount: int, evidence: str) -> None:
        """Draw an amount on a contract whether or not it has as much; more than it has is owed."""
        account = self._account_of(accounts, contract_id)
        account.used += amount
        account.evidence = evidence
        if evidence == BY_BILL:
            account.billed_use = (account.billed_use or 0) + amount
        self._reduce(contract_id, amount)

    def _lose(self, accounts: dict[tuple[str, str], Account], contract_id: str, amount: int) -> None:
        account = self._account_of(accounts, contract_id)
        account.expired += amount
        account.evidence = account.evidence or BY_BILL
        self._reduce(contract_id, amount)

    def _reduce(self, contract_id: str, amount: int) -> None:
        held = [lot for lot in self.lots if lot.contract_id == contract_id and lot.kind != "commitment"]
        for lot in held:
            part = min(amount, max(lot.left, 0))
            lot.left -= part
            amount -= part
        if amount and not held:
            held = [Lot(contract_id, "credit", self.provider, 0, datetime.min, None, "bill", is_declared=False)]
            self.lots.append(held[0])
        if amount:
            held[-1].left -= amount

    def _meet(self, bill: Bill, accounts: dict[tuple[str, str], Account]) -> None:
        """Count usage toward least spends; they are billed as they are used, so nothing is covered."""
        for group, amount in sorted((bill.usage or bill.calls).items()):
            for lot in self.lots:
                if lot.kind == "commitment" and lot.covers(
                    group.day, group.account_id or None, group.project_id or None
                ):
                    part = min(max(amount, 0), lot.left)
                    lot.left -= part
                    account = self._account(accounts, lot)
                    account.used += part
                    account.evidence = BY_USAGE if bill.usage else BY_CALLS


def _line_of(lot: Lot, lines: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Find the bill's line of a declared purchase: the invoice's, else one of that amount, else one of a balance."""
    ranked = [
        (lot.invoice_id is not None and lot.invoice_id == line["invoice_id"], lot.amount == line["billed"], line)
        for line in lines
    ]
    found = [each for each in ranked if each[0] or each[1]]
    return max(found, key=lambda each: each[:2])[2] if found else None


def _is_prepayment(line: dict[str, Any]) -> bool:
    """Say whether a purchase is of something that is drawn down later; a fee is used up as it is charged."""
    return line["commitment_id"] is not None or line["effective"] == 0 or is_of_balance(line["description"])
