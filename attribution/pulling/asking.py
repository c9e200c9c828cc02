"""Asking an admin API for one page: the key in a header, patience with faults that pass, none with others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attribution.errors import PullError
from attribution.pulling.pages import Window
from attribution.pulling.providers import ANTHROPIC, OPENAI, Provider
from attribution.reading import mask

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 8
#: Seconds: between attempts of our own choice, and as a server may ask.
LONGEST_WAIT, LONGEST_TOLD = 120.0, 900.0

Sleep = Callable[[float], None]


def open_client(provider: Provider, key: str, base_url: str) -> httpx.Client:
    """Return a client that sends the key over https, or to this machine only."""
    try:
        import httpx
    except ImportError:
        raise PullError.no_extra("httpx") from None
    address = urlsplit(base_url)
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise PullError.not_private(base_url)
    if provider is ANTHROPIC:
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    else:
        headers = {"Authorization": f"Bearer {key}"}
    # A redirect would carry the key elsewhere; proxies of the environment are the user's own.
    return httpx.Client(base_url=base_url, headers=headers, timeout=60, follow_redirects=False)


def _parameters(window: Window, token: str | None) -> list[tuple[str, Any]]:
    endpoint = window.endpoint
    asked: list[tuple[str, Any]]
    if endpoint.name == "anthropic-claude_code":
        asked = [("starting_at", str(window.start))]
    elif endpoint.name.startswith("anthropic-"):
        asked = [("starting_at", f"{window.start}T00:00:00Z"), ("ending_at", f"{window.end}T00:00:00Z")]
        asked.append(("bucket_width", "1d"))
    else:
        edges = (datetime.combine(day, time(), UTC) for day in (window.start, window.end))
        asked = [(name, int(edge.timestamp())) for name, edge in zip(("start_time", "end_time"), edges, strict=True)]
        asked.append(("bucket_width", "1d"))
    asked += [("group_by[]", dimension) for dimension in endpoint.group_by]
    asked.append(("limit", endpoint.limit))
    return asked if token is None else [*asked, ("page", token)]


def shown(client: httpx.Client, window: Window) -> str:
    """Return the address of a report, for messages; it holds no key."""
    return str(client.base_url).rstrip("/") + window.endpoint.path


class TokenRefused(Exception):
    """The provider does not know the place any more where an earlier pull stopped."""


class _Again(Exception):
    """A fault that may pass: too many requests, a server's error, a broken connection."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def page(client: httpx.Client, window: Window, token: str | None, sleep: Sleep | None) -> bytes:
    """Return one page, after as many attempts as it takes within reason."""
    try:
        import tenacity
    except ImportError:
        raise PullError.no_extra("tenacity") from None
    growing = tenacity.wait_exponential(multiplier=1, max=LONGEST_WAIT)

    def wait(state: tenacity.RetryCallState) -> float:
        fault = state.outcome.exception() if state.outcome else None
        told = fault.wait if isinstance(fault, _Again) else None
        return growing(state) if told is None else min(told, LONGEST_TOLD)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=wait,
        retry=tenacity.retry_if_exception_type(_Again),
        reraise=True,
        **({} if sleep is None else {"sleep": sleep}),  # type: ignore[arg-type]
    )
    try:
        return retrying(_ask, client, window, token)
    except _Again as fault:
        raise PullError.failed(shown(client, window), f"{fault}, {ATTEMPTS} times") from None


def _ask(client: httpx.Client, window: Window, token: str | None) -> bytes:
    import httpx

    try:
        answer = client.get(window.endpoint.path, params=_parameters(window, token))
    except httpx.TransportError as error:
        raise _Again(f"the connection broke ({type(error).__name__})") from None
    if answer.status_code == 429 or answer.status_code >= 500:
        raise _Again(f"it answered {answer.status_code}", retry_after(answer.headers))
    if answer.status_code in (401, 403):
        variable = ANTHROPIC.key_variable if "x-api-key" in client.headers else OPENAI.key_variable
        raise PullError.refused(shown(client, window), answer.status_code, variable)
    if token is not None and answer.status_code in (400, 404, 410):
        raise TokenRefused(f"it answered {answer.status_code}: {mask(answer.text)}")
    if answer.status_code != 200:
        raise PullError.failed(shown(client, window), f"it answered {answer.status_code}: {mask(answer.text)}")
    try:
        told = json.loads(answer.content)
    except ValueError:
        raise _Again("it answered something else than JSON") from None
    if not isinstance(told, dict) or not isinstance(told.get("data"), list):
        raise _Again("its answer has no list of data")
    return answer.content


def retry_after(headers: Any) -> float | None:
    """Return the seconds that a server asks to wait: a number, or a date beside the server's own."""
    told = headers.get("retry-after")
    if told is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", told.strip()):
        return float(told)
    from email.utils import parsedate_to_datetime

    try:
        until, now = parsedate_to_datetime(told), parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max((until - now).total_seconds(), 0.0)
