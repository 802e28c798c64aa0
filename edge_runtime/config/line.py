"""The whole configuration of one line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from edge_runtime.config.base import Settings
from edge_runtime.config.camera import CameraSettings, SimulationSettings
from edge_runtime.config.combine import CombineSettings
from edge_runtime.config.engine import BundleSettings, EngineSettings
from edge_runtime.config.limits import LimitSettings
from edge_runtime.config.mqtt import MqttSettings
from edge_runtime.config.plc import NoPlcSettings, PlcLinkSettings, PlcSettings
from edge_runtime.config.products import ProductSettings
from edge_runtime.config.rollout import RolloutSettings
from edge_runtime.config.trial import TrialSettings
from edge_runtime.config.updates import UpdateSettings


class DeviceSettings(Settings):
    """`[device]`: who we are and where we keep our things."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        json_schema_extra={"form": "1 to 64 letters, digits, dots, dashes or underscores"},
    )
    """Device name in topics and records; unique in the plant."""
    state_dir: Path
    """Ledger, evidence images, releases and caches. Relative paths count from the configuration file."""
    hardware: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        json_schema_extra={"form": "1 to 64 letters, digits, dots, dashes or underscores"},
    )
    """What a signed release calls this kind of device, if it is for some kinds only. Unset: the processor's name as
    `uname -m` gives it, like `x86_64` or `aarch64`."""


class RejectSettings(Settings):
    """Where the gate is, seen from the trigger."""

    delay_ms: float | None = Field(default=None, gt=0)
    """Travel time from the trigger to the gate; set this or `encoder_ticks`."""
    encoder_ticks: int | None = Field(default=None, gt=0)
    """Travel from the trigger to the gate in ticks of the PLC's belt encoder; set this or `delay_ms`."""
    pulse_ms: float = Field(default=50.0, gt=0)
    """How long the ejector stays on, and how late it may still start."""
    window_ticks: int = Field(default=20, ge=1)
    """With `encoder_ticks`: how many ticks past the gate a command may still be carried out."""

    @model_validator(mode="after")
    def _one_measure(self) -> RejectSettings:
        if (self.delay_ms is None) == (self.encoder_ticks is None):
            message = "set either delay_ms or encoder_ticks"
            raise ValueError(message)
        return self


class RecipeSettings(Settings):
    """`[recipe]`: from score to gate."""

    name: str = "default"
    """Name of the recipe in records and messages."""
    limits: LimitSettings | None = None
    """Unset: the bundle's own."""
    on_review: Literal["eject", "pass"] = "eject"
    """What the gate does with REVIEW, except after a fault: then it always ejects."""
    fail_safe: Literal["REJECT", "REVIEW"] = "REJECT"
    """Disposition of faults and late verdicts; PASS is not on offer."""
    gate: Literal["auto", "permit", "fire"] = "auto"
    """`auto`: permit where the PLC has a handshake, else fire."""
    reject: RejectSettings = RejectSettings(delay_ms=800.0)
    """Where the gate is."""
    decision_deadline_ms: float = Field(default=500.0, gt=0)
    """From the trigger; a later verdict is DEADLINE_MISSED."""
    combine: CombineSettings | None = None
    """Several models for one part. Unset: the line's own alone."""


class LedgerSettings(Settings):
    """`[ledger]`: the durable record."""

    keep_rows: int = Field(default=1_000_000, ge=1_000)
    """Oldest delivered records beyond this are dropped."""
    keep_days: float | None = Field(default=None, gt=0)
    """Delivered records older than this are dropped. Unset: none for its age."""
    quota_mb: int = Field(default=2_000, ge=10)
    """Oldest delivered records are dropped beyond this size of the ledger. What is not delivered is never dropped."""
    reserve_mb: int = Field(default=32, ge=0, le=10_000)
    """Room on the disk that is kept for records when everything else has filled it; 0 keeps none."""
    group_commit_ms: float = Field(default=5.0, ge=0, le=1_000)
    """Verdicts that come within this time share one commit."""


class EvidenceSettings(Settings):
    """`[evidence]`: images of REVIEW and REJECT with their heatmap."""

    enabled: bool = True
    """Keep such images at all."""
    quota_mb: int = Field(default=1_000, ge=1)
    """Oldest first beyond this."""
    keep_free_mb: int = Field(default=64, ge=0)
    """Images make way, oldest first, until so much of the disk is free for the ledger and everything else."""
    quality: int = Field(default=85, ge=10, le=100)
    """JPEG quality."""
    max_side_px: int = Field(default=1_024, ge=64)
    """Longest side of the kept picture; frame and heatmap stand side by side in it, each in one half."""


class OpsSettings(Settings):
    """`[ops]`: running it."""

    metrics_port: int | None = Field(default=9_109, ge=0, le=65_535)
    """Prometheus, health and preview on 127.0.0.1; false switches them off; 0 takes any free port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages that are still logged."""
    drain_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """SIGTERM: parts in flight get their verdicts within this time."""
    memory_reserve_mb: int | None = Field(default=None, ge=0)
    """Less free memory than this is low: evidence is given up. Unset: a twentieth, 64 at least and 256 at most."""
    inspect_queue: int = Field(default=8, ge=1, le=1_000)
    """Parts that may wait for inspection; of no effect with `camera.overflow = "wait"`."""

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _false_is_off(cls, value: object) -> object:
        return None if value is False else value  # TOML has no null


class ChangeSettings(Settings):
    """`[change]`: who made this configuration what it is. Goes into the record when it comes into force."""

    by: str | None = Field(default=None, max_length=200)
    """Name of who changed it last. Unset: the file's owner."""
    why: str | None = Field(default=None, max_length=1_000)
    """Reason of the last change, or the number of the change request."""


class LineConfig(Settings):
    """One line: one camera, one bundle, one gate."""

    device: DeviceSettings
    bundle: BundleSettings
    camera: CameraSettings
    engine: EngineSettings = EngineSettings()
    recipe: RecipeSettings = RecipeSettings()
    plc: PlcSettings = NoPlcSettings(kind="none")
    plc_link: PlcLinkSettings = PlcLinkSettings()
    mqtt: MqttSettings = MqttSettings()
    ledger: LedgerSettings = LedgerSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    simulation: SimulationSettings = SimulationSettings()
    ops: OpsSettings = OpsSettings()
    updates: UpdateSettings = UpdateSettings()
    trial: TrialSettings = TrialSettings()
    rollout: RolloutSettings = RolloutSettings()
    products: ProductSettings | None = None
    change: ChangeSettings = ChangeSettings()
