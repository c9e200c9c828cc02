"""Spans of a request: the root, the queue's two sides, the worker, and how each hop loses the owner."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from attribution.samples.company import Company, Workflow
from attribution.samples.page import PERSON, Page

Key = tuple[str, str, str]
APP = "app", "1.4.2"
CELERY = "opentelemetry.instrumentation.celery", "0.66b2"
BOTO3 = "opentelemetry.instrumentation.boto3sqs", "0.66b1"
BOTOCORE = "opentelemetry.instrumentation.botocore.sqs", "0.66b2"
KAFKA = "opentelemetry.instrumentation.kafka", "0.66b1"
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5


def attribute(key: str, value: str) -> str:
    """Return a text attribute."""
    return f'{{"key":"{key}","value":{{"stringValue":"{value}"}}}}'


def number(key: str, value: int) -> str:
    """Return an integer attribute; 64-bit integers are text in OTLP/JSON."""
    return f'{{"key":"{key}","value":{{"intValue":"{value}"}}}}'


def flag(key: str, value: bool) -> str:
    """Return a true-or-false attribute."""
    return f'{{"key":"{key}","value":{{"boolValue":{"true" if value else "false"}}}}}'


def span(
    trace: str,
    identity: str,
    parent: str,
    name: str,
    kind: int,
    started: int,
    ended: int,
    attributes: list[str],
    *,
    flags: int = 256,
    links: str = "",
    status: str = "{}",
) -> str:
    """Return one span as OTLP/JSON; times come in milliseconds."""
    above = f'"parentSpanId":"{parent}",' if parent else ""
    return (
        f'{{"traceId":"{trace}","spanId":"{identity}",{above}"flags":{flags},"name":"{name}","kind":{kind},'
        f'"startTimeUnixNano":"{started}000000","endTimeUnixNano":"{ended}000000","attributes":[{",".join(attributes)}]'
        f'{links},"status":{status}}}'
    )


def worker_of(workflow: Workflow, hop: str) -> str:
    """Return the service behind the queue: a broken worker is broken for all, its healthy successor is another."""
    is_replaced = workflow.hop in ("h1", "h2", "h3", "h4", "h9") and hop != workflow.hop
    return f"{workflow.worker}-next" if is_replaced else workflow.worker


class Dialect:
    """How each instrumentation writes the ownership contract."""

    @staticmethod
    def plain(page: Page, row: int) -> list[str]:
        """Copy baggage verbatim."""
        return [attribute(key, value) for key, value in _contract(page, row)]

    @staticmethod
    def associations(page: Page, row: int) -> list[str]:
        """Write OpenLLMetry's association properties."""
        names = {"workflow_id": "traceloop.workflow.name"}
        return [
            attribute(names.get(key, f"traceloop.association.properties.{key}"), value)
            for key, value in _contract(page, row)
        ]


def _contract(page: Page, row: int) -> Iterator[tuple[str, str]]:
    """Yield the ownership fields that the call's own span carries."""
    hop = page["hop_name"][row]
    if hop in ("h1", "h2", "h3", "h4", "h5", "h6", "h8", "h9", "h11"):
        return
    if page["declared"][row]:
        yield "owner_team", page["declared"][row]
    yield "workflow_id", page["workflow_id"][row]
    yield "feature", page["feature"][row]
    if page["tenant"][row]:
        yield "tenant_id_hash", page["tenant"][row]
    yield "user_id_hash", page["user"][row]


@dataclass(frozen=True)
class Root:
    """One request as its services saw it."""

    workflow: Workflow
    hop: str
    trace: str
    second: str
    root: str
    producer: str
    consumer: str
    receive: str
    message: str
    started: int
    ended: int
    sent: int
    worked: tuple[int, int]
    owner: list[str]
    is_sampled: bool
    usage: tuple[int, int]

    @staticmethod
    def of(page: Page, company: Company, request: int, rows: list[int], faults: Set[str]) -> Root:
        """Gather what the spans of one request need."""
        workflow = company.workflows[page["workflow"][rows[0]]]
        behind = [n for n in rows if page["is_async"][n]]
        began = min(page["op_started"][n] for n in rows)
        ended = max(page["ended"][n] for n in rows)
        sent = page["op_started"][behind[0]] - 12 if behind else began
        front = [page["ended"][n] for n in rows if not page["is_async"][n]]
        hops = [page["hop_name"][n] for n in rows if page["hop_name"][n]]
        return Root(
            workflow=workflow,
            hop=hops[0] if hops else "",
            trace=page["r_trace"][request],
            second=page["r_second_trace"][request],
            root=page["r_root"][request],
            producer=page["r_producer"][request] if behind else "",
            consumer=page["r_consumer"][request],
            receive=page["r_receive"][request],
            message=page["r_message"][request],
            started=began - 20,
            ended=max([*front, sent if behind else ended]) + 5,
            sent=sent,
            worked=(min(page["op_started"][n] for n in behind) - 3, ended + 2) if behind else (0, 0),
            owner=_root_owner(page, workflow, rows[0], hops[0] if hops else ""),
            usage=(sum(page["input"][n] for n in rows), sum(page["output"][n] for n in rows)),
            is_sampled=workflow.hop == "sampled" and "tail_sampling" in faults,
        )


def _root_owner(page: Page, workflow: Workflow, row: int, hop: str) -> list[str]:
    """Return the ownership attributes of the request's own span."""
    team = {"missing_team": None, "personal_data": PERSON, "misspelt": page["declared"][row]}.get(
        hop, page["request_team"][row]
    )
    if hop == "h11":
        return []
    names = {"owner_team": team, "workflow_id": page["request_workflow"][row], "feature": workflow.feature}
    if workflow.dialect == "openllmetry":
        prefix = "traceloop.association.properties."
        spelt = {"workflow_id": "traceloop.workflow.name"}
        return [attribute(spelt.get(k, prefix + k), v) for k, v in names.items() if v]
    return [attribute(k, v) for k, v in names.items() if v]


