"""OpenTelemetry spans of every dialect: each span once, calls apart from aggregates, ids and owners as carried."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution import matching
from attribution.ledger import Ledger, open_ledger
from attribution.loading import Loaded, load
from attribution.normalization import epoch
from attribution.reading import Unreadable
from attribution.sources import Intake, otel_console, otlp
from attribution.sources._otlp_values import literal
from tests.examples import FIXTURES

SAMPLES = FIXTURES / "sources" / "otlp"

TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"


def loaded(*paths: Path, **options: Any) -> tuple[Ledger, Loaded]:
    ledger = open_ledger()
    return ledger, load(ledger, *paths, **options)


def value_of(value: Any) -> dict[str, Any]:
    """Return an OTLP attribute value, as Python's exporter writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(each) for each in value]}}
    return {"stringValue": value}


def attributes_of(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value_of(value)} for key, value in attributes.items()]


CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5-mini",
    "gen_ai.response.model": "gpt-5-mini",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}


def span_of(attributes: Any = None, **fields: Any) -> dict[str, Any]:
    """Return one finished client span; by default a plain chat."""
    if attributes is not None and not isinstance(attributes, dict):
        return span_of(**fields) | {"attributes": attributes}
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "chat gpt-5-mini",
        "kind": 3,
        "startTimeUnixNano": "1795445833453171033",
        "endTimeUnixNano": "1795445833516109661",
        "attributes": attributes_of(CHAT | (attributes or {})),
        "status": {},
    } | fields


def document_of(
    *spans: dict[str, Any], resource: dict[str, Any] | None = None, scope: str = "test", version: str = "1"
) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": attributes_of({"service.name": "worker"} | (resource or {}))},
                "scopeSpans": [{"scope": {"name": scope, "version": version}, "spans": list(spans)}],
            }
        ]
    }


def read(*documents: dict[str, Any], hash_key: bytes | None = None) -> Intake:
    """Read documents without a ledger; an intake holds what a file gives."""
    intake = Intake("otlp", hash_key=hash_key)
    for line, document in enumerate(documents, 1):
        try:
            otlp.read(json_decoded(document), line, intake)
        except Unreadable as fault:
            intake.set_aside(line, fault)
    otlp.finish(intake)
    return intake


def json_decoded(document: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(json.dumps(document), parse_float=Decimal)
    return decoded


def call_of(attributes: dict[str, Any] | None = None, without: tuple[str, ...] = (), **around: Any) -> dict[str, Any]:
    """Return the observation that one span gives."""
    span = span_of(attributes)
    span["attributes"] = [each for each in span["attributes"] if each["key"] not in without]
    (observation,) = read(document_of(span, **around)).rows["observation"]
    return observation


def not_a_call(name: str, attributes: dict[str, Any]) -> str | None:
    intake = read(document_of(span_of(name=name) | {"attributes": attributes_of(attributes)}))
    assert intake.rows["observation"] == []
    reason: str | None = intake.rows["span"][0]["not_a_call"]
    return reason


# Every captured file.

#: file: spans, candidates, metered candidates, their input and output tokens; then calls and input tokens once matched.
FILES = {
    "genai_openai_anthropic_1.3b0.otlp.jsonl": (12, 10, 8, 15074, 2100, 9, 12556),
    "openai_v2_2.4b0.otlp.jsonl": (9, 7, 5, 8032, 1200, 7, 8032),
    "openinference_0.1.66.otlp.jsonl": (8, 7, 6, 11062, 1500, 6, 8544),
    "openllmetry_0.62.4.otlp.jsonl": (9, 8, 7, 13068, 1800, 7, 10550),
    "logfire_5.2.0.otlp.jsonl": (4, 2, 2, 4012, 600, 2, 4012),
    "langfuse_sdk_5.0.4.otlp.jsonl": (3, 2, 2, 4524, 600, 2, 4524),
    "vercel_ai_5.0.277.otlp.jsonl": (8, 5, 2, 4012, 600, 5, 4012),
    "vercel_ai_7.0.173_genai.otlp.jsonl": (9, 3, 2, 4012, 600, 3, 4012),
    "vercel_ai_7.0.173_legacy.otlp.jsonl": (6, 3, 2, 4012, 600, 3, 4012),
    "litellm_proxy_otel.otlp.jsonl": (45, 4, 3, 7042, 900, 4, 7042),
    "codex_0.169.0_otel_spans_token_bearing.otlp.jsonl": (10, 1, 1, 2006, 300, 1, 2006),
    "openai_v2_2.1b0_httpx_retries.sdk-console.jsonl": (9, 3, 2, 4012, 600, 3, 4012),
    "openllmetry_0.33.12.sdk-console.jsonl": (4, 3, 3, 4020, 600, 3, 4020),
    "broken-hops/celery_ok_baggage.otlp.jsonl": (5, 1, 1, 2006, 300, 1, 2006),
    "broken-hops/celery_producer_uninstrumented.otlp.jsonl": (4, 1, 1, 2006, 300, 1, 2006),
    "broken-hops/celery_retry.otlp.jsonl": (8, 2, 2, 4012, 600, 2, 4012),
    "broken-hops/celery_use_links.otlp.jsonl": (5, 1, 1, 2006, 300, 1, 2006),
    "broken-hops/celery_worker_uninstrumented.otlp.jsonl": (4, 1, 1, 2006, 300, 1, 2006),
    "broken-hops/sqs_boto3sqs.otlp.jsonl": (5, 1, 1, 2006, 300, 1, 2006),
    "broken-hops/sqs_botocore.otlp.jsonl": (6, 1, 1, 2006, 300, 1, 2006),
    "broken-hops/threading_off.otlp.jsonl": (3, 2, 2, 4012, 600, 2, 4012),
    "broken-hops/threading_on.otlp.jsonl": (3, 2, 2, 4012, 600, 2, 4012),
}


@pytest.mark.parametrize("name", FILES)
def test_every_span_of_a_captured_file_is_one_record_and_every_call_is_counted_once(name: str) -> None:
    spans, candidates, metered, tokens_in, tokens_out, calls, true_tokens_in = FILES[name]

    ledger, report = loaded(SAMPLES / name)

    (file,) = report.files
    assert (file["records"], file["accepted"], file["quarantined"], file["context"]) == (spans, spans, 0, 0)
    assert ledger.value("select count(*) from span") == spans
    query = "select count(*), count(*) filter (is_metered), sum(input_tokens), sum(output_tokens) from observation"
    assert ledger.rows(query) == [(candidates, metered, tokens_in, tokens_out)]
    matching.match(ledger)
    assert ledger.rows("select count(*), sum(input_tokens) from event") == [(calls, true_tokens_in)]


@pytest.mark.parametrize("name", FILES)
def test_a_file_loaded_twice_changes_nothing(name: str, tmp_path: Path) -> None:
    ledger, _ = loaded(SAMPLES / name)
    before = ledger.rows("select * exclude (file_id) from span order by all")
    again = tmp_path / "again.jsonl"
    again.write_bytes((SAMPLES / name).read_bytes() + b"\n")

    report = load(ledger, SAMPLES / name, again)

    assert [file["state"] for file in report.files] == ["already loaded", "loaded"]
    assert report.files[1]["duplicates"] == FILES[name][0]
    assert ledger.rows("select * exclude (file_id) from span order by all") == before


def respelled(value: Any, spell: Callable[[str, Any], tuple[str, Any]]) -> Any:
    """Write a document anew, key by key."""
    if isinstance(value, list):
        return [respelled(each, spell) for each in value]
    if isinstance(value, dict):
        return {key: respelled(each, spell) for key, each in (spell(*item) for item in value.items())}
    return value


def snake(key: str, value: Any) -> tuple[str, Any]:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key), value


