"""Typed errors: whose fault it is, what is wrong, and what a technician should do."""

from __future__ import annotations

from enum import StrEnum


class Blame(StrEnum):
    """Who has to act."""

    OPERATOR = "operator"
    """Configuration, files or parts: someone at the machine can mend it."""
    DEVICE = "device"
    """A camera, PLC, disk or network does not do what it should."""
    BUNDLE = "bundle"
    """The model bundle is wrong: whoever made it has to act."""
    PRODUCT = "product"
    """A defect of ours: report it."""


class EdgeError(Exception):
    """Base of every error that this product raises on purpose.

    Args:
        what: what is wrong, naming the thing (file, key, address).
        action: what to do about it, as an instruction.
    """

    blame: Blame = Blame.PRODUCT

    def __init__(self, what: str, action: str) -> None:
        super().__init__(what)
        self.what = what
        self.action = action

    def diagnostics(self) -> str:
        """Two lines for a technician: what is wrong, and what to do."""
        return f"{self.what}\n  → {self.action}"


class ConfigError(EdgeError):
    """The configuration cannot be used."""

    blame = Blame.OPERATOR


class ImageError(EdgeError):
    """An image cannot be decoded faithfully (corrupt, truncated, unsupported)."""

    blame = Blame.DEVICE


class CameraError(EdgeError):
    """A frame source cannot deliver."""

    blame = Blame.DEVICE


class EngineError(EdgeError):
    """An inference engine is missing, cannot load a graph, or failed to run it."""

    blame = Blame.DEVICE


class BundleError(EdgeError):
    """A bundle is damaged, incomplete, or not meant for this device."""

    blame = Blame.BUNDLE


class UpdateError(EdgeError):
    """The store of releases cannot do what was asked: the state of a release forbids it, or its disk fails."""

    blame = Blame.OPERATOR


class Refusal(StrEnum):
    """Why a release is not trusted."""

    UNSIGNED = "unsigned"
    """Too few valid signatures by keys that this device trusts."""
    OLDER = "older"
    """Genuine, but older than what this device has already seen."""
    MIXED = "mixed"
    """Its parts are not of one release: swapped, altered or put together."""
    EXPIRED = "expired"
    """Its metadata ran out, or the clock is wrong."""
    DAMAGED = "damaged"
    """Its metadata is missing, too large or unreadable."""
    NOT_LISTED = "not_listed"
    """Signed metadata does not list a release for this product."""


class TrustError(BundleError):
    """A release is not trusted; `refusal` says why, for programs."""

    def __init__(self, refusal: Refusal, what: str, action: str) -> None:
        super().__init__(what, action)
        self.refusal = refusal


class LocalTrustError(EdgeError):
    """What this device itself trusts is missing or damaged: it accepts no release until that is mended."""

    blame = Blame.DEVICE


class PlcError(EdgeError):
    """The PLC, relay or GPIO line did not do what it was told."""

    blame = Blame.DEVICE


class BrokerError(EdgeError):
    """The MQTT broker cannot be reached or refuses us."""

    blame = Blame.DEVICE


class LedgerError(EdgeError):
    """The ledger cannot be opened or written."""

    blame = Blame.DEVICE


class LedgerFullError(LedgerError):
    """There is no room on the ledger's disk."""


class LedgerDamagedError(LedgerError):
    """The ledger's file is not what it was: it will not mend by itself."""
