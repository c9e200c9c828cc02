"""The sample company: three months of AI spend in every real format, with the truth beside it."""

from __future__ import annotations

from attribution.samples.writing import Sample, write_sample

__all__ = ["Sample", "write_sample"]