def upper_case(key: str, value: Any) -> tuple[str, Any]:
    return key, value.upper() if key in ("traceId", "spanId", "parentSpanId") else value


def in_base64(key: str, value: Any) -> tuple[str, Any]:
    is_id = key in ("traceId", "spanId", "parentSpanId") and value
    return key, base64.b64encode(bytes.fromhex(value)).decode() if is_id else value


def with_0x(key: str, value: Any) -> tuple[str, Any]:
    return key, "0x" + value if key in ("traceId", "spanId", "parentSpanId") and value else value


def as_numbers(key: str, value: Any) -> tuple[str, Any]:
    return key, int(value) if key in ("intValue", "startTimeUnixNano", "endTimeUnixNano") else value


def null_filled(key: str, value: Any) -> tuple[str, Any]:
    members = dict.fromkeys(("stringValue", "boolValue", "doubleValue", "intValue", "arrayValue", "bytesValue"))
    return key, members | value if key == "value" and value and "kvlistValue" not in value else value


def old_scopes(key: str, value: Any) -> tuple[str, Any]:
    return {"scopeSpans": "instrumentationLibrarySpans", "scope": "instrumentationLibrary"}.get(key, key), value


def kinds_in_words(key: str, value: Any) -> tuple[str, Any]:
    words = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
    return key, f"SPAN_KIND_{words[value]}" if key == "kind" else value


SPELLINGS = [snake, upper_case, in_base64, with_0x, as_numbers, null_filled, old_scopes, kinds_in_words]
OTLP = [name for name in FILES if name.endswith(".otlp.jsonl")]


@pytest.mark.parametrize("spell", SPELLINGS, ids=lambda spell: spell.__name__)
def test_writers_that_spell_the_same_spans_differently_give_the_same_rows(
    spell: Callable[[str, Any], tuple[str, Any]],
) -> None:
    for name in OTLP:
        lines = (SAMPLES / name).read_text().splitlines()
        documents = [json.loads(line) for line in lines]

        plain, spelled = read(*documents), read(*(respelled(document, spell) for document in documents))

        assert spelled.rows == plain.rows, name
        assert spelled.faults == []


def test_one_pretty_printed_document_and_an_array_of_them_read_like_lines(tmp_path: Path) -> None:
    documents = [json.loads(line) for line in (SAMPLES / "logfire_5.2.0.otlp.jsonl").read_text().splitlines()]
    (tmp_path / "array.json").write_text(json.dumps(documents, indent=2))
    (tmp_path / "pretty.json").write_text("\n".join(json.dumps(document, indent=2) for document in documents))

    rows = "select * exclude (file_id, line) from observation order by all"
    expected = loaded(SAMPLES / "logfire_5.2.0.otlp.jsonl")[0].rows(rows)

    assert loaded(tmp_path / "array.json")[0].rows(rows) == expected
    assert loaded(tmp_path / "pretty.json")[0].rows(rows) == expected


def test_the_specification_s_own_examples_load() -> None:
    ledger, report = loaded(*(SAMPLES / f"otlp_spec_example_{signal}.json" for signal in ("trace", "logs", "metrics")))

    assert [(file["records"], file["accepted"], file["context"]) for file in report.files] == [
        (1, 1, 0),
        (1, 0, 1),
        (4, 0, 4),
    ]
    assert ledger.rows("select trace_id, span_id, parent_span_id, kind, service from span") == [
        (TRACE, SPAN, PARENT, "server", "my.service")
    ]


def test_codex_log_records_are_context() -> None:
    _, report = loaded(SAMPLES / "codex_0.169.0_otel_logs.otlp.jsonl")

    assert (report.files[0]["records"], report.files[0]["context"]) == (13, 13)


def printed(**fields: Any) -> dict[str, Any]:
    """Return a span as an SDK prints it."""
    return {
        "traceId": TRACE,
        "name": "chat gpt-5-mini",
        "attributes": CHAT,
        "resource": {"attributes": {"service.name": "worker", "team.id": "t-9"}},
        "status": {"code": 0},
    } | fields


PRINTED = [
    # Python
    {
        "context": {"trace_id": "0x" + TRACE, "span_id": "0x" + SPAN},
        "parent_id": "0x" + PARENT,
        "kind": "SpanKind.CLIENT",
        "start_time": "2026-11-23T14:57:13.453171Z",
        "end_time": "2026-11-23T14:57:13.516109Z",
    },
    # JavaScript, to the console
    {"id": SPAN, "parentId": PARENT, "kind": 2, "timestamp": 1795445833453171, "duration": 62938},
    # JavaScript, to files
    {
        "spanId": SPAN,
        "parentSpanContext": {"traceId": TRACE, "spanId": PARENT},
        "kind": 2,
        "startTime": [1795445833, 453171033],
        "endTime": [1795445833, 516109661],
        "instrumentationScope": {"name": "ai", "version": "7"},
    },
]


