"""What OpenAI's usage and cost pages share: the envelope of buckets, and what a null dimension means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, _bills


def prefix_score(sample: Sample, prefix: str, *, empty: int) -> int:
    """Tell how sure it is that the sample holds pages whose results are of this kind; `empty` is for empty pages."""
    found = 0
    for page in sample.documents:
        if page.get("object") not in ("page", "bucket"):
            continue
        kinds = [str(result.get("object")) for bucket in _shape(page) for result in _results_of(bucket)]
        if any(kind.startswith(prefix) for kind in kinds):
            return 97
        if not kinds:
            found = empty
    return found


def _shape(page: Document) -> list[Document]:
    buckets = [page] if page.get("object") == "bucket" else page.get("data")
    return [bucket for bucket in buckets if isinstance(bucket, dict)] if isinstance(buckets, list) else []


def _results_of(bucket: Document) -> list[Document]:
    """An early revision called the list `result`."""
    found = bucket.get("results", bucket.get("result"))
    return [result for result in found if isinstance(result, dict)] if isinstance(found, list) else []


def buckets(page: Document) -> Iterator[tuple[int, int, list[Any]]]:
    """Yield start, end [microseconds] and results of every bucket of a page."""
    found = [page] if page.get("object") == "bucket" else page.get("data")
    if not isinstance(found, list):
        raise Unreadable("not_a_list", "a list of buckets", type(found).__name__, "data")
    for bucket in found:
        if not isinstance(bucket, dict):
            raise Unreadable("not_an_object", "a bucket", type(bucket).__name__, "data")
        start = _bills.required(normalization.epoch(bucket.get("start_time"), "start_time", 1), "start_time")
        end = _bills.required(normalization.epoch(bucket.get("end_time"), "end_time", 1), "end_time")
        results = bucket.get("results", bucket.get("result"))
        if not isinstance(results, list):
            raise Unreadable("not_a_list", "a list of results", type(results).__name__, "results")
        yield start, end, results


def grouping(page: Document, dimensions: tuple[str, ...], intake: Intake) -> str:
    """Return the dimensions a page is grouped by: declared, or those that any of its results fills.

    The page does not repeat the request, and a dimension that was not asked for is null in every result.
    """
    declared = _bills.declared_grouping(intake)
    if declared is not None:
        return declared
    results = [result for bucket in _shape(page) for result in _results_of(bucket)]
    return ",".join(sorted(d for d in dimensions if any(result.get(d) is not None for result in results)))
