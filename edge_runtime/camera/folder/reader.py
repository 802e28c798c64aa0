"""The reader thread: from notices and scans to files read, decoded and waiting for delivery."""

from __future__ import annotations

import logging
import math
import queue
import threading
from typing import TYPE_CHECKING

from edge_runtime.camera.folder.intake import OPEN_WRITE_PATIENCE_NS, Intake
from edge_runtime.camera.folder.pickup import Content, Loaded, decode_content, part_id_for, read_content
from edge_runtime.camera.folder.survey import Survey
from edge_runtime.camera.folder.watcher import Notices
from edge_runtime.config.camera import AfterInspection
from edge_runtime.domain.errors import LedgerError
from edge_runtime.ops.threads import of_this_line

if TYPE_CHECKING:
    from edge_runtime.camera.folder.disposal import Disposal
    from edge_runtime.camera.folder.health import FolderHealth
    from edge_runtime.camera.folder.scanner import Entry, FolderScanner
    from edge_runtime.config.camera import FolderCameraSettings
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.records import SeenFiles
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)

READ_AHEAD = 2
"""Decoded frames that may wait in memory."""

STALL_NS = 10_000_000_000
"""A reader that shows no progress for so long hangs in the file system (a dead network share)."""

_RETRY_NS = 1_000_000_000
_LONGEST_WAIT_NS = 1_000_000_000
_PUT_TIMEOUT_S = 0.1
_JOIN_TIMEOUT_S = 5.0


