"""The configuration that people reviewed: registry, keys, rules, contract, prepaid balance, aliases, calendar."""

from __future__ import annotations

from decimal import Decimal

from attribution.samples.bills import DISCOUNTS, Bills, in_contract
from attribution.samples.exports.litellm import KEYS
from attribution.samples.exports.openai import DIRECT_KEY, DIRECT_PROJECT
from attribution.samples.files import Folder
from attribution.samples.page import KEY_MOVED
from attribution.samples.truth import usd

_YAML = """\
# Reference data of Acme, reviewed by FinOps. Sections that are long stand in files of their own.
description: Acme Inc., AI spend of {first} to {last}
teams: teams.csv
families: families.csv
keys: keys.csv

# Whoever calls another team's agent pays for it.
policies:
  cross_team: caller

ownership_rules:
  - rule_id: nightly-digest
    field: service
    match: equals
    pattern: nightly-digest
    owner_team: data-science
    workflow_id: nightly-digest
    feature: digest

aliases:
  - {{kind: team, name: Finance Ops, canonical: finance-ops}}
  - {{kind: team, name: Support Automation, canonical: support}}
  - kind: model
    name: Claude Sonnet 4.5
    provider: aws
    canonical: "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    canonical_provider: aws
  - kind: model
    name: Claude Haiku 4.5
    provider: aws
    canonical: "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    canonical_provider: aws
  - kind: model
    name: Nova Lite
    provider: aws
    canonical: "amazon.nova-lite-v1:0"
    canonical_provider: aws

contracts:
{contracts}
prepaid:{prepaid}

calendar:
  zone: UTC
  week_starts: monday

column_maps:
  - source: research
    match: "direct/*.csv"
    mapping:
      timestamp: when
      trace_id: run
      response_id: call
      provider: vendor
      model: llm
      input_tokens: prompt_toks
      cache_read_tokens: of_which_cached
      output_tokens: answer_toks
      reasoning_tokens: of_which_thinking
      cost_usd: {{path: usd, unit: usd}}
      owner_team: squad
      workflow_id: experiment
      feature: task
    options:
      input_includes_cache: true
      output_includes_reasoning: true
      tz: UTC
"""

#: What the gateway calls providers with.
GATEWAY_KEY, GATEWAY_ROLE = "key_Gw7Lq2", "arn:aws:sts::402117330985:assumed-role/llm-gateway/prod"
#: The example of chargeback rules.
RULES = """\
# How Acme charges AI spend back to its teams. Reviewed by FinOps and the teams' finance partners.
version: "2026-08"
basis: effective

# Owners come from attribution.yaml; rules written here would only fill what it leaves without an owner.
ownership_rules: configuration

pools:
  # The guard agent checks every team's prompts: each pays by its requests.
  - pool: guard
    calls: {workflow_id: guard-agent}
    method: driver
    driver: requests
  # What invoices hold beyond calls: storage, sessions, tax, credits, corrections. Billed usage that no recorded call
  # explains is not in it: it stays visible until somebody finds the calls.
  - pool: bill charges
    bill: {cause: [non_token_usage, tax, credit, adjustment]}
    method: proportional

# Spend without an owner stays a line of its own. `method: proportional` would share it out; the reported
# unattributed share stays the same either way.
unattributed:
  method: visible

calendar:
  zone: UTC
"""


def write_configuration(bills: Bills, folder: Folder) -> None:
    """Write config/attribution.yaml with the files it names, and the chargeback rules beside it."""
    contracts = []
    for provider in in_contract(bills.faults):
        numerator, denominator, begins = DISCOUNTS[provider]
        contracts.append(
            f"  - contract_id: {provider}-discount\n    kind: discount\n    provider: {provider}\n"
            f"    numerator: {numerator}\n    denominator: {denominator}\n    stack_order: 1\n"
            f"    valid_from: {begins}\n"
        )
    prepaid = " []"
    if bills.is_prepaid("openai"):
        first = bills.months()[0]
        prepaid = (
            f"\n  - {{provider: openai, purchased_on: {first}-01, amount: '{usd(bills.purchase(first)):.2f}', "
            f"currency: USD, invoice_id: INV-openai-{first}}}"
        )
    text = _YAML.format(first=bills.days[0], last=bills.days[-1], contracts="".join(contracts), prepaid=prepaid)
    folder.text("config/attribution.yaml", text)
    folder.text("config/chargeback.yaml", RULES)
    _teams(bills, folder)
    _families(bills, folder)
    _keys(folder)


def _teams(bills: Bills, folder: Folder) -> None:
    lines = ["team,cost_center,account,contact,budget"]
    month = usd(bills.month_pico)
    for team in bills.company.teams:
        budget = (month * Decimal(team["budget_share"]) * Decimal("1.1")).quantize(Decimal(1))
        lines.append(f"{team['team']},{team['cost_center']},{team['account']},{team['contact']},{budget}")
    folder.lines("config/teams.csv", lines)


def _families(bills: Bills, folder: Folder) -> None:
    """Name workflows and features; the versions of a workflow share a family."""
    lines = ["kind,name,family,owner_team"]
    for flow in bills.company.workflows:
        for name in (flow.workflow_id, flow.workflow_id.replace("-v4", "-v5")):
            line = f"workflow,{name},{name.removesuffix('-v4').removesuffix('-v5')},{flow.team}"
            if line not in lines:
                lines.append(line)
    lines += ["workflow,guard-agent,guard-agent,platform", "feature,guard,guard,platform"]
    lines += [f"feature,{flow.feature},{flow.feature},{flow.team}" for flow in bills.company.workflows]
    folder.lines("config/families.csv", lines)


def _keys(folder: Folder) -> None:
    """Name keys and projects with their holder; Platform holds those that the gateway uses for everyone."""
    finops, labs = KEYS["vk_finops"][0], KEYS["vk_labs"][0]
    everyones = [(KEYS[name][0], "virtual_key", "") for name in ("vk_apps", "vk_gateway")]
    everyones += [(GATEWAY_KEY, "api_key", "openai"), (GATEWAY_ROLE, "principal", "aws")]
    folder.lines(
        "config/keys.csv",
        [
            "key_id,kind,provider,owner_team,is_exclusive,is_shared,valid_from,valid_to",
            f"{finops},virtual_key,,finance-ops,true,,,",
            f"{labs},virtual_key,,growth,true,,,{KEY_MOVED}",
            f"{labs},virtual_key,,data-science,true,,{KEY_MOVED},",
            f"{DIRECT_PROJECT},project,openai,research,true,,,",
            f"{DIRECT_KEY},api_key,openai,research,true,,,",
            *(f"{key},{kind},{provider},platform,false,true,," for key, kind, provider in everyones),
        ],
    )
