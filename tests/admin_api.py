"""A server on this machine that answers as the documented admin APIs do, faults included."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "sk-admin-test"
#: Path of an OpenAI usage report → what its results are called.
_KINDS = {"file_search_calls": "file_searches", "web_search_calls": "web_searches"}


@dataclass
class Api:
    """What the server knows, what it will do wrong next, and what it was asked."""

    per_page: int = 2
    #: Answers given before any right one, by path: (status, headers, body).
    faults: dict[str, list[tuple[int, dict[str, str], bytes]]] = field(default_factory=dict)
    #: Amount of every day, which later days may revise.
    amount: str = "1.00"
    asked: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    refused_tokens: set[str] = field(default_factory=set)
    url: str = ""

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [path for path, _, _ in self.asked]


class _Server(ThreadingHTTPServer):
    """A server that does not look its own name up."""

    def server_bind(self) -> None:
        """Bind without the reverse lookup that the standard one makes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


@contextmanager
def serving(**settings: Any) -> Iterator[Api]:
    """Serve on a free port of this machine while the block runs."""
    api = Api(**settings)
    server = _Server(("127.0.0.1", 0), _handler(api))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query: dict[str, Any] = {}
            for name, value in parse_qsl(parts.query):
                query[name] = [*query.get(name, []), value] if name.endswith("[]") else value
            path = parts.path.removeprefix("/v1")
            key = self.headers.get("x-api-key") or (self.headers.get("authorization") or "").removeprefix("Bearer ")
            api.asked.append((path, query, key))
            if faults := api.faults.get(path) or api.faults.get("*"):
                self._send(*faults.pop(0))
            elif key != KEY:
                self._send(401, {}, b'{"error": {"message": "Incorrect API key provided"}}')
            elif query.get("page") in api.refused_tokens:
                self._send(400, {}, b'{"error": {"message": "page token expired"}}')
            else:
                self._send(200, {}, json.dumps(_page(api, path, query), separators=(",", ":")).encode())

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "content-length" not in headers:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler


def _page(api: Api, path: str, query: dict[str, Any]) -> dict[str, Any]:
    """Return one page of as many buckets as a page holds; the token says where the next one begins."""
    if path.endswith("/claude_code"):
        return {"data": [], "has_more": False, "next_page": None}
    days = list(_days(path, query))
    first = int(query.get("page", "page_0").removeprefix("page_"))
    size = min(api.per_page, int(query["limit"]))
    shown = days[first : first + size]
    has_more = first + size < len(days)
    page = {
        "data": [_bucket(api, path, day) for day in shown],
        "has_more": has_more,
        "next_page": f"page_{first + size}" if has_more else None,
    }
    return page if "/organizations/" in path else {"object": "page", **page}


def _days(path: str, query: dict[str, Any]) -> Iterator[datetime]:
    if "/organizations/" in path:
        start, end = (datetime.fromisoformat(query[name]) for name in ("starting_at", "ending_at"))
    else:
        start, end = (datetime.fromtimestamp(int(query[name]), UTC) for name in ("start_time", "end_time"))
    while start < end:
        yield start
        start += timedelta(days=1)


def _bucket(api: Api, path: str, day: datetime) -> dict[str, Any]:
    following = day + timedelta(days=1)
    if "/organizations/" in path:
        edges = {"starting_at": f"{day:%Y-%m-%dT%H:%M:%SZ}", "ending_at": f"{following:%Y-%m-%dT%H:%M:%SZ}"}
        return {**edges, "results": [_anthropic(api, path)]}
    edges = {"start_time": int(day.timestamp()), "end_time": int(following.timestamp())}  # type: ignore[dict-item]
    return {"object": "bucket", **edges, "results": _openai(api, path)}


def _openai(api: Api, path: str) -> list[dict[str, Any]]:
    if path.endswith("/costs"):
        amount = {"value": api.amount, "currency": "usd"}
        return [{"object": "organization.costs.result", "amount": amount, "line_item": "gpt-5-mini, input",
                 "project_id": "proj_a", "api_key_id": None, "quantity": None}]  # fmt: skip
    kind = path.rsplit("/", 1)[1]
    if kind != "completions":
        return []
    return [{"object": f"organization.usage.{_KINDS.get(kind, kind)}.result", "input_tokens": 100, "output_tokens": 10,
             "input_cached_tokens": 0, "num_model_requests": 1, "project_id": "proj_a", "user_id": None,
             "api_key_id": None, "model": "gpt-5-mini", "batch": False, "service_tier": "default"}]  # fmt: skip


def _anthropic(api: Api, path: str) -> dict[str, Any]:
    if path.endswith("/cost_report"):
        return {"amount": api.amount, "currency": "USD", "cost_type": "tokens", "token_type": "output_tokens",
                "model": "claude-sonnet-4-6", "description": "Output", "workspace_id": None}  # fmt: skip
    writes = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    return {"uncached_input_tokens": 5, "cache_creation": writes,
            "cache_read_input_tokens": 0, "output_tokens": 1, "server_tool_use": {"web_search_requests": 0},
            "api_key_id": None, "workspace_id": None, "model": "claude-sonnet-4-6"}  # fmt: skip