@pytest.mark.parametrize("fields", PRINTED)
def test_what_sdks_print_of_a_span_is_the_same_span(fields: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "printed.jsonl"
    path.write_text(json.dumps(printed(**fields)) + "\n" + json.dumps({"descriptor": {"name": "x"}, "dataPoints": []}))

    ledger, report = loaded(path)

    (file,) = report.files
    assert (file["source"], file["records"], file["accepted"], file["context"]) == ("otel_console", 2, 1, 1)
    query = """select trace_id, span_id, parent_span_id, kind, service, claimed_team, epoch_us(started_at),
        epoch_us(ended_at) from span"""
    assert ledger.rows(query) == [(TRACE, SPAN, PARENT, "client", "worker", "t-9", 1795445833453171, 1795445833516109)]
    assert ledger.value("select input_tokens from observation") == 1000


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"context": {"trace_id": "0x12", "span_id": SPAN}, "start_time": None}, "traceId"),
        ({"spanId": SPAN, "startTime": [1, 2, 3]}, "startTime"),
        ({"spanId": SPAN, "startTime": 5.5}, "startTime"),
        ({"spanId": SPAN, "startTime": None, "resource": 5}, "resource"),
    ],
)
def test_a_bad_printed_span_is_set_aside(fields: dict[str, Any], field: str) -> None:
    intake = Intake("otel_console")

    try:
        otel_console.read(json_decoded(printed(**fields)), 1, intake)
    except Unreadable as fault:
        intake.set_aside(1, fault)

    assert [fault["field"] for fault in intake.faults] == [field]


def test_a_trace_inside_one_more_object_is_read() -> None:
    intake = read({"trace": document_of(span_of())}, {"batches": document_of(span_of())["resourceSpans"]})

    assert (intake.records, len(intake.rows["span"])) == (2, 2)


# Ids and times.


def test_nanoseconds_are_cut_to_microseconds_through_integers() -> None:
    call = call_of()

    assert (call["started_at"], call["ended_at"]) == (1795445833453171, 1795445833516109)
    ledger, _ = loaded(SAMPLES / "codex_0.169.0_otel_spans_token_bearing.otlp.jsonl")
    assert ledger.value("select count(*) from span where started_at > $day", {"day": datetime(2026, 11, 23)}) == 10


@pytest.mark.parametrize("value", ["1e999999999", "-1e400", "NaN", "Infinity"])
def test_a_time_with_a_monstrous_exponent_is_refused_at_once(value: str) -> None:
    with pytest.raises(Unreadable, match="not_a_time"):
        epoch(Decimal(value), "time", 1_000_000_000)


@pytest.mark.parametrize("number", ["1e9999999", "-1e9999999", "1e-9999999"])
@pytest.mark.parametrize("key", ["gen_ai.usage.input_tokens", "gen_ai.usage.cost"])
def test_monstrous_numbers_never_stop_a_load(key: str, number: str, tmp_path: Path) -> None:
    line = json.dumps(document_of(span_of({key: 0.5}))).replace("0.5", number)
    path = tmp_path / "spans.jsonl"
    path.write_text(line + "\n")

    _, report = loaded(path)

    assert report.files[0]["records"] == report.files[0]["accepted"] + report.files[0]["quarantined"] == 1


@pytest.mark.parametrize("parent", [None, "", "0000000000000000", "AAAAAAAAAAA="])
def test_a_root_has_no_parent_however_it_says_so(parent: str | None) -> None:
    (span,) = read(document_of(span_of(parentSpanId=parent))).rows["span"]

    assert span["parent_span_id"] is None


@pytest.mark.parametrize(
    ("flags", "parent", "is_remote"),
    [
        (768, PARENT, True),
        (769, PARENT, True),
        (256, PARENT, False),
        (257, PARENT, False),
        (1, PARENT, None),
        (768, "", None),
    ],
)
def test_whether_the_parent_is_remote_is_said_only_when_known(flags: int, parent: str, is_remote: bool | None) -> None:
    (span,) = read(document_of(span_of(flags=flags, parentSpanId=parent))).rows["span"]

    assert span.get("parent_is_remote") is is_remote


def test_links_keep_both_ids() -> None:
    link = {"traceId": TRACE.upper(), "spanId": base64.b64encode(bytes.fromhex(PARENT)).decode(), "flags": 768}

    (span,) = read(document_of(span_of(links=[link, {"traceId": "0" * 32, "spanId": "0" * 16}]))).rows["span"]

    assert span["links"] == [{"trace_id": TRACE, "span_id": PARENT}]


# Bad spans.

BAD = [
    ({"traceId": "xyz"}, "traceId", "not_an_id"),
    ({"traceId": TRACE[:-1]}, "traceId", "not_an_id"),
    ({"traceId": "0" * 32}, "traceId", "no_id"),
    ({"spanId": ""}, "spanId", "no_id"),
    ({"spanId": 7}, "spanId", "not_an_id"),
    ({"parentSpanId": "gg"}, "parentSpanId", "not_an_id"),
    ({"startTimeUnixNano": "soon"}, "startTimeUnixNano", "not_a_time"),
    ({"startTimeUnixNano": "1795445833"}, "startTimeUnixNano", "not_a_time"),
    ({"endTimeUnixNano": -1}, "endTimeUnixNano", "not_a_time"),
    ({"endTimeUnixNano": 1e308}, "endTimeUnixNano", "not_a_time"),
    (
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1.5"}}]},
        "gen_ai.usage.input_tokens",
        "not_a_count",
    ),
    (
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"doubleValue": 1.5}}]},
        "gen_ai.usage.input_tokens",
        "not_a_count",
    ),
    (
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "-1"}}]},
        "gen_ai.usage.input_tokens",
        "negative",
    ),
    (
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(2**63)}}]},
        "gen_ai.usage.input_tokens",
        "above_limit",
    ),
    (
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"doubleValue": 1e308}}]},
        "gen_ai.usage.input_tokens",
        "not_a_count",
    ),
    (
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"boolValue": True}}]},
        "gen_ai.usage.input_tokens",
        "not_a_count",
    ),
    (
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"stringValue": "12"}}]},
        "gen_ai.usage.input_tokens",
        "not_a_count",
    ),
    ({"attributes": [{"key": "gen_ai.request.model", "value": {"intValue": 5}}]}, "gen_ai.request.model", "not_text"),
    (
        {"attributes": attributes_of(CHAT) + attributes_of(CHAT | {"gen_ai.usage.input_tokens": 7})},
        "gen_ai.usage.input_tokens",
        "duplicate_key",
    ),
    ({"attributes": {"a": 1}}, "attributes", "not_a_list"),
    ({"attributes": [{"key": 5, "value": {}}]}, "attributes", "not_an_attribute"),
    ({"attributes": [{"key": "owner_team", "value": "support"}]}, "owner_team", "not_a_value"),
    ({"attributes": [{"key": "owner_team", "value": {"teamValue": "support"}}]}, "owner_team", "not_a_value"),
    ({"attributes": [{"key": "owner_team", "value": {"arrayValue": {"values": True}}}]}, "owner_team", "not_a_list"),
    ({"links": "many"}, "links", "not_a_list"),
    ({"links": ["one"]}, "links", "not_an_object"),
    ({"status": "bad"}, "status", "not_an_object"),
    ({"name": ["x"]}, "name", "not_text"),
]