class FolderReader:
    """Finds, reads and decodes files ahead of the line. `start` and `close` once each; `take` by one thread."""

    def __init__(
        self,
        settings: FolderCameraSettings,
        clock: Clock,
        seen: SeenFiles,
        scanner: FolderScanner,
        disposal: Disposal,
        health: FolderHealth,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._seen = seen
        self._scanner = scanner
        self._disposal = disposal
        self._health = health
        self._stable_ns = settings.poll_interval_ms * 1_000_000
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._notices = Notices(self._wake)
        self._intake = Intake(self._stable_ns)
        self._survey = Survey(settings, clock, scanner, self._intake, self._notices, health)
        self._backlog_ns = math.inf
        """When all that the first scan found has rested: taken together, it comes in order."""
        self._suspects: dict[str, tuple[Entry, int]] = {}
        self._unreadable: set[str] = set()
        self._outbox: queue.Queue[Loaded] = queue.Queue(READ_AHEAD)
        self._thread = threading.Thread(target=self._run, name=of_this_line(f"folder-{settings.name}"), daemon=True)
        self._beat_ns = clock.monotonic_ns()

    def start(self) -> None:
        """Watch and read from now on.

        Raises:
            OSError: the folder cannot be read.
        """
        self._survey.start()
        self._thread.start()

    def take(self, timeout_s: float) -> Loaded | None:
        """The next file; None if none came in time."""
        try:
            return self._outbox.get(timeout=max(timeout_s, 0.0))
        except queue.Empty:
            return None

    def trouble(self) -> str:
        """What is wrong with the thread itself; empty while it works."""
        if not self._thread.is_alive():
            return "" if self._stop.is_set() else "the reader ended unexpectedly: see the log, restart the service"
        if self._clock.monotonic_ns() - self._beat_ns > STALL_NS:
            return f"the file system under {self._scanner.root} does not answer: check the network share"
        return ""

    def close(self) -> None:
        """End the thread; one that hangs in a dead network share is left behind after a while."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_TIMEOUT_S)
        if self._thread.is_alive():
            _log.error("%s: the reader hangs in the file system and is left behind", self._settings.name)
        self._survey.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            self._beat_ns = now_ns = self._clock.monotonic_ns()
            self._collect_notices(now_ns)
            if self._survey.advance(now_ns):
                self._forget_vanished()
                self._backlog_ns = min(self._backlog_ns, now_ns + self._stable_ns)
            if not self._survey.is_busy() and now_ns >= self._mature_ns():
                self._intake.mature(now_ns, self._scanner.look)
            entry = self._intake.take()
            if entry is not None:
                self._pick_up(entry)
            elif not self._survey.is_busy():
                due_ns = min(self._survey.due_ns, self._mature_ns(), now_ns + _LONGEST_WAIT_NS)
                self._clock.wait(self._wake, int(due_ns) - self._clock.monotonic_ns())

    def _mature_ns(self) -> float:
        """When files that rested are next looked at."""
        return max(self._backlog_ns, self._intake.next_due_ns())

    def _collect_notices(self, now_ns: int) -> None:
        batch = self._notices.collect()
        if batch.overflows:
            _log.warning("%s: the kernel's event queue overflowed: scanning the folder", self._settings.name)
        if batch.rescan:
            self._survey.want(rebuild=batch.rebuild)
        for path in batch.created:
            if (entry := self._scanner.look(path)) is not None:
                # A name that the kernel saw created is being written until it says closed; a link never is.
                patience_ns = None if self._scanner.is_link(path) else OPEN_WRITE_PATIENCE_NS
                self._intake.sight(entry, now_ns, patience_ns)
        for path in batch.complete:
            if (entry := self._scanner.look(path)) is not None:
                self._intake.complete(entry)

    def _pick_up(self, entry: Entry) -> None:
        content = self._read(entry)
        if content is None or not self._is_new(entry, content):
            return
        exposure, fault = decode_content(content)
        if exposure is None and self._may_still_grow(entry):
            return
        self._suspects.pop(entry.path, None)
        self._deliver(entry, content, exposure, fault)

    def _read(self, entry: Entry) -> Content | None:
        try:
            content = read_content(self._scanner.root, entry)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unreadable.add(entry.path)
            self._report_unreadable(f"{entry.path!r}: {error.strerror}")
            self._intake.sight(entry, self._clock.monotonic_ns(), self._settings.rescan_interval_ms * 1_000_000)
            return None
        if entry.path in self._unreadable:
            self._unreadable.remove(entry.path)
            self._report_unreadable("others")
        if content is None and (changed := self._scanner.look(entry.path)) is not None:
            self._intake.sight(changed, self._clock.monotonic_ns())
        return content

    def _is_new(self, entry: Entry, content: Content) -> bool:
        """Whether this content was never dealt with; if the ledger cannot tell, it is asked again later."""
        if self._intake.mark_of(entry.path) == content.mark:
            return False
        try:
            seen = self._seen.is_seen(content.identity)
        except LedgerError as error:
            self._health.trouble("ledger", f"the ledger cannot be asked: {error.what}", lost=True)
            self._intake.sight(entry, self._clock.monotonic_ns(), _RETRY_NS)
            return False
        self._health.mended("ledger")
        if seen:
            self._intake.remember(entry.path, content.mark)
            if self._settings.after is not AfterInspection.KEEP:
                # The verdict was committed, then the power went before the file could be settled.
                self._disposal.settle(entry.path, content.identity, faulty=decode_content(content)[0] is None)
        return not seen

    def _may_still_grow(self, entry: Entry) -> bool:
        """Perhaps the writer of a faulty file only paused: it is rejected when it is still the same a little later."""
        now_ns = self._clock.monotonic_ns()
        suspect, since_ns = self._suspects.setdefault(entry.path, (entry, now_ns))
        if suspect != entry:
            since_ns = now_ns
            self._suspects[entry.path] = (entry, now_ns)
        if now_ns - since_ns >= self._stable_ns:
            return False
        self._intake.sight(entry, now_ns, self._stable_ns)
        return True

    def _deliver(self, entry: Entry, content: Content, exposure: Exposure | None, fault: str) -> None:
        before = self._intake.mark_of(entry.path)
        part_id = part_id_for(content.identity, again=before is not None and before.digest is not None)
        loaded = Loaded(entry.path, part_id, content.identity, exposure, fault)
        while not self._stop.is_set():
            self._beat_ns = self._clock.monotonic_ns()
            try:
                self._outbox.put(loaded, timeout=_PUT_TIMEOUT_S)
            except queue.Full:
                continue
            self._intake.remember(entry.path, content.mark)
            return

    def _report_unreadable(self, example: str) -> None:
        if self._unreadable:
            text = f"{len(self._unreadable)} file(s) cannot be read ({example}): check their permissions"
            self._health.trouble("files", text)
        else:
            self._health.mended("files")

    def _forget_vanished(self) -> None:
        """Files that were to be tried again and are gone."""
        self._suspects = {path: entry for path, entry in self._suspects.items() if self._intake.expects(path)}
        if any(not self._intake.expects(path) for path in self._unreadable):
            self._unreadable = {path for path in self._unreadable if self._intake.expects(path)}
            self._report_unreadable("others")
