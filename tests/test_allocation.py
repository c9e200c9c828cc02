"""Allocation: every method is exact, what cannot be split is refused with the reason, nothing is guessed."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.allocation.methods import PLAIN
from attribution.allocation.networks import eliminate
from attribution.errors import AllocationError, ConfigurationError

DIRECT = {"growth": Decimal(0), "search": Decimal(20), "support": Decimal(60)}
DRIVERS = {"requests": {"search": 3, "support": 1}}


def split(cost: str, pool: at.Pool, direct: dict[str, Decimal] = DIRECT) -> dict[str, Decimal]:
    found = at.allocate({pool.name: Decimal(cost)}, [pool], direct, DRIVERS).shares
    return dict(zip(found["owner_team"], found["amount"], strict=True))


# ---- methods, exact


@pytest.mark.parametrize(
    ("pool", "growth", "search", "support"),
    [
        (at.Pool("p", "direct", targets=("search",)), None, "10", None),
        (at.Pool("p", "proportional"), "0", "2.5", "7.5"),
        (at.Pool("p", "driver", "requests"), "0", "7.5", "2.5"),
        (at.Pool("p", "driver", units={"growth": 1, "support": 4}), "2", None, "8"),
        (at.Pool("p", "even"), "3.333333333334", "3.333333333333", "3.333333333333"),
        (at.Pool("p", "even", targets=("search", "support")), None, "5", "5"),
        (at.Pool("p", "fixed", percent={"search": "12.5", "support": "87.5"}), None, "1.25", "8.75"),
    ],
)
def test_each_method_gives_its_shares_to_the_last_digit(
    pool: at.Pool, growth: str | None, search: str | None, support: str | None
) -> None:
    expected = {"growth": growth, "search": search, "support": support}
    assert split("10", pool) == {team: Decimal(amount) for team, amount in expected.items() if amount is not None}


def test_step_down_closes_pools_in_their_order_and_never_goes_back() -> None:
    # Gateway (100) serves evaluation 20 %, search 30 %, support 50 %. Evaluation (50) serves gateway 50 %, search 50 %:
    # the gateway is closed by then, so all of it goes to search.
    pools = [
        at.Pool("gateway", "step_down", percent={"evaluation": 20, "search": 30, "support": 50}),
        at.Pool("evaluation", "step_down", percent={"gateway": 50, "search": 50}),
    ]
    found = at.allocate({"gateway": 100, "evaluation": 50}, pools, DIRECT)
    assert found.ratios["gateway"] == {"search": Fraction(1, 2), "support": Fraction(1, 2)}
    assert found.ratios["evaluation"]["search"] == 1
    teams = dict(zip(found.before_after["owner_team"], found.before_after["allocated"], strict=True))
    assert teams == {"growth": 0, "search": Decimal(100), "support": Decimal(50)}


def test_reciprocal_pools_are_solved_at_once() -> None:
    # g1 = 100 + g2/2, g2 = 50 + g1/5: g1 = 1250/9, g2 = 700/9. Support gets g1/2; search 3 g1/10 + g2/2.
    pools = [
        at.Pool("gateway", "reciprocal", percent={"evaluation": 20, "search": 30, "support": 50}),
        at.Pool("evaluation", "reciprocal", percent={"gateway": 50, "search": 50}),
    ]
    found = at.allocate({"gateway": 100, "evaluation": 50}, pools, DIRECT)
    exact = {
        team: sum(cost * found.ratios[pool].get(team, 0) for pool, cost in (("gateway", 100), ("evaluation", 50)))
        for team in ("search", "support")
    }
    assert exact == {"support": Fraction(625, 9), "search": Fraction(375 + 350, 9)}
    assert sum(found.shares["amount"]) == 150


def test_a_pool_may_use_itself() -> None:
    pool = at.Pool("gateway", "reciprocal", percent={"gateway": 50, "search": 50})
    assert split("10", pool) == {"search": Decimal(10)}


def test_a_credit_is_split_like_a_cost_with_its_sign_restored() -> None:
    cost, credit = split("0.000000000010", at.Pool("p", "even")), split("-0.000000000010", at.Pool("p", "even"))
    assert credit == {team: -amount for team, amount in cost.items()}
    assert sum(credit.values()) == Decimal("-0.000000000010")


def test_a_team_that_weighs_nothing_gets_nothing_even_of_a_last_pico_dollar() -> None:
    assert split("0.000000000001", at.Pool("p", "proportional"))["growth"] == 0


def test_the_fallback_is_used_only_where_it_is_stated() -> None:
    nothing = dict.fromkeys(DIRECT, Decimal(0))
    with pytest.raises(AllocationError, match=r"every target weighs zero by proportional.*fallback: even"):
        split("10", at.Pool("p", "proportional"), nothing)
    stated = at.Pool("p", "proportional", targets=("search", "support"), fallback="even")
    assert split("10", stated, nothing) == {"search": Decimal(5), "support": Decimal(5)}


# ---- what is refused


@pytest.mark.parametrize(
    ("pools", "why"),
    [
        ([{"method": "fixed", "percent": {"search": 50, "support": 49}}], "percentages make 99, not 100"),
        ([{"method": "fixed", "percent": {"search": 60, "support": "40.5"}}], "percentages make 100.5, not 100"),
        ([{"method": "reciprocal", "percent": {"search": 90}}], "percentages make 90, not 100"),
        ([{"method": "fixed", "percent": {"serach": 100}}], "`serach` is no team or pool here. Did you mean `search`"),
        ([{"method": "fixed"}], "has no percentages"),
        ([{"method": "driver"}], "does not say what is measured"),
        ([{"method": "driver", "driver": "seats"}], "`seats` is not measured"),
        ([{"method": "driver", "units": {"search": -1, "support": 2}}], "`search` weighs -1"),
        ([{"method": "direct"}], "`direct` has 3 targets"),
        ([{"method": "reciprocal", "percent": {"p0": 100}}], "serve only each other"),
        (
            [{"method": "reciprocal", "percent": {"p1": 100}}, {"method": "reciprocal", "percent": {"p0": 100}}],
            "pools p0, p1: they serve only each other",
        ),
        ([{"method": "step_down", "percent": {"p0": 100}}], "serves only pools that are closed before it"),
        ([{"method": "average"}], "`average` is not a method"),
        ([{"method": "proportional", "fallback": "guess"}], "its fallback is `guess`"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_reason(pools: list[dict[str, Any]], why: str) -> None:
    def allocated() -> at.Allocation:
        made = [at.Pool(f"p{n}", **pool) for n, pool in enumerate(pools)]
        return at.allocate({pool.name: 10 for pool in made}, made, DIRECT, DRIVERS)

    with pytest.raises(AllocationError, match=why):
        allocated()


def test_a_cost_without_a_pool_a_float_and_a_thirteenth_place_are_refused() -> None:
    even = at.Pool("p", "even")
    with pytest.raises(AllocationError, match="`q` holds a cost and has no method"):
        at.allocate({"q": Decimal(1)}, [even], DIRECT)
    with pytest.raises(AllocationError, match=r"float 0\.1"):
        at.allocate({"p": 0.1}, [even], DIRECT)
    with pytest.raises(AllocationError, match="more than twelve places"):
        at.allocate({"p": Decimal("0.0000000000001")}, [even], DIRECT)


def test_a_singular_system_is_refused() -> None:
    with pytest.raises(AllocationError, match="no single solution"):
        eliminate([[Fraction(1), Fraction(1)], [Fraction(2), Fraction(2)]], [[Fraction(1)], [Fraction(1)]])


# ---- laws

teams = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10**15), min_size=1)
money = st.decimals("-100000", "100000", places=12)


@st.composite
def systems(draw: st.DrawFn) -> tuple[dict[str, Decimal], list[at.Pool], dict[str, Decimal]]:
    """A handful of pools of any method, those that serve each other with a path to a team."""
    direct = {team: Decimal(pico).scaleb(-12) for team, pico in draw(teams).items()}
    count = draw(st.integers(1, 4))
    names = [f"pool {n}" for n in range(count)]
    serving = draw(st.sampled_from(["step_down", "reciprocal"]))
    pools = []
    for name in names:
        method = draw(st.sampled_from([*(m for m in PLAIN if m in ("proportional", "even")), serving, serving]))
        units = {}
        if method == serving:
            units = {other: draw(st.integers(0, 9)) for other in names} | {draw(st.sampled_from(sorted(direct))): 1}
        pools.append(at.Pool(name, method, units=units, fallback="even"))
    kept = {pool.name for pool in pools if pool.method == serving}
    pools = [
        at.Pool(p.name, p.method, units={k: v for k, v in p.units.items() if k in direct or k in kept}, fallback="even")
        for p in pools
    ]
    return direct, pools, {name: draw(money) for name in names}


@given(systems())
def test_every_pool_ends_whole_whatever_the_methods(
    system: tuple[dict[str, Decimal], list[at.Pool], dict[str, Decimal]],
) -> None:
    direct, pools, costs = system
    found = at.allocate(costs, pools, direct)
    for pool in pools:
        rows = found.shares[found.shares["pool"] == pool.name]
        assert sum(rows["amount"], Decimal(0)) == costs[pool.name]
        assert pool.name not in found.ratios or sum(found.ratios[pool.name].values()) == 1
    assert sum(found.before_after["after"]) == sum(direct.values()) + sum(costs.values())


@given(systems())
def test_the_order_of_teams_and_costs_does_not_matter(
    system: tuple[dict[str, Decimal], list[at.Pool], dict[str, Decimal]],
) -> None:
    direct, pools, costs = system
    turned = at.allocate(dict(reversed(costs.items())), pools, dict(reversed(direct.items())))
    assert turned.shares.equals(at.allocate(costs, pools, direct).shares)


# ---- the rules file

GOOD = """\
version: "1"
pools:
  - pool: gateway
    calls: {service: gateway}
    method: step-down
    percent: {evaluation: 20, support: 80}
  - pool: evaluation
    calls: {workflow_id: [eval-a, eval-b]}
    method: step-down
    units: {search: 3, support: 1}