@pytest.mark.parametrize(("fields", "field", "reason"), BAD)
def test_a_bad_span_is_set_aside_alone_with_its_place_and_reason(
    fields: dict[str, Any], field: str, reason: str
) -> None:
    good, bad = span_of(spanId="1" * 16), span_of() | fields

    intake = read(document_of(), document_of(good, bad, good | {"spanId": "2" * 16}))

    assert [(fault["line"], fault["record"], fault["field"], fault["reason"]) for fault in intake.faults] == [
        (2, 1, field, reason)
    ]
    assert [span["span_id"] for span in intake.rows["span"]] == ["1" * 16, "2" * 16]
    assert intake.records == 3


def test_a_line_cut_off_and_a_bad_count_cost_themselves_only(tmp_path: Path) -> None:
    lines = [json.dumps(document_of(span_of(spanId=f"{n:016x}"))) for n in range(1, 6)]
    lines[2] = lines[2].replace('"1000"', '"1,000"')
    path = tmp_path / "cut.jsonl"
    path.write_text("\n\n".join(lines)[:-40])

    ledger, report = loaded(path)

    (file,) = report.files
    assert (file["records"], file["accepted"], file["quarantined"], file["is_complete"]) == (5, 3, 2, False)
    query = "select line, record, field, reason from quarantine order by line"
    assert ledger.rows(query) == [(5, 0, "gen_ai.usage.input_tokens", "not_a_count"), (9, None, None, "not_json")]


@pytest.mark.parametrize(
    "attributes",
    [
        [{"key": "gen_ai.input.messages", "value": "my secret"}, 5],
        [{"key": "gen_ai.input.messages", "text": "my secret"}, "my secret"],
        "my secret",
    ],
)
def test_a_fault_tells_its_kind_and_no_content(attributes: Any) -> None:
    (fault,) = read(document_of(span_of(attributes=attributes))).faults

    assert "secret" not in str(fault)


