"""The admin APIs that are pulled from: paths, dimensions, keys, and how much one page holds."""

from __future__ import annotations

from dataclasses import dataclass

from attribution.errors import QuestionError

#: Days that one window asks for: what the APIs give on one page of days.
WINDOW_DAYS = 31


@dataclass(frozen=True)
class Endpoint:
    """One paged report of a provider: its path, its dimensions, how it names days, and how many a page holds."""

    name: str
    path: str
    group_by: tuple[str, ...]
    limit: int
    days_per_window: int = WINDOW_DAYS


@dataclass(frozen=True)
class Provider:
    """A provider's admin API."""

    name: str
    base_url: str
    key_variable: str
    key_kind: str
    endpoints: tuple[Endpoint, ...]


_USER_DIMENSIONS = ("project_id", "user_id", "api_key_id", "model")
OPENAI = Provider(
    "openai",
    "https://api.openai.com/v1",
    "OPENAI_ADMIN_KEY",
    "sk-admin-…",
    (
        *(
            Endpoint(f"openai-usage-{kind}", f"/organization/usage/{path}", dimensions, 31)
            for kind, path, dimensions in (
                ("completions", "completions", (*_USER_DIMENSIONS, "batch", "service_tier")),
                ("embeddings", "embeddings", _USER_DIMENSIONS),
                ("moderations", "moderations", _USER_DIMENSIONS),
                ("images", "images", (*_USER_DIMENSIONS, "source", "size")),
                ("audio_speeches", "audio_speeches", _USER_DIMENSIONS),
                ("audio_transcriptions", "audio_transcriptions", _USER_DIMENSIONS),
                ("vector_stores", "vector_stores", ("project_id",)),
                ("code_interpreter_sessions", "code_interpreter_sessions", ("project_id",)),
                ("file_searches", "file_search_calls", ("project_id", "user_id", "api_key_id", "vector_store_id")),
                ("web_searches", "web_search_calls", (*_USER_DIMENSIONS, "context_level")),
            )
        ),
        Endpoint("openai-costs", "/organization/costs", ("project_id", "line_item", "api_key_id"), 31),
    ),
)
ANTHROPIC = Provider(
    "anthropic",
    "https://api.anthropic.com/v1",
    "ANTHROPIC_ADMIN_KEY",
    "sk-ant-admin01-…",
    (
        Endpoint(
            "anthropic-messages",
            "/organizations/usage_report/messages",
            ("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo"),
            31,
        ),
        Endpoint("anthropic-cost", "/organizations/cost_report", ("workspace_id", "description"), 31),
        # One day a call, and its limit counts rows.
        Endpoint("anthropic-claude_code", "/organizations/usage_report/claude_code", (), 1000, 1),
    ),
)
PROVIDERS = {provider.name: provider for provider in (OPENAI, ANTHROPIC)}


def named(name: str) -> Provider:
    """Return one provider by name, or raise an error that lists them."""
    if name not in PROVIDERS:
        raise QuestionError.bad_argument("provider", name, " or ".join(sorted(PROVIDERS)))
    return PROVIDERS[name]
