"""Configuration: one reviewed file; whatever it cannot mean is refused with file and line."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from attribution.configuration import Configuration, apply, read_configuration
from attribution.errors import ConfigurationError
from attribution.ledger import open_ledger

ACME = Path(__file__).resolve().parents[1] / "sample_data" / "acme" / "config" / "attribution.yaml"


def read(folder: Path, text: str | bytes, **files: str | bytes) -> Configuration:
    for name, content in {"attribution.yaml": text, **{k.replace("_", "."): v for k, v in files.items()}}.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_configuration(folder / "attribution.yaml")


def refusal(folder: Path, text: str | bytes, **files: str | bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text, **files)
    return str(caught.value)


# ---- what is read


def test_sections_become_rows_that_know_their_place(tmp_path: Path) -> None:
    rows = read(tmp_path, "teams:\n  - team: support\n    budget: '9.10'\n\n  - {team: growth}\n").rows["team"]
    assert rows == [
        {"place": "attribution.yaml:2", "team": "support", "budget": Decimal("9.10")},
        {"place": "attribution.yaml:5", "team": "growth"},
    ]


def test_a_section_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    configuration = read(
        tmp_path,
        "teams: t.csv\nkeys: k.yaml\n",
        t_csv="\ufeffteam,budget\nsupport,9\ngrowth,\n",
        k_yaml="keys:\n- {key_id: k, kind: project, owner_team: support, is_exclusive: true}\n",
    )
    assert configuration.rows["team"] == [
        {"place": "t.csv:2", "team": "support", "budget": Decimal(9)},
        {"place": "t.csv:3", "team": "growth"},
    ]
    assert configuration.rows["key"][0]["place"] == "k.yaml:2"


@pytest.mark.parametrize("name", ["0012", "1_000", "1:30", "0x1F", "1e5", "NA", "nan", "1.10", "12"])
def test_names_stay_the_text_they_are(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"teams:\n- team: {name}\n").rows["team"][0]["team"] == name


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2026-10-01", datetime(2026, 10, 1)),
        ("2026-10-01T02:00:00+02:00", datetime(2026, 10, 1)),
        ("'2026-10-01T00:00:00Z'", datetime(2026, 10, 1)),
        ("2026-10-01 12:30:00", datetime(2026, 10, 1, 12, 30)),
    ],
)
def test_times_become_utc(given: str, moment: datetime, tmp_path: Path) -> None:
    assert read(tmp_path, f"teams:\n- team: a\n  valid_from: {given}\n").rows["team"][0]["valid_from"] == moment


def test_two_entries_of_one_name_may_follow_each_other(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        "keys:\n"
        "- {key_id: k, kind: project, owner_team: a, is_exclusive: true, valid_to: 2026-10-01}\n"
        "- {key_id: k, kind: project, owner_team: b, is_exclusive: true, valid_from: 2026-10-01}\n",
    ).rows["key"]
    assert [row["owner_team"] for row in rows] == ["a", "b"]


def test_shares_of_free_sections_are_exact(tmp_path: Path) -> None:
    assert read(tmp_path, "allocation:\n  share: 0.1\n").sections == {"allocation": {"share": Decimal("0.1")}}


# ---- what is refused, with file and line

ENTRY = "{key_id: k, kind: project, owner_team: a, is_exclusive: true%s}"
REFUSED: dict[str, tuple[str, str]] = {
    "a misspelt section": ("team:\n- team: a\n", "yaml:1: `team` is not known here. Did you mean `teams`?"),
    "a misspelt key": (
        "teams:\n- team: a\n  bugdet: 1\n",
        "yaml:2: `bugdet` is not known here. Did you mean `budget`?",
    ),
    "a missing name": ("teams:\n- budget: 1\n", "yaml:2: `team` is missing"),
    "a list in place of sections": ("- a\n", "yaml:1: not a mapping"),
    "an empty file": ("", "yaml:1: not a mapping"),
    "a section that is no list": ("teams:\n  team: a\n", "yaml:1: `teams` is not a list"),
    "an entry that is no mapping": ("teams:\n- support\n", "yaml:1: 'support' in `teams`"),
    "a key twice": ("teams:\n- team: a\n  team: b\n", "yaml:3: `team` stands twice"),
    "a section twice": ("teams: []\nteams: []\n", "yaml:2: `teams` stands twice"),
    "an anchor": ("teams:\n- &a {team: a}\n", "yaml:2: an anchor, alias or tag"),
    "an alias": ("a: &a b\nteams: *a\n", "yaml:1: an anchor, alias or tag"),
    "a tag": ("teams: !!python/object/apply:os.getcwd []\n", "yaml:1: an anchor, alias or tag"),
    "broken YAML": ("teams:\n- team: [a\n", "yaml:3: "),
    "two documents": ("teams: []\n---\nteams: []\n", "yaml:2: "),
    "a tab": ("teams:\n\t- team: a\n", "yaml:2: "),
    "a team that YAML takes for false": ("teams:\n- team: no\n", "yaml:2: `team` is False; expected text"),
    "a budget with a sign": ("teams:\n- team: a\n  budget: $5\n", "yaml:2: `budget` is '$5'; expected an exact number"),
    "a budget with a comma": ("teams:\n- team: a\n  budget: 1,000\n", "yaml:2: `budget` is '1,000'"),
    "a budget that is no number": ("teams:\n- team: a\n  budget: .nan\n", "yaml:2: `budget` is '.nan'"),
    "an endless budget": ("teams:\n- team: a\n  budget: infinity\n", "yaml:2: `budget` is 'infinity'"),
    "a budget that would be rounded": ("teams:\n- team: a\n  budget: 0.0000000000001\n", "yaml:2: `budget` is "),
    "a budget above all": (f"teams:\n- team: a\n  budget: 1{'0' * 26}\n", "yaml:2: `budget` is "),
    "a boolean as number": ("teams:\n- team: a\n  budget: true\n", "yaml:2: `budget` is True"),
    "a day that is none": (
        "teams:\n- team: a\n  valid_from: 2026-02-30\n",
        "yaml:2: `valid_from` is '2026-02-30'; expected a date",
    ),
    "a date in words": ("teams:\n- team: a\n  valid_from: 10/11/2026\n", "yaml:2: `valid_from` is '10/11/2026'"),
    "an end before the beginning": (
        "teams:\n- {team: a, valid_from: 2026-10-01, valid_to: 2026-09-01}\n",
        "yaml:2: valid_to 2026-09-01 00:00:00 is not after valid_from 2026-10-01 00:00:00",
    ),
    "text for a yes or no": (
        "keys:\n- {key_id: k, kind: project, owner_team: a, is_exclusive: 1}\n",
        "`is_exclusive` is 1",
    ),
    "an unknown kind of key": (
        "keys:\n- {key_id: k, kind: projct, owner_team: a, is_exclusive: true}\n",
        "yaml:2: `projct` is not known here. Did you mean `project`?",
    ),
    "a way to match that there is not": (
        "ownership_rules:\n- {rule_id: r, field: service, match: regex, pattern: x, owner_team: a}\n",
        "yaml:2: `regex` is not known here. Known: equals, prefix, glob.",
    ),
    "a field that no rule can see": (
        "ownership_rules:\n- {rule_id: r, field: servce, match: equals, pattern: x, owner_team: a}\n",
        "yaml:2: `servce` is not known here. Did you mean `service`?",
    ),
    "a discount that is no whole number": (
        "contracts:\n- {contract_id: c, kind: discount, provider: aws, numerator: 82.5, denominator: 100}\n",
        "yaml:2: `numerator` is Decimal('82.5'); expected a whole number",
    ),
    "two teams of one key": (
        f"keys:\n- {ENTRY % ''}\n- {ENTRY % ''}\n",
        "yaml:3: `k` overlaps attribution.yaml:2 in time",
    ),
    "a key of one team that is held for many": (
        f"keys:\n- {ENTRY % ', is_shared: true'}\n",
        "yaml:2: a key that is both exclusive and shared",
    ),
    "two families of one workflow": (
        "families:\n- {kind: workflow, name: a, family: x}\n- {kind: workflow, name: a, family: y}\n",
        "yaml:3: `workflow a` overlaps attribution.yaml:2",
    ),
    "one rule twice": (
        "ownership_rules:\n"
        "- {rule_id: r, field: service, match: equals, pattern: x, owner_team: a}\n"
        "- {rule_id: r, field: service, match: equals, pattern: y, owner_team: b}\n",
        "yaml:3: `r` overlaps attribution.yaml:2",
    ),
    "two rules that give the same calls a team": (
        "ownership_rules:\n"
        "- {rule_id: r, field: service, match: equals, pattern: x, owner_team: a, valid_to: 2026-10-02}\n"
        "- {rule_id: s, field: service, match: equals, pattern: x, owner_team: b, valid_from: 2026-10-01}\n",
        "yaml:3: `service equals x` overlaps attribution.yaml:2 in time",
    ),
    "a key of a team that the registry does not know": (
        f"teams: [{{team: support}}]\nkeys:\n- {ENTRY.replace('owner_team: a', 'owner_team: suport') % ''}\n",
        "yaml:3: `suport` is not known here. Did you mean `support`?",
    ),
    "a file that is not there": ("teams: t.csv\n", "yaml:1: `teams` names t.csv, which is not there"),
}


@pytest.mark.parametrize("fault", sorted(REFUSED))
def test_what_cannot_be_meant_is_refused_with_file_and_line(fault: str, tmp_path: Path) -> None:
    text, expected = REFUSED[fault]
    assert expected in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("team,team\na,b\n", "t.csv:1: a column stands twice"),
        ("team,budget\na\n", "t.csv:2: 1 cells under 2 columns"),
        ("team\na,1\n", "t.csv:2: 2 cells under 1 columns"),
        ('team\n"a\n', "t.csv:"),
        ("tem\na\n", "t.csv:2: `tem` is not known here. Did you mean `team`?"),
        ("team\nS\u00fcd\n".encode("latin-1"), "expected CSV in UTF-8"),
        ("team\na\na\n", "t.csv:3: `a` overlaps t.csv:2"),
    ],
)
def test_a_csv_section_is_read_as_strictly(content: Any, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(tmp_path, "teams: t.csv\n", t_csv=content)


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    assert "attribution.yaml: " in refusal(tmp_path, "teams: [{team: S\u00fcd}]".encode("latin-1"))


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    assert "too many levels" in refusal(tmp_path, "allocation: " + "[" * 5000 + "]" * 5000)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_configuration(tmp_path / "attribution.yml")


def test_rules_that_follow_each_other_or_give_different_fields_do_not_overlap(tmp_path: Path) -> None:
    rule = "{rule_id: %s, field: service, match: equals, pattern: x, %s}"
    rules = [
        rule % ("r", "owner_team: a, valid_to: 2026-10-01"),
        rule % ("s", "owner_team: b, valid_from: 2026-10-01"),
        rule % ("t", "workflow_id: w"),
    ]
    assert len(read(tmp_path, "ownership_rules:\n- " + "\n- ".join(rules) + "\n").rows["ownership_rule"]) == 3


# ---- into the ledger


def test_applying_replaces_what_was_there_and_keeps_places(tmp_path: Path) -> None:
    with open_ledger() as ledger:
        apply(ledger, read(tmp_path, "teams: [{team: a}]\npolicies: {cross_team: caller, limit: 0.02}\n"))
        apply(ledger, read(tmp_path, "teams: [{team: b, budget: 1.50}]\npolicies: {cross_team: callee}\n"))
        assert ledger.rows("select team, budget, place from team") == [("b", Decimal("1.5"), "attribution.yaml:1")]
        assert ledger.rows("select name, value from setting") == [("cross_team", "callee")]
        apply(ledger, None)
        assert ledger.value("select count(*) from team") == 0


def test_the_sample_companys_configuration_is_read() -> None:
    configuration = read_configuration(ACME)
    with open_ledger() as ledger:
        apply(ledger, configuration)
        assert ledger.value("select count(*) from team") == len(configuration.rows["team"]) > 1
        assert ledger.value("select count(*) from key where is_exclusive") >= 1


# ---- prepaid balances and pools


def test_a_prepaid_balance_keeps_its_amount_its_days_and_its_place(tmp_path: Path) -> None:
    entry = "{contract_id: c, provider: openai, amount: '10000', purchased_on: 2026-08-01, expires_on: 2027-08-01}"

    assert read(tmp_path, f"prepaid:\n- {entry}\n").rows["prepayment"] == [
        {
            "place": "attribution.yaml:2",
            "contract_id": "c",
            "provider": "openai",
            "amount": Decimal(10000),
            "purchased_on": datetime(2026, 8, 1),
            "expires_on": datetime(2027, 8, 1),
        }
    ]


@pytest.mark.parametrize(
    ("section", "entry", "told"),
    [
        ("prepaid", "{provider: openai, amount: '1'}", "attribution.yaml:2: `purchased_on` is missing"),
        ("prepaid", "{provider: openai, amount: 1e3, purchased_on: 2026-08-01}", "`amount` is '1e3'"),
        ("prepaid", "{provider: o, amount: '1', purchased_on: 2026-08-02, expires_on: 2026-08-02}", "is not after"),
        ("prepaid", "{provider: o, amount: '1', purchased_on: 2026-08-02, kind: credits}", "Did you mean `credit`?"),
        ("prepaid", "{provider: o, amount: '1', bought_on: 2026-08-02}", "`bought_on` is not known here"),
        ("pools", "{pool_id: p, kind: seats, provider: openai, units: -3}", "`units` is -3; expected an amount"),
        ("pools", "{pool_id: p, kind: seat, provider: openai, units: 3}", "Did you mean `seats`?"),
    ],
)
def test_what_a_balance_or_a_pool_cannot_mean_is_refused_with_its_line(
    section: str, entry: str, told: str, tmp_path: Path
) -> None:
    message = refusal(tmp_path, f"{section}:\n- {entry}\n")

    assert "attribution.yaml:2: " in message
    assert told in message