def test_a_double_that_holds_a_whole_number_counts() -> None:
    call = call_of({"gen_ai.usage.input_tokens": 1000.0})

    assert (call["input_tokens"], type(call["input_tokens"])) == (1000, int)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a document."""
    yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(each, (*path, key))


def spans_below(value: Any) -> int:
    if isinstance(value, list):
        return sum(spans_below(each) for each in value)
    if isinstance(value, dict):
        return 1 if "spanId" in value and "name" in value else sum(spans_below(each) for each in value.values())
    return 0


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


DAMAGED = ["litellm_proxy_otel.otlp.jsonl", "langfuse_sdk_5.0.4.otlp.jsonl", "genai_openai_anthropic_1.3b0.otlp.jsonl"]


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_whatever_stands_in_place_of_a_value_only_what_it_holds_for_is_lost(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(DAMAGED))
    document = json.loads((SAMPLES / name).read_text().splitlines()[0])
    path = data.draw(st.sampled_from([place for place in places(document) if len(place) > 1]))
    damaged = copy.deepcopy(document)
    at(damaged, path[:-1])[path[-1]] = data.draw(JSON)
    is_said_for_many = {"resource", "scope"} & set(path)
    holder = path[: 2 if "resource" in path else 4] if is_said_for_many else path[:6] if "spans" in path[:-1] else path

    intake = read(damaged)

    assert len(intake.rows["span"]) + intake.quarantined + intake.context == intake.records
    assert len(intake.rows["span"]) >= spans_below(document) - max(spans_below(at(document, holder)), 1)
    assert is_said_for_many or intake.records >= spans_below(document) - spans_below(at(document, holder))


def test_a_resource_that_cannot_be_read_costs_each_of_its_spans_a_record_and_no_other() -> None:
    broken, whole = document_of(span_of(), span_of(spanId=PARENT)), document_of(span_of(spanId="1" * 16))
    broken["resourceSpans"][0]["resource"] = "worker"
    broken["resourceSpans"] += whole["resourceSpans"]

    intake = read(broken)

    assert [(fault["record"], fault["field"]) for fault in intake.faults] == [(0, "resource"), (1, "resource")]
    assert [span["span_id"] for span in intake.rows["span"]] == ["1" * 16]


def test_a_line_of_another_layout_is_set_aside() -> None:
    intake = read(document_of(span_of()), {"model": "gpt-5-mini", "prompt_tokens": 5})

    assert [(fault["line"], fault["reason"]) for fault in intake.faults] == [(2, "not_otlp")]


def test_the_same_span_with_other_content_is_a_conflict_and_the_longest_is_kept_in_any_order(tmp_path: Path) -> None:
    short, long = span_of(), span_of({"gen_ai.usage.output_tokens": 150}, endTimeUnixNano="1795445839000000000")
    for name, order in (("a", (short, long)), ("b", (long, short))):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(document_of(span)) + "\n" for span in order))

        ledger, report = loaded(path)

        (file,) = report.files
        assert (file["records"], file["accepted"], file["conflicting"]) == (2, 1, 1)
        assert ledger.rows("select output_tokens from observation") == [(150,)]
        assert ledger.value("select count(*) from conflict") >= 1


# What is a call.


def test_a_successful_stream_without_usage_is_unmetered_and_not_zero() -> None:
    call = call_of({"gen_ai.request.stream": True}, without=("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"))

    assert (call["status"], call["is_metered"], call.get("input_tokens"), call["is_stream"]) == (
        "ok",
        False,
        None,
        True,
    )


def test_zero_tokens_in_and_out_say_that_the_writer_knew_none() -> None:
    call = call_of({"gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0})

    assert (call["is_metered"], call["usage_flags"]) == (False, ["input_tokens 0 and output_tokens 0"])


def test_a_failed_call_keeps_its_error_and_has_no_usage() -> None:
    ledger, _ = loaded(SAMPLES / "openinference_0.1.66.otlp.jsonl", SAMPLES / "openai_v2_2.4b0.otlp.jsonl")

    query = (
        "select status, error_type, requested_model, is_metered, input_tokens from observation where status = 'error'"
    )
    assert ledger.rows(f"{query} order by error_type") == [
        ("error", "<class 'openai.InternalServerError'>", "gpt-4.1-broken", False, None),
        ("error", "openai.InternalServerError", "gpt-4.1-broken", False, None),
    ]


NOT_CALLS = [
    *(
        (
            f"{operation} x",
            {"gen_ai.operation.name": operation, "gen_ai.usage.input_tokens": 5},
            f"aggregate: {operation}",
        )
        for operation in (
            "invoke_agent",
            "invoke_workflow",
            "handle_conversation_turn",
            "agent_step",
            "plan",
            "fetch_response",
            "execute_tool",
            "create_agent",
            "retrieval",
            "search_memory",
        )
    ),
    ("ai.generateText", {"ai.operationId": "ai.generateText", "ai.usage.inputTokens": 5}, "aggregate: ai.generateText"),
    ("ai.embedMany", {"ai.operationId": "ai.embedMany", "ai.usage.tokens": 5}, "aggregate: ai.embedMany"),
    ("ai.toolCall", {"ai.operationId": "ai.toolCall"}, "aggregate: ai.toolCall"),
    ("raw_gen_ai_request", {"llm.openai.usage": "{'prompt_tokens': 5}"}, "repeats the span above: raw_gen_ai_request"),
    ("AgentExecutor", {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 5}, "aggregate: AGENT"),
    ("run", {"langfuse.observation.type": "agent", "gen_ai.usage.input_tokens": 5}, "aggregate: agent"),
    ("x.workflow", {"traceloop.span.kind": "workflow", "gen_ai.usage.input_tokens": 5}, "aggregate: workflow"),
    ("agent run", {"gen_ai.aggregated_usage.input_tokens": 5}, "aggregate: sum of a run"),
    ("session_task.turn", {"codex.turn.token_usage.input_tokens": 5}, "aggregate: sum of a turn"),
    ("GET /", {"http.request.method": "GET"}, None),
]


@pytest.mark.parametrize(("name", "attributes", "reason"), NOT_CALLS)
def test_aggregates_replays_and_tools_are_hops_with_a_reason_and_never_calls(
    name: str, attributes: dict[str, Any], reason: str | None
) -> None:
    assert not_a_call(name, attributes) == reason


CALLS = [
    ({"gen_ai.operation.name": "acompletion"}, "chat"),
    ({"gen_ai.operation.name": "embeddings"}, "embeddings"),
    ({"gen_ai.operation.name": "generate_content"}, "generate_content"),
    ({"gen_ai.operation.name": "text_completion"}, "text_completion"),
    ({"llm.request.type": "embedding"}, "embeddings"),
    ({"gen_ai.usage.input_tokens": 5}, "chat"),
    ({"gen_ai.operation.name": "something_new", "gen_ai.usage.input_tokens": 5}, "something_new"),
    ({"openinference.span.kind": "LLM"}, "chat"),
    ({"openinference.span.kind": "EMBEDDING"}, "embeddings"),
    ({"langfuse.observation.type": "generation"}, "chat"),
    ({"ai.operationId": "ai.streamText.doStream"}, "chat"),
    ({"ai.operationId": "ai.embed.doEmbed"}, "embeddings"),
]


@pytest.mark.parametrize(("attributes", "operation"), CALLS)
def test_inference_is_a_call_whichever_dialect_says_so(attributes: dict[str, Any], operation: str) -> None:
    (call,) = read(document_of(span_of() | {"attributes": attributes_of(attributes)})).rows["observation"]

    assert call["operation"] == operation


# Usage.


def spelled(**slots: str) -> dict[str, Any]:
    counts = {"input": 1000, "output": 100, "read": 600, "write": 200, "reasoning": 40}
    return {key: counts[slot] for slot, key in slots.items()}


GENERATIONS = [
    spelled(
        input="gen_ai.usage.input_tokens",
        output="gen_ai.usage.output_tokens",
        read="gen_ai.usage.cache_read.input_tokens",
        write="gen_ai.usage.cache_write.input_tokens",
        reasoning="gen_ai.usage.reasoning.output_tokens",
    ),
    spelled(
        input="gen_ai.usage.prompt_tokens",
        output="gen_ai.usage.completion_tokens",
        read="gen_ai.usage.cache_read_input_tokens",
        write="gen_ai.usage.cache_creation.input_tokens",
        reasoning="gen_ai.usage.reasoning_tokens",
    ),
    spelled(
        input="llm.usage.prompt_tokens",
        output="llm.usage.completion_tokens",
        read="gen_ai.usage.details.cache_read_tokens",
        write="gen_ai.usage.details.cache_write_tokens",
        reasoning="gen_ai.usage.reasoning_output_tokens",
    ),
    spelled(
        input="llm.token_count.prompt",
        output="llm.token_count.completion",
        read="llm.token_count.prompt_details.cache_read",
        write="llm.token_count.prompt_details.cache_write",
        reasoning="llm.token_count.completion_details.reasoning",
    ),
    spelled(
        input="ai.usage.inputTokens",
        output="ai.usage.outputTokens",
        read="ai.usage.inputTokenDetails.cacheReadTokens",
        write="ai.usage.inputTokenDetails.cacheWriteTokens",
        reasoning="ai.usage.reasoningTokens",
    ),
    spelled(
        input="ai.usage.promptTokens",
        output="ai.usage.completionTokens",
        read="ai.usage.cachedInputTokens",
        write="gen_ai.usage.cache_write_input_tokens",
        reasoning="codex.usage.reasoning_output_tokens",
    ),
]


@pytest.mark.parametrize("attributes", GENERATIONS)
def test_every_generation_of_names_gives_the_same_inclusive_counts(attributes: dict[str, Any]) -> None:
    call = call_of(attributes, without=tuple(set(CHAT) - set(attributes) - {"gen_ai.operation.name"}))

    counts = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "reasoning_tokens")
    assert tuple(call[name] for name in counts) == (1000, 100, 600, 200, 40)
    assert call["usage_reading"] == "inclusive: OpenTelemetry convention"
    assert "usage_flags" not in call


def test_an_input_smaller_than_its_cache_leaves_the_cache_out() -> None:
    usage = {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.usage.input_tokens": 86,
        "gen_ai.usage.cache_read.input_tokens": 1920,
        "gen_ai.usage.cache_write.input_tokens": 512,
    }

    call = call_of(usage)

    assert (call["input_tokens"], call["usage_reading"]) == (2518, "exclusive: cache 2432 > input 86")
    assert "usage_flags" not in call


def test_the_same_from_a_provider_that_counts_inclusively_is_flagged_with_both_numbers() -> None:
    call = call_of({"gen_ai.usage.input_tokens": 86, "gen_ai.usage.cache_read.input_tokens": 1920})

    assert call["usage_flags"] == ["cache 1920 > input_tokens 86"]


def test_a_total_can_tell_that_the_cache_is_left_out() -> None:
    usage = {"gen_ai.usage.cache_read.input_tokens": 500, "gen_ai.usage.total_tokens": 1600}

    call = call_of(usage)

    assert (call["input_tokens"], call["usage_reading"]) == (1500, "exclusive: total 1600 = 1100 + cache 500")


def test_vercel_5_with_anthropic_leaves_the_cache_out_even_when_it_is_small() -> None:
    vercel = {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.provider": "anthropic.messages",
        "ai.usage.inputTokens": 86,
        "ai.usage.outputTokens": 300,
        "ai.usage.cachedInputTokens": 20,
        "ai.response.providerMetadata": '{"anthropic":{"cacheCreationInputTokens":12}}',
    }
    five = span_of() | {"attributes": attributes_of(vercel)}
    seven = span_of() | {"attributes": attributes_of(vercel | {"ai.usage.inputTokenDetails.noCacheTokens": 54})}

    (old,) = read(document_of(five, scope="ai")).rows["observation"]
    (new,) = read(document_of(seven, scope="ai")).rows["observation"]

    assert (old["input_tokens"], old["usage_reading"]) == (118, "exclusive: Vercel AI SDK 5 with Anthropic")
    assert (new["input_tokens"], new["usage_reading"]) == (86, "inclusive: OpenTelemetry convention")


def test_cache_writes_keep_the_life_that_the_native_sdk_tells() -> None:
    call = call_of(
        {
            "gen_ai.usage.cache_write.input_tokens": 512,
            "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 500,
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 12,
        }
    )

    assert (call["cache_write_5m_tokens"], call["cache_write_1h_tokens"]) == (500, 12)


VIOLATIONS = [
    ({"gen_ai.usage.total_tokens": 5}, "total_tokens 5 <> input_tokens 1000 + output_tokens 100"),
    ({"gen_ai.usage.reasoning.output_tokens": 101}, "reasoning_tokens 101 > output_tokens 100"),
    ({"gen_ai.usage.audio.input_tokens": 1001}, "input_audio_tokens 1001 > input_tokens 1000"),
    ({"gen_ai.usage.prompt_tokens": 7}, "input_tokens 1000 <> 7 (gen_ai.usage.prompt_tokens)"),
]


@pytest.mark.parametrize(("usage", "flag"), VIOLATIONS)
def test_counts_that_contradict_each_other_are_kept_and_flagged_with_both_numbers(
    usage: dict[str, Any], flag: str
) -> None:
    call = call_of(usage)

    assert call["usage_flags"] == [flag]
    assert (call["input_tokens"], call["output_tokens"]) == (1000, 100)


def test_logfire_gives_a_streamed_call_the_usage_of_its_log_record() -> None:
    ledger, _ = loaded(SAMPLES / "logfire_5.2.0.otlp.jsonl")

    query = "select span_id, is_stream, input_tokens, cache_read_tokens, reasoning_tokens, is_metered from observation"
    assert ledger.rows(f"{query} order by started_at") == [
        ("5133364171a45928", None, 2006, 1920, 192, True),
        ("d7a72cadcde5e254", True, 2006, 1920, 192, True),
    ]
    reasons = ledger.rows("select span_id, not_a_call from span where not_a_call is not null")
    assert reasons == [("a87f4b1262128d61", "usage of the streamed call d7a72cadcde5e254")]


def test_langfuse_spans_carry_provider_objects_or_buckets_apart() -> None:
    ledger, _ = loaded(SAMPLES / "langfuse_sdk_5.0.4.otlp.jsonl")

    query = """select model, input_tokens, cache_read_tokens, cache_write_5m_tokens, output_tokens, reasoning_tokens,
        source_cost, usage_reading from observation order by model"""
    assert ledger.rows(query) == [
        (
            "claude-sonnet-4-5-20250929",
            2518,
            1920,
            512,
            300,
            None,
            Decimal("0.007254000000"),
            "exclusive: Langfuse buckets are apart",
        ),
        ("gpt-5-mini", 2006, 1920, None, 300, 192, None, "inclusive: OpenTelemetry convention"),
    ]


def test_codex_calls_take_the_model_of_the_span_above() -> None:
    ledger, _ = loaded(SAMPLES / "codex_0.169.0_otel_spans_token_bearing.otlp.jsonl")

    assert ledger.rows("select model, input_tokens, cache_read_tokens, reasoning_tokens from observation") == [
        ("gpt-5-codex", 2006, 1920, 192)
    ]


def test_litellm_spans_give_the_gateway_s_call_and_the_details_of_its_usage_object() -> None:
    ledger, _ = loaded(SAMPLES / "litellm_proxy_otel.otlp.jsonl")

    query = """select role, provider, model, status, input_tokens, cache_read_tokens, cache_write_5m_tokens,
        source_cost, response_id is null, gateway_call_id = operation_key, api_key_id
        from observation order by started_at limit 3"""
    assert ledger.rows(query) == [
        (
            "gateway_log",
            "openai",
            "gpt-5-mini",
            "ok",
            2006,
            1920,
            None,
            Decimal("0.0006695"),
            False,
            True,
            "litellm_proxy_master_key",
        ),
        (
            "gateway_log",
            "openai",
            "gpt-4.1-broken",
            "error",
            None,
            None,
            None,
            None,
            True,
            True,
            "litellm_proxy_master_key",
        ),
        (
            "gateway_log",
            "anthropic",
            "claude-sonnet-4-5-20250929",
            "ok",
            2518,
            1920,
            512,
            Decimal("0.007254"),
            False,
            True,
            "litellm_proxy_master_key",
        ),
    ]


def test_reasoning_counted_beside_the_output_is_added_when_the_total_says_so() -> None:
    call = call_of({"gen_ai.usage.reasoning_tokens": 40, "gen_ai.usage.total_tokens": 1140})

    assert (call["output_tokens"], call["reasoning_tokens"]) == (140, 40)
    assert call["usage_reading"].endswith("; output exclusive: total 1140 counts reasoning 40 beside it")
    assert "usage_flags" not in call


def test_openlit_spans_give_their_cost_and_details() -> None:
    openlit = {
        "gen_ai.usage.total_tokens": 1100,
        "gen_ai.usage.cache_creation.input_tokens": 100,
        "gen_ai.usage.prompt_tokens_details.cached_tokens": 600,
        "gen_ai.usage.reasoning_tokens": 40,
        "gen_ai.usage.cost": 0.00125,
    }

    call = call_of(openlit, resource={"cost_center": "CC-7"}, scope="openlit.otel.tracing")

    counts = (
        "input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "reasoning_tokens",
        "source_cost",
        "claimed_team",
    )
    assert tuple(call[name] for name in counts) == (1000, 600, 100, 40, Decimal("0.00125"), "CC-7")


CLAUDE = {
    "model": "claude-sonnet-4-5-20250929",
    "input_tokens": 86,
    "output_tokens": 300,
    "cache_read_tokens": 20,
    "cache_creation_tokens": 12,
    "request_id": "req_1",
    "session.id": "s1",
}


def claude_log(name: str, **attributes: Any) -> dict[str, Any]:
    """Return a line of Claude Code's log export, which writes its numbers as text."""
    record = {
        "timeUnixNano": "1795445833453171033",
        "attributes": attributes_of(
            {"event.name": name} | {key: str(value) for key, value in (CLAUDE | attributes).items()}
        ),
    }
    resource = {"attributes": attributes_of({"service.name": "claude-code", "team.id": "t-9", "owner_team": "support"})}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {"name": "x"}, "logRecords": [record]}]}]}


