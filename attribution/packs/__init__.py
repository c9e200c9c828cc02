"""Evidence packs: what one team needs to dispute or accept its largest charges, and nothing of another team."""

from __future__ import annotations

from attribution.packs.gathering import evidence_pack
from attribution.packs.pack import EvidencePack

__all__ = ["EvidencePack", "evidence_pack"]
