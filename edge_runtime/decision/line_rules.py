"""The table of reasons: how heavy each one is, how it comes and goes, what the line does and what a person does.

`docs/reliability.md` carries this table; a test keeps both equal. Worst first: where there is room for one reason only
(the PLC's status word), the first that holds is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.status import LineReason, Weight

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """What one reason means."""

    weight: Weight
    line_does: str
    """What happens to parts and records while it holds."""
    you_do: str
    """What mends it."""
    raise_after_ns: int = 0
    """It has to be seen for so long without a gap before it counts."""
    hold_ns: int = 0
    """It goes on counting for so long after it was seen last: a flapping cause must not make a flapping line."""
    latched: bool = False
    """It goes on counting until somebody acknowledges it."""


RULES: Final[Mapping[LineReason, Rule]] = {
    LineReason.STAGE_ENDED: Rule(
        Weight.FAULT,
        "Nothing is judged; every part gets the fail-safe, the watchdog starts the daemon anew",
        "Report it, with the log",
    ),
    LineReason.STAGE_HUNG: Rule(
        Weight.FAULT,
        "As `stage_ended`: capture or dispatch has finished nothing for 3 s",
        "Report it, with the log; a camera driver that hangs needs its device replugged",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.ENGINE_HUNG: Rule(
        Weight.FAULT,
        "Parts get the fail-safe (`deadline_missed`); after 10 s the watchdog starts the daemon anew",
        "If it comes back: another engine or device in `[engine]`, and look at the machine's temperature",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.ENGINE_FAILING: Rule(
        Weight.FAULT,
        "Parts get the fail-safe (`engine_error`, `score_invalid`); the engine is loaded anew, at most 3 times until a "
        "part is judged again",
        "Look at the log; acknowledge for 3 more attempts, or restart; else another engine or bundle",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.MODEL_SUSPENDED: Rule(
        Weight.FAULT,
        "No model may decide about these parts (the last one was rolled back and the good one is being loaded, or the "
        "product is unknown): every part gets the fail-safe",
        "The detail says which; `edge-runtime bundle list` shows what there is",
    ),
    LineReason.CAMERA_LOST: Rule(
        Weight.FAULT,
        "No frames: parts that the PLC counts get the fail-safe (`trigger_lost`); the camera is opened again for ever",
        "Power, cable, address; a share: is it mounted",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.CAMERA_FROZEN: Rule(
        Weight.FAULT,
        "Repeated pictures are no frames: the fail-safe (`camera_frozen`)",
        "Power-cycle the camera",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.NOTHING_JUDGED: Rule(
        Weight.FAULT,
        "5 parts in a row got no sound score, whatever the causes; ends with the next sound one, or 10 s after the "
        "last part, so that a line that the PLC holds gets another try",
        "The reasons beside it say why",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.EJECTOR_LOST: Rule(
        Weight.FAULT,
        "Gate mode `fire` without its relay, GPIO line or PLC: bad parts would pass, so the line is not ready",
        "Stop the belt; mend the link",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.REJECT_MISSED: Rule(
        Weight.DEGRADED,
        "Gate mode `fire`: the ejector could not be switched in time for a part; **it may have passed**",
        "Find the part (event `gate_deadline_missed` names it), then acknowledge",
        latched=True,
    ),
    LineReason.RECORDS_LOST: Rule(
        Weight.DEGRADED,
        "Records could not be kept, events first, then verdicts, which went to the gate all the same; they are counted "
        "(`edge_records_lost_total`)",
        "Free or mend the disk, note the gap in your own records, then acknowledge",
        latched=True,
    ),
    LineReason.PLC_LOST: Rule(
        Weight.DEGRADED,
        "Gate mode `permit`: parts are judged and recorded; without permits the gate rejects them all",
        "Cable, address, PLC in RUN",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.GATE_LATE: Rule(
        Weight.DEGRADED,
        "Gate mode `permit`: results were not acknowledged before the part was at the gate, which rejects those parts",
        "PLC scan time and `plc.timeout_ms`; a longer way from camera to gate",
        hold_ns=10 * SECOND_NS,
    ),
    LineReason.OVERLOAD: Rule(
        Weight.DEGRADED,
        "The newest parts are inspected, the others get the fail-safe at once (`overload`)",
        "A slower belt, a faster bundle or a faster device",
        hold_ns=10 * SECOND_NS,
    ),
    LineReason.TOO_SLOW: Rule(
        Weight.DEGRADED,
        "Inspections end after the deadline: those parts get the fail-safe (`deadline_missed`)",
        "What else runs on this machine; `recipe.decision_deadline_ms`; a faster bundle",
        hold_ns=10 * SECOND_NS,
    ),
    LineReason.CAMERA_HALF_FRAMES: Rule(
        Weight.DEGRADED,
        "Cut, corrupt or unexpected images get the fail-safe (`image_corrupt`, `image_unexpected`)",
        "Cable and bandwidth of the camera; the size that the bundle was taught with",
        hold_ns=10 * SECOND_NS,
    ),
    LineReason.FRAMES_MISSING: Rule(
        Weight.DEGRADED,
        "Parts that the PLC counted brought no frame and get the fail-safe (`trigger_lost`)",
        "The trigger cable, the exposure time, `plc_link.trigger_timeout_ms`",
        hold_ns=10 * SECOND_NS,
    ),
    LineReason.LEDGER_DAMAGED: Rule(
        Weight.DEGRADED,
        "Parts are judged and rejected as ever; the file is set aside and a new ledger begun, whose numbers go on; "
        "until then records wait in memory (20,000), then they are lost. A file that was deleted, moved or replaced: "
        "records still go into it and are sent",
        "Keep the file that was set aside; look at the disk. Moved: the same file back, before any restart. Deleted: "
        "restart once the backlog is 0",
    ),
    LineReason.LEDGER_FULL: Rule(
        Weight.DEGRADED,
        "As `ledger_damaged`; evidence images have gone first",
        "Free space on that disk; recording goes on by itself",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.LEDGER_REFUSING: Rule(
        Weight.DEGRADED,
        "As `ledger_damaged`: the disk cannot be written (read-only, gone, no permission)",
        "Mount and permissions of `device.state_dir`; recording goes on by itself",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.LEDGER_SLOW: Rule(
        Weight.DEGRADED,
        "Verdicts wait for the disk longer than it is good for a power cut; no reject waits",
        "Another disk or SD card; what else writes to it",
        raise_after_ns=1 * SECOND_NS,
        hold_ns=5 * SECOND_NS,
    ),
    LineReason.STAGE_STALLED: Rule(
        Weight.DEGRADED,
        "A stage beside the deadline path has finished nothing for 3 s: its work waits, parts are judged",
        "The detail names it: PLC link, evidence or publisher",
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.BROKER_DOWN: Rule(
        Weight.DEGRADED,
        "Records are committed and wait; they are sent when the broker is back",
        "The detail says whether it is the network, the name, the certificate or the password",
        raise_after_ns=2 * SECOND_NS,
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.BROKER_REFUSING: Rule(
        Weight.DEGRADED,
        "The broker is there and refuses records (access rules, quota): they wait and are offered again",
        "The broker's access rules and quota for this device",
        hold_ns=5 * SECOND_NS,
    ),
    LineReason.EVIDENCE_FULL: Rule(
        Weight.DEGRADED,
        "Evidence images are not kept; verdicts are",
        "Free space, or a lower `evidence.quota_mb`",
        hold_ns=5 * SECOND_NS,
    ),
    LineReason.MEMORY_LOW: Rule(
        Weight.DEGRADED,
        "Evidence images and heatmaps are given up first; parts are judged",
        "What else runs on this machine; a smaller bundle; a higher `MemoryMax=`",
        raise_after_ns=1 * SECOND_NS,
        hold_ns=10 * SECOND_NS,
    ),
    LineReason.CLOCK_UNSET: Rule(
        Weight.DEGRADED,
        "Records carry a time before this version was made; their order and every deadline are right all the same. TLS "
        "to the broker may fail",
        "Time synchronisation, or a clock with a battery",
    ),
    LineReason.CLOCK_JUMPED: Rule(
        Weight.DEGRADED,
        "Times in records before and after do not fit together (event `clock_jumped` says by how much); nothing else",
        "Time synchronisation; goes away after a minute",
        hold_ns=60 * SECOND_NS,
    ),
    LineReason.CONFIG_REFUSED: Rule(
        Weight.DEGRADED,
        "A configuration was to be loaded and is not sound: the last good one stays in force",
        "`edge-runtime check FILE`, mend it, reload",
    ),
    LineReason.UPDATE_REFUSED: Rule(
        Weight.NOTICE,
        "A release that came by stick or over the network was refused or did not work: the line goes on with the model "
        "it had. Goes away after 5 minutes",
        "The detail says why; all of it: `edge-runtime updates show`, or `report.txt` on the stick",
        hold_ns=300 * SECOND_NS,
    ),
    LineReason.UPDATE_TAKEN: Rule(
        Weight.NOTICE,
        "A release was taken into the store; the line takes it up between two frames. Goes away after a minute",
        "Nothing",
        hold_ns=60 * SECOND_NS,
    ),
    LineReason.UPDATE_RUNNING: Rule(
        Weight.NOTICE,
        "A release is being brought in by another process; the line is not touched",
        "Wait; leave the stick where it is",
        hold_ns=1 * SECOND_NS,
    ),
    LineReason.RELEASES_UNAVAILABLE: Rule(
        Weight.DEGRADED,
        "The store of releases cannot be read or written: the running model goes on, nothing is taken up or confirmed",
        "Free space and permissions of `device.state_dir`; `edge-runtime bundle list` says what is wrong",
        raise_after_ns=1 * SECOND_NS,
        hold_ns=2 * SECOND_NS,
    ),
    LineReason.MODEL_ON_TRIAL: Rule(
        Weight.NOTICE,
        "A new release decides; it is confirmed or rolled back by the rules of `[trial]`",
        "Nothing; `edge-runtime bundle rollback` takes it back by hand",
    ),
    LineReason.TRUST_DEVELOPMENT: Rule(
        Weight.NOTICE,
        "The model is not signed for production",
        'A signed bundle with `bundle.trust = "production"`',
    ),
}

RANK: Final[Mapping[LineReason, int]] = {
    reason: place
    for place, reason in enumerate(
        sorted(RULES, key=lambda reason: (-RULES[reason].weight, list(LineReason).index(reason)))
    )
}
"""Place in the order of severity, 0 for the worst."""