def test_claude_code_s_span_and_log_event_tell_the_same_call() -> None:
    span = span_of(name="claude_code.llm_request") | {
        "attributes": attributes_of(CLAUDE | {"gen_ai.system": "anthropic", "gen_ai.response.id": "req_1"})
    }

    told = [read(document_of(span)).rows["observation"][0], read(claude_log("api_request")).rows["observation"][0]]

    for call in told:
        assert (call["input_tokens"], call["output_tokens"], call["provider"]) == (118, 300, "anthropic")
        assert (call["provider_request_id"], call.get("response_id")) == ("req_1", None)
        assert call["usage_reading"] == "exclusive: Claude Code"
    assert (told[1]["owner_team"], told[1]["claimed_team"]) == ("support", "t-9")


def test_claude_code_s_errors_are_failed_calls_and_its_other_events_are_context() -> None:
    error = claude_log("claude_code.api_error", status_code=529, duration_ms=1500, cost_usd="0.5")

    intake = read(error, claude_log("user_prompt"), claude_log("api_request", input_tokens="1.5"))

    (call,) = intake.rows["observation"]
    assert (call["status"], call["error_type"], call["ended_at"] - call["started_at"]) == ("error", "529", 1_500_000)
    assert (intake.records, intake.context) == (3, 1)
    assert [(fault["line"], fault["field"], fault["reason"]) for fault in intake.faults] == [
        (3, "input_tokens", "not_a_count")
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceLogs": ["x"]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": 5}]}]},
        {"resourceMetrics": [{"scopeMetrics": 5}]},
        {"resourceMetrics": [5]},
    ],
)
def test_broken_logs_and_metrics_cost_one_record(broken: dict[str, Any]) -> None:
    intake = read(broken | document_of(span_of()))

    assert (intake.records, intake.quarantined, len(intake.rows["span"])) == (2, 1, 1)