unattributed: {method: proportional, fallback: even}
minimums:
  - {team: "*", amount: "5.00"}
markups:
  - {team: search, percent: "2.5"}
cost_centers:
  search: {cost_center: CC-9, account: 6410-9}
budgets: {search: 100}
calendar:
  zone: UTC
  periods:
    - {period: FY26-P10, first_day: 2026-09-28, last_day: 2026-10-25}
savings: {can_wait: [eval-a]}
"""


def rules(tmp_path: Path, text: str) -> at.Rules:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    return at.read_rules(file)


def test_a_rules_file_is_read_whole_and_exactly(tmp_path: Path) -> None:
    found = rules(tmp_path, GOOD)
    assert [(s.pool.name, s.pool.method) for s in found.pools] == [
        ("gateway", "step_down"),
        ("evaluation", "step_down"),
    ]
    assert found.pools[1].calls == {"workflow_id": ("eval-a", "eval-b")}
    assert found.unattributed is not None
    assert found.of_team(found.minimums, "anyone") == Decimal("5.00")
    assert found.markups == {"search": Decimal("2.5")}
    assert str(found.period("FY26-P10").start) == "2026-09-28 00:00:00"
    assert str(found.period("FY26-P10").end) == "2026-10-26 00:00:00"
    assert found.can_wait == ("eval-a",)


def test_the_shipped_example_is_a_rules_file_and_the_generator_writes_it() -> None:
    found = at.read_rules("sample_data/acme/config/chargeback.yaml")
    from attribution.samples.exports.configuration import RULES

    assert found.text == RULES


POOL = "pools:\n- pool: p\n  calls: {service: s}\n"
REFUSED = {
    "a misspelt section": ("pool:\n- a\n", "yaml:1: `pool` is not known here. Did you mean `pools`?"),
    "a misspelt key": (POOL + "  methd: even\n", "yaml:4: `methd` is not known here. Did you mean `method`?"),
    "a misspelt method": (POOL + "  method: evn\n", "yaml:4: `evn` is not known here. Did you mean `even`?"),
    "no method": (POOL, "yaml:2: `None` is not known here"),
    "a misspelt column": (
        "pools:\n- pool: p\n  calls: {servce: s}\n  method: even\n",
        "yaml:3: `servce` is not known here. Did you mean `service`?",
    ),
    "an empty pool": ("pools:\n- pool: p\n  method: even\n", "yaml:2: pool `p` holds nothing"),
    "percentages that miss 100": (
        POOL + "  method: fixed\n  percent: {a: 50, b: 30}\n",
        "yaml:2: pool `p`: its percentages make 80, not 100",
    ),
    "pools that serve only each other": (
        POOL + "  method: reciprocal\n  percent: {p: 100}\n",
        "yaml:2: pools p: they serve only each other",
    ),
    "a pool twice": (POOL + "  method: even\n" + POOL[7:] + "  method: even\n", "yaml:5: pool `p` stands twice"),
    "weights of another method": (POOL + "  method: even\n  driver: requests\n", "`driver` beside method `even`"),
    "an unknown driver": (POOL + "  method: driver\n  driver: request\n", "Did you mean `requests`?"),
    "a float in disguise": ("budgets: {a: 1.5e3}\n", "`a` is '1.5e3'; expected an exact number"),
    "a basis that is none": ("basis: amortised\n", "yaml:1: `amortised` is not known here"),
    "another zone": ("calendar: {zone: Europe/Berlin}\n", "expected UTC: providers bill UTC days"),
    "periods that overlap": (
        "calendar:\n  periods:\n  - {period: a, first_day: 2026-10-01, last_day: 2026-10-28}\n"
        "  - {period: b, first_day: 2026-10-28, last_day: 2026-11-30}\n",
        "yaml:4: `b` overlaps `a`",
    ),
    "a key twice": ("basis: list\nbasis: list\n", "yaml:2: `basis` stands twice"),
    "a rule without a team": (
        "ownership_rules:\n- {rule_id: r, field: service, match: equals, pattern: x}\n",
        "yaml:2: `owner_team` is missing",
    ),
    "a rule on an unknown field": (
        "ownership_rules:\n- {rule_id: r, field: servce, match: equals, pattern: x, owner_team: a}\n",
        "Did you mean `service`?",
    ),
    "not a mapping": ("- a\n", "yaml:1: not a mapping"),
    "a tag": ("basis: !!python/name:os.system list\n", "an anchor, alias or tag"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_rules_file_cannot_say_is_refused_with_file_and_line(name: str, tmp_path: Path) -> None:
    text, message = REFUSED[name]
    with pytest.raises(ConfigurationError) as caught:
        rules(tmp_path, text)
    assert message in str(caught.value)
