"""Amazon Bedrock: model invocation logs, gzipped, in the layout of the S3 delivery."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attribution.samples.company import Company
from attribution.samples.exports.times import iso_seconds
from attribution.samples.files import Folder
from attribution.samples.page import Page
from attribution.samples.traffic import FAILED

ACCOUNT, REGION = "402117330985", "us-east-1"


def write_invocations(page: Page, company: Company, folder: Folder) -> None:
    """Write one delivered object with the records of one part."""
    rows = np.flatnonzero(page.calls["in_bedrock"]).tolist()
    day = page.part.day
    name = f"{day:%Y%m%d}T2359{page.part.number % 60:02d}000Z_{page.part.number:08x}.json.gz"
    prefix = f"data/bedrock/AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs/{REGION}/{day:%Y/%m/%d}/23/"
    folder.gzip(prefix + name, _records(page, company, rows))


def _records(page: Page, company: Company, rows: list[int]) -> Iterator[str]:
    for row in rows:
        deployment = company.deployments[page["deployment"][row]]
        head = (
            f'{{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":"{iso_seconds(page["started"][row])}",'
            f'"accountId":"{ACCOUNT}","region":"{REGION}","requestId":"{page["provider_request_id"][row]}",'
            f'"operation":"{"ConverseStream" if page["stream"][row] else "Converse"}","modelId":"{deployment.model}",'
        )
        if deployment.model.startswith("us."):
            head += '"inferenceRegion":"us-west-2",'
        who = f'"identity":{{"arn":"{deployment.upstream_key}"}},'
        if page["status"][row] == FAILED:
            yield (head + f'"errorCode":"ThrottlingException",{who}"input":{{"inputContentType":"application/json"}}}}')
            continue
        read, short, long = (page[name][row] for name in ("cache_read", "cache_write_5m", "cache_write_1h"))
        fresh = page["input"][row] - read - short - long
        caching = ""
        if read or short or long:
            caching = f',"cacheReadInputTokenCount":{read},"cacheWriteInputTokenCount":{short + long}'
        yield (
            f'{head}{who}"input":{{"inputContentType":"application/json","inputTokenCount":{fresh}{caching}}},'
            f'"output":{{"outputContentType":"application/json","outputTokenCount":{page["output"][row]}'
            f"{_body(fresh, page['output'][row], read, short, long)}}}}}"
        )


def _body(fresh: int, output: int, read: int, short: int, long: int) -> str:
    """Return the part of the answer's body that tells the two lives of cache writes apart."""
    if not long:
        return ""
    details = ",".join(f'{{"ttl":"{ttl}","inputTokens":{n}}}' for ttl, n in (("5m", short), ("1h", long)) if n)
    return (
        f',"outputBodyJson":{{"usage":{{"inputTokens":{fresh},"outputTokens":{output},'
        f'"totalTokens":{fresh + output + read + short + long},"cacheReadInputTokens":{read},'
        f'"cacheWriteInputTokens":{short + long},"cacheDetails":[{details}]}}}}'
    )