# Who answered.


def test_openinference_response_ids_come_from_the_answer_and_nothing_else_of_it() -> None:
    ledger, _ = loaded(SAMPLES / "openinference_0.1.66.otlp.jsonl")

    ids = ledger.rows(
        "select distinct split_part(response_id, '_', 1) from observation where operation = 'chat' order by all"
    )
    assert [row[0] for row in ids][-3:] == ["msg", "resp", None]
    assert ledger.value("select count(*) from observation where response_id like 'chatcmpl-%'") == 2
    dump = str(ledger.rows("select * from observation")) + str(ledger.rows("select * from span"))
    assert "Hi there!" not in dump
    assert "classify" not in dump.replace("auto-classify", "")


@pytest.mark.parametrize(
    ("named", "host", "provider", "region"),
    [
        ("openai", "my-res.openai.azure.com", "azure", None),
        ("openai", "bedrock-runtime.us-east-1.amazonaws.com", "aws", "us-east-1"),
        ("openai", "europe-west4-aiplatform.googleapis.com", "google", "europe-west4"),
        ("openai", "openrouter.ai", "openrouter", None),
        ("openai", "gateway.internal", "openai", None),
        ("az.ai.openai", "x", "azure", None),
        ("OpenAI", "x", "openai", None),
        ("vertex_ai", "x", "google", None),
        ("openai.responses", "x", "openai", None),
    ],
)
def test_the_host_says_who_bills_when_the_client_names_only_its_wire_format(
    named: str, host: str, provider: str, region: str | None
) -> None:
    call = call_of({"gen_ai.provider.name": named, "server.address": host})

    assert (call["provider"], call.get("region")) == (provider, region)


@pytest.mark.parametrize(
    ("key", "value", "tier"),
    [
        ("openai.response.service_tier", "default", "standard"),
        ("anthropic.response.service_tier", "batch", "batch"),
        ("gen_ai.openai.response.service_tier", "flex", "flex"),
        ("gen_ai.openai.request.service_tier", "priority", "priority"),
        ("openai.request.service_tier", "auto", None),
    ],
)
def test_service_tiers_of_every_spelling(key: str, value: str, tier: str | None) -> None:
    assert call_of({key: value})["service_tier"] == tier


# Ownership.