def request_spans(root: Root) -> Iterator[tuple[Key, str]]:
    """Yield the root span and, where work is queued, both sides of the queue."""
    flow = root.workflow
    if root.hop == "h11":
        yield (
            (flow.service, *APP),
            span(root.trace, root.root, "", f"cron {flow.workflow_id}", INTERNAL, root.started, root.ended, []),
        )
        return
    name, kind = f"POST /{flow.feature}", SERVER
    if flow.dialect == "openllmetry":
        name, kind = f"{flow.workflow_id}.workflow", INTERNAL if flow.hours == "night" else SERVER
    kept = [attribute("tailsampling.policy", "probabilistic-10")] if root.is_sampled else []
    yield (flow.service, *APP), span(root.trace, root.root, "", name, kind, root.started, root.ended, root.owner + kept)
    if flow.agent:
        yield (flow.service, *APP), _agent(root)
    if root.producer:
        yield from {"h3": _linked, "h4": _by_message}.get(root.hop, _queued)(root)


def _agent(root: Root) -> str:
    """Return the agent's own span: it repeats the sum of its calls' usage, and is no call itself."""
    name = root.workflow.workflow_id
    parts = [
        attribute("gen_ai.operation.name", "invoke_agent"),
        attribute("gen_ai.agent.name", name),
        *root.owner,
        number("gen_ai.usage.input_tokens", root.usage[0]),
        number("gen_ai.usage.output_tokens", root.usage[1]),
    ]
    return span(
        root.trace, root.consumer, root.root, f"invoke_agent {name}", INTERNAL, root.started + 5, root.ended - 2, parts
    )


def _queued(root: Root) -> Iterator[tuple[Key, str]]:
    """Yield a queue whose consumer is the producer's child, less what the broken hop leaves out."""
    flow, hop = root.workflow, root.hop
    scope = {"celery": CELERY, "sqs": BOTO3, "kafka": KAFKA}[flow.system]
    task = f"tasks.{flow.queue.replace('-', '_')}"
    sends, runs = (
        (f"apply_async/{task}", f"run/{task}")
        if flow.system == "celery"
        else (f"{flow.queue} send", f"{flow.queue} process")
    )
    carried = [
        attribute("messaging.message.id", root.message),
        attribute("messaging.destination_kind", "queue"),
        attribute("messaging.destination", flow.queue),
        attribute("messaging.system", flow.system),
    ]
    if hop != "h2":
        yield (
            (flow.service, *scope),
            span(root.trace, root.producer, root.root, sends, PRODUCER, root.sent, root.sent + 4, root.owner + carried),
        )
    begin, end = root.worked
    if hop == "h2":
        yield (worker_of(flow, hop), *scope), span(root.second, root.consumer, "", runs, CONSUMER, begin, end, carried)
    elif hop not in ("h1", "h8"):
        owner = [] if hop == "h9" else root.owner
        closes = begin + 1 if hop == "h9" else end
        yield (
            (worker_of(flow, hop), *scope),
            span(root.trace, root.consumer, root.producer, runs, CONSUMER, begin, closes, owner + carried, flags=768),
        )


def _linked(root: Root) -> Iterator[tuple[Key, str]]:
    """Yield H3: the consumer is a trace of its own that links to the producer."""
    flow = root.workflow
    carried = [
        attribute("messaging.system", "aws.sqs"),
        attribute("messaging.destination", flow.queue),
        attribute("messaging.message.id", root.message),
    ]
    begin, end = root.worked
    link = f',"links":[{{"traceId":"{root.trace}","spanId":"{root.producer}","attributes":[],"flags":768}}]'
    yield (
        (flow.service, *BOTO3),
        span(
            root.trace,
            root.producer,
            root.root,
            f"{flow.queue} send",
            PRODUCER,
            root.sent,
            root.sent + 4,
            root.owner + carried,
        ),
    )
    yield (
        (flow.worker, *BOTO3),
        span(root.second, root.receive, "", f"{flow.queue} receive", CONSUMER, begin - 3, begin - 1, carried[:2]),
    )
    yield (
        (flow.worker, *BOTO3),
        span(
            root.second, root.consumer, root.receive, f"{flow.queue} process", CONSUMER, begin, end, carried, links=link
        ),
    )


def _by_message(root: Root) -> Iterator[tuple[Key, str]]:
    """Yield H4: nothing is injected; the worker notes the message it handles, and only its id joins both sides."""
    flow = root.workflow
    carried = [
        attribute("rpc.system", "aws-api"),
        attribute("rpc.service", "SQS"),
        attribute("messaging.system", "aws.sqs"),
        attribute("messaging.destination", flow.queue),
        attribute("messaging.message.id", root.message),
    ]
    begin, end = root.worked
    yield (
        (flow.service, *BOTOCORE),
        span(
            root.trace,
            root.producer,
            root.root,
            "SQS.SendMessage",
            CLIENT,
            root.sent,
            root.sent + 4,
            root.owner + carried,
        ),
    )
    lone = root.second[16:] + root.second[:16]
    yield (
        (flow.worker, *BOTOCORE),
        span(lone, root.receive, "", "SQS.ReceiveMessage", CLIENT, begin - 4, begin - 1, carried),
    )
    yield (
        (flow.worker, *APP),
        span(root.second, root.consumer, "", f"{flow.queue} handle", INTERNAL, begin, end, carried[2:]),
    )
