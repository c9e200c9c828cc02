"""Changes of the sample company whose cost the generator knows: explained driver by driver, within a cent."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from attribution.assets import sample_path
from attribution.building import build_ledger
from attribution.errors import QuestionError
from attribution.explanations import Explanation, explain_change
from attribution.ledger import Ledger
from attribution.samples import write_sample
from attribution.samples.changes import CHANGES
from attribution.samples.company import FIRST_DAY, METERS, TIERS, load_company, load_rates, read
from tests.change_oracle import Attempt, driver_effects

CENT = Decimal("0.01")
ACME = Path(sample_path("acme"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("planted") / "acme"
    write_sample(where, calls=12_000, changes="all", faults="none")
    return where


@pytest.fixture(scope="module")
def ledger(folder: Path) -> Ledger:
    return build_ledger(folder / "data", config=folder / "config" / "attribution.yaml", quiet=True)


@pytest.fixture(scope="module")
def acme() -> Ledger:
    return build_ledger(ACME / "data", config=ACME / "config" / "attribution.yaml", quiet=True)


def planted(folder: Path, name: str) -> list[dict[str, Any]]:
    rows = pq.read_table(folder / "truth" / "changes.parquet").to_pylist()
    return [row for row in rows if row["change"] == name]


def explained(ledger: Ledger, row: dict[str, Any], **options: Any) -> Explanation:
    where = {"workflow_id": row["workflow_id"]}
    return explain_change(ledger, row["before"], row["after"], where, cost="list_cost", **options)


def effects(answer: Explanation) -> dict[str, Decimal]:
    return dict(zip(answer.drivers["driver"], answer.drivers["effect"], strict=True))


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_planted_change_is_recovered_driver_by_driver_and_nothing_else(
    folder: Path, ledger: Ledger, name: str
) -> None:
    truth = planted(folder, name)
    found = effects(explained(ledger, truth[0]))

    wanted = {row["driver"]: row["effect"] for row in truth}
    assert all(abs(effect) > 5 * CENT for effect in wanted.values())
    for driver, effect in found.items():
        assert abs(effect - wanted.get(driver, 0)) < CENT, driver


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_the_truth_of_a_change_is_what_the_true_calls_cost_more(folder: Path, name: str) -> None:
    truth = planted(folder, name)
    calls = pq.read_table(folder / "truth" / "calls.parquet")
    calls = calls.filter(pc.equal(calls["workflow_id"], truth[0]["workflow_id"]))
    weeks = pc.strftime(calls["started_at"], "%G-W%V")
    cost = [pc.sum(calls["list_cost"].filter(pc.equal(weeks, truth[0][side]))).as_py() for side in ("before", "after")]

    assert sum(row["effect"] for row in truth) == cost[1] - cost[0]


def test_retries_were_planted_one_and_a_half_times_and_a_tenth_more(folder: Path) -> None:
    calls = pq.read_table(folder / "truth" / "calls.parquet")
    calls = calls.filter(
        pc.and_(pc.equal(calls["workflow_id"], "draft-reply"), pc.equal(calls["attempt_role"], "retry"))
    )
    weeks = pc.strftime(calls["started_at"], "%G-W%V").to_pylist()

    assert abs(weeks.count("2026-W39") - weeks.count("2026-W38") * 1.6) < 1


def test_a_model_swap_under_growing_traffic_is_said_in_words_and_lmdi_gets_it_wrong(
    folder: Path, ledger: Ledger
) -> None:
    row = planted(folder, "model_swap")[0]

    answer = explained(ledger, row)

    assert answer.headline.endswith(": 67 % model mix, 33 % more traffic.")
    assert effects(explained(ledger, row, method="lmdi"))["traffic"] == 0


def test_changes_are_chosen_by_name_and_need_their_weeks(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="`changes` was 'price_cut'"):
        write_sample(tmp_path / "short", calls=300, months=1, changes="price_cut")
    with pytest.raises(QuestionError, match="all, none, or some of retries"):
        write_sample(tmp_path / "strange", calls=300, changes=["weather"])
    assert list(tmp_path.iterdir()) == []


# The week in which Support's cost jumps by 37 %: all true calls, every order in which the factors could have changed.


def true_attempts(week: str) -> list[Attempt]:
    """Support's true calls of a week, priced by the generator's own list; failed calls cost nothing and say nothing."""
    operation = {(row["workflow_id"], row["step"]): row["operation"] for row in read("steps")}
    deployment = {(one.provider, one.answered_as): n for n, one in enumerate(load_company().deployments)}
    attempts = []
    for call in pq.read_table(ACME / "truth" / "calls.parquet").to_pylist():
        if call["owner_team"] != "support" or f"{call['started_at']:%G-W%V}" != week or call["status"] == "failed":
            continue
        workflow = {"guard-agent": "refund-agent"}.get(call["workflow_id"], call["workflow_id"].replace("-v5", "-v4"))
        attempts.append(
            Attempt(
                segment=(call["workflow_id"].removesuffix("-v5").removesuffix("-v4"), call["feature"]),
                request=call["request_id"],
                call=call["operation_id"],
                step=operation[workflow, call["step"]],
                model=call["provider"] + call["model"],
                tier=call["service_tier"],
                role=call["attempt_role"],
                lines=_lines(call, deployment[call["provider"], call["model"]]),
            )
        )
    return attempts


def _lines(call: dict[str, Any], deployment: int) -> tuple[tuple[str, Fraction, Fraction], ...]:
    used = {meter: call[f"{meter}_tokens"] for meter in METERS if meter != "web_search"}
    used |= {"web_search": call["web_searches"]}
    used["input"] -= sum(used[meter] for meter in ("cache_read", "cache_write_5m", "cache_write_1h"))
    day = (call["started_at"] - datetime.combine(FIRST_DAY, datetime.min.time())).days
    rates = load_rates()
    band, epoch = int(call["input_tokens"] > rates.above[deployment]), int(day >= rates.changes[deployment])
    picked = rates.rates[deployment, TIERS.index(call["service_tier"]), band, epoch].tolist()
    price = dict(zip(METERS, picked, strict=True)) | {"reasoning": picked[METERS.index("output")]}
    used |= {"reasoning": call["reasoning_tokens"], "output": used["output"] - call["reasoning_tokens"]}
    return tuple((meter, Fraction(n), Fraction(n * price[meter], 10**12)) for meter, n in used.items() if n)


def test_the_week_that_jumps_by_a_third_is_recovered_driver_by_driver(acme: Ledger) -> None:
    wanted = driver_effects(true_attempts("2026-W41"), true_attempts("2026-W42"))

    answer = explain_change(acme, "2026-W41", "2026-W42", where={"owner_team": "support"}, cost="list_cost")
    found = effects(answer)
    found["requests"] = found.pop("traffic") + found.pop("workflow mix")

    assert abs(sum(wanted.values()) - Fraction(answer.change)) < Fraction(CENT)
    for driver in {*wanted, *found}:
        assert abs(Fraction(found.get(driver, 0)) - wanted.get(driver, 0)) < Fraction(CENT) / 100, driver