DIALECTS = [
    {"owner_team": "support"},
    {"traceloop.association.properties.owner_team": "support"},
    {"ai.telemetry.metadata.owner_team": "support"},
    {"langfuse.trace.metadata.owner_team": '"support"'},
    {"langfuse.observation.metadata.owner_team": "support"},
    {"metadata": '{"owner_team": "support"}'},
    {"metadata.requester_metadata": "{'owner_team': 'support', 'headers': {}}"},
    {"metadata.spend_logs_metadata": "{'owner_team': 'support'}"},
    {"metadata.requester_metadata": "{'tags': ['team:support', 'User-Agent: curl']}"},
    {"metadata.requester_metadata": "{'headers': {'baggage': 'feature=x,owner_team=support;p=1'}}"},
    {"tag.tags": ["team:support"]},
    {"langfuse.trace.tags": ["team=support"]},
]


@pytest.mark.parametrize("attributes", DIALECTS)
def test_a_team_counts_wherever_a_dialect_carries_it_on_the_span_and_the_call(attributes: dict[str, Any]) -> None:
    intake = read(document_of(span_of(attributes)))

    assert intake.rows["observation"][0]["owner_team"] == "support"
    assert intake.rows["span"][0]["owner_team"] == "support"


def test_names_of_the_contract_on_the_resource_hold_for_all_its_spans_and_the_span_s_own_word_wins() -> None:
    resource = {"owner_team": "platform", "feature": "search", "team.id": "t-9"}

    silent, loud = (
        read(document_of(span_of(own), resource=resource)).rows["observation"][0]
        for own in ({}, {"owner_team": "support"})
    )

    assert (silent["owner_team"], silent["feature"], silent["claimed_team"]) == ("platform", "search", "t-9")
    assert (loud["owner_team"], loud["feature"]) == ("support", "search")


@pytest.mark.parametrize("key", ["team.id", "department", "cost_center"])
def test_other_names_on_the_resource_are_a_claim_and_no_owner(key: str) -> None:
    call = call_of(resource={key: "support"})

    assert (call.get("owner_team"), call["claimed_team"]) == (None, "support")


def test_the_team_of_a_gateway_key_is_a_claim_and_no_owner() -> None:
    call = call_of({"metadata.user_api_key_team_alias": "platform", "metadata.user_api_key_team_id": ""})

    assert (call.get("owner_team"), call["claimed_team"]) == (None, "platform")


@pytest.mark.parametrize(
    ("attributes", "flags"),
    [
        ({"Owner_Team": "support"}, ["near_key:Owner_Team"]),
        ({"ownerTeam": "support"}, ["near_key:ownerTeam"]),
        ({"metadata": '{"OWNER_TEAM": "support"}'}, ["near_key:OWNER_TEAM"]),
        ({"owner_team": 5}, ["owner_team:not_text"]),
        ({"owner_team": ["a"]}, ["owner_team:not_text"]),
        ({"tag.tags": ["team:a", "team:b"]}, ["owner_team:two_values"]),
    ],
)
def test_ownership_that_cannot_be_taken_is_flagged_and_the_call_is_kept(
    attributes: dict[str, Any], flags: list[str]
) -> None:
    call = call_of(attributes)

    assert (call.get("owner_team"), call["ownership_flags"]) == (None, flags)
    assert call["input_tokens"] == 1000


def test_two_spellings_that_differ_are_flagged_and_the_direct_one_is_kept() -> None:
    call = call_of({"owner_team": "support", "traceloop.association.properties.owner_team": "billing"})

    assert (call["owner_team"], call["ownership_flags"]) == ("support", ["owner_team:two_values"])


def test_blank_owners_and_python_s_none_are_nothing() -> None:
    call = call_of({"owner_team": "  ", "metadata.requester_metadata": "{'owner_team': None}", "metadata": "None"})

    assert call.get("owner_team") is None
    assert "ownership_flags" not in call


def test_a_raw_user_id_is_hashed_with_a_key_and_dropped_without() -> None:
    span = document_of(span_of({"user.id": "jane.doe", "tenant_id_hash": "t_71b2"}))

    without, with_key = read(span).rows["observation"][0], read(span, hash_key=b"k").rows["observation"][0]

    assert (without.get("user_id_hash"), without["ownership_flags"]) == (None, ["user_id_hash:unhashed"])
    assert with_key["user_id_hash"].startswith("h_")
    assert with_key["tenant_id_hash"] == "t_71b2"


def test_an_e_mail_is_no_team_and_is_not_stored() -> None:
    call = call_of({"owner_team": "jane@corp.example"})

    assert call["ownership_flags"] == ["owner_team:personal_data:email"]
    assert "jane" not in str(call)


# Messages between services.


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"messaging.message.id": "m1", "messaging.system": "aws_sqs", "messaging.destination.name": "q"},
            ("m1", "aws_sqs", "q", None),
        ),
        (
            {"messaging.message_id": "m1", "messaging.destination": "celery", "celery.action": "run"},
            ("m1", "celery", "celery", None),
        ),
        ({"temporalRunID": "r1"}, (None, None, None, "temporal:r1")),
        ({"ray.task_id": "t1"}, (None, None, None, "ray:t1")),
        ({"bullmq.job.id": "7", "messaging.destination.name": "q"}, (None, None, "q", "bullmq:q/7")),
        (
            {
                "messaging.kafka.message.offset": 7,
                "messaging.destination.partition.id": "0",
                "messaging.destination.name": "t",
            },
            (None, None, "t", "kafka:t/0/7"),
        ),
    ],
)
def test_both_sides_of_a_queue_keep_the_ids_they_share(attributes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    (span,) = read(document_of(span_of(kind=5) | {"attributes": attributes_of(attributes)})).rows["span"]

    assert tuple(span.get(name) for name in ("message_id", "messaging_system", "destination", "job_key")) == expected


def test_a_captured_queue_keeps_its_link_and_message() -> None:
    ledger, _ = loaded(SAMPLES / "broken-hops" / "sqs_boto3sqs.otlp.jsonl")

    query = """select taken.message_id = sent.message_id, taken.links[1].span_id = sent.span_id
        from span as taken, span as sent where taken.name like '% process' and sent.name like '% send'"""
    assert ledger.rows(query) == [(True, True)]


# Literals.


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_python_literals_are_read_back_as_they_were_written(value: Any) -> None:
    assert literal(repr(value)) == value


@pytest.mark.parametrize(
    "text", ["", "{", "{'a'}", "[1,,2]", "__import__('os')", "'\\ud800'", "(" * 5000, "{1: 2} x", "{'a': open}"]
)
def test_what_is_no_literal_is_nothing(text: str) -> None:
    assert literal(text) is None
