"""The reader thread: from notices and scans to files read, decoded and waiting for delivery."""

from __future__ import annotations

import errno
import itertools
import logging
import queue
import threading
from typing import TYPE_CHECKING

from edge_runtime.camera.folder.intake import OPEN_WRITE_PATIENCE_NS, Intake, Mark
from edge_runtime.camera.folder.pickup import Content, Loaded, decode_content, part_id_for, read_content
from edge_runtime.camera.folder.watcher import InotifyWatcher, Notices
from edge_runtime.config.camera import AfterInspection
from edge_runtime.domain.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

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

_SCAN_SLICE = 500
_SCAN_DUTY = 10
"""Scanning a huge folder may take at most one part in so many of the reader's time."""
_RETRY_NS = 1_000_000_000
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
        self._intake = Intake(settings.poll_interval_ms * 1_000_000)
        self._scan_interval_ns = settings.poll_interval_ms * 1_000_000
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._notices = Notices(self._wake)
        self._watcher: InotifyWatcher | None = None
        self._root_identity: tuple[int, int] | None = None
        self._scan: Iterator[Entry] | None = None
        self._scan_due_ns = clock.monotonic_ns()
        self._scan_wanted = False
        self._scan_began_ns = 0
        self._scanned = 0
        self._suspects: dict[str, tuple[Entry, int]] = {}
        self._unreadable: set[str] = set()
        self._outbox: queue.Queue[Loaded] = queue.Queue(READ_AHEAD)
        self._thread = threading.Thread(target=self._run, name=f"folder-{settings.name}", daemon=True)

    def start(self) -> None:
        """Watch and read from now on.

        Raises:
            OSError: the folder cannot be read.
        """
        self._root_identity = self._scanner.check_root()
        self._watch()
        if not self._settings.existing:
            for entry in self._scanner.scan():
                self._intake.remember(entry.path, Mark(entry.size_bytes, entry.mtime_ns, None))
        self._thread.start()

    def take(self, timeout_s: float) -> Loaded | None:
        """The next file; None if none came in time."""
        try:
            return self._outbox.get(timeout=max(timeout_s, 0.0))
        except queue.Empty:
            return None

    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the thread; one that hangs in a dead network share is left behind after a while."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_TIMEOUT_S)
        if self._thread.is_alive():
            _log.error("%s: the reader hangs in the file system and is left behind", self._settings.name)
        self._unwatch()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            now_ns = self._clock.monotonic_ns()
            self._collect_notices(now_ns)
            self._advance_scan(now_ns)
            if self._scan is None and now_ns >= self._intake.next_due_ns():
                self._intake.mature(now_ns, self._scanner.look)
            entry = self._intake.take()
            if entry is not None:
                self._pick_up(entry)
            elif self._scan is None and not self._scan_wanted:
                due_ns = min(self._scan_due_ns, self._intake.next_due_ns())
                self._clock.wait(self._wake, int(due_ns) - self._clock.monotonic_ns())

    def _collect_notices(self, now_ns: int) -> None:
        batch = self._notices.collect()
        if batch.overflows:
            _log.warning("%s: the kernel's event queue overflowed: scanning the folder", self._settings.name)
        for path in batch.created:
            if (entry := self._scanner.look(path)) is not None:
                # A name that the kernel saw created is being written until it says closed; a link never is.
                patience_ns = None if self._scanner.is_link(path) else OPEN_WRITE_PATIENCE_NS
                self._intake.sight(entry, now_ns, patience_ns)
        for path in batch.complete:
            if (entry := self._scanner.look(path)) is not None:
                self._intake.complete(entry)
        if batch.rebuild:
            self._root_identity = None
        self._scan_wanted |= batch.rescan

    def _advance_scan(self, now_ns: int) -> None:
        if self._scan is None and now_ns < self._scan_due_ns and not self._scan_wanted:
            return
        try:
            if self._scan is None:
                self._begin_scan(now_ns)
            scan = self._scan or iter(())
            count = 0
            for entry in itertools.islice(scan, _SCAN_SLICE):
                count += 1
                self._intake.sight(entry, now_ns)
            self._scanned += count
            if count < _SCAN_SLICE:
                self._end_scan()
        except OSError as error:
            self._scan = None
            self._root_identity = None
            self._scan_wanted = False
            self._scan_due_ns = now_ns + min(self._scan_interval_ns, _RETRY_NS)
            self._health.trouble(
                "folder", f"the watched folder {self._scanner.root} cannot be read: {error.strerror}", lost=True
            )

    def _begin_scan(self, now_ns: int) -> None:
        identity = self._scanner.check_root()
        if identity != self._root_identity:
            self._watch()
            self._root_identity = identity
        self._scan_wanted = False
        self._scan = self._scanner.scan()
        self._scan_began_ns = now_ns
        self._scanned = 0

    def _end_scan(self) -> None:
        self._scan = None
        now_ns = self._clock.monotonic_ns()
        pause_ns = max(self._scan_interval_ns, _SCAN_DUTY * (now_ns - self._scan_began_ns))
        self._scan_due_ns = now_ns + pause_ns
        if self._intake.is_crowded(self._scanned):
            self._intake.forget({entry.path for entry in self._scanner.scan()})
        self._health.mended("folder")

    def _watch(self) -> None:
        self._unwatch()
        interval_ms = self._settings.poll_interval_ms
        if not self._settings.polling:
            try:
                self._watcher = InotifyWatcher(self._scanner, self._notices)
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENOSPC, errno.ENOSYS}:
                    raise
                self._health.trouble(
                    "events",
                    f"no file events ({error.strerror}): polling instead; raise fs.inotify.max_user_watches"
                    " and fs.inotify.max_user_instances",
                )
            else:
                interval_ms = self._settings.rescan_interval_ms
                self._health.mended("events")
        self._scan_interval_ns = interval_ms * 1_000_000

    def _unwatch(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()

    def _pick_up(self, entry: Entry) -> None:
        content = self._read(entry)
        if content is None or self._is_settled(entry.path, content):
            return
        exposure, fault = decode_content(content)
        if exposure is None and self._may_still_grow(entry):
            return
        self._suspects.pop(entry.path, None)
        self._deliver(entry, content, exposure, fault)

    def _may_still_grow(self, entry: Entry) -> bool:
        """Perhaps the writer of a faulty file only paused: it is rejected when it is still the same a little later."""
        now_ns = self._clock.monotonic_ns()
        rest_ns = self._settings.poll_interval_ms * 1_000_000
        suspect, since_ns = self._suspects.setdefault(entry.path, (entry, now_ns))
        if suspect != entry:
            since_ns = now_ns
            self._suspects[entry.path] = (entry, now_ns)
        if now_ns - since_ns >= rest_ns:
            return False
        self._intake.sight(entry, now_ns, rest_ns)
        return True

    def _deliver(self, entry: Entry, content: Content, exposure: Exposure | None, fault: str) -> None:
        before = self._intake.mark_of(entry.path)
        part_id = part_id_for(content.identity, again=before is not None and before.digest is not None)
        loaded = Loaded(entry.path, part_id, content.identity, exposure, fault)
        while not self._stop.is_set():
            try:
                self._outbox.put(loaded, timeout=_PUT_TIMEOUT_S)
            except queue.Full:
                continue
            self._intake.remember(entry.path, content.mark)
            return

    def _read(self, entry: Entry) -> Content | None:
        try:
            content = read_content(self._scanner.root, entry)
        except FileNotFoundError:
            self._suspects.pop(entry.path, None)
            self._readable(entry.path)
            return None
        except OSError as error:
            self._unreadable.add(entry.path)
            self._health.trouble(
                "files",
                f"{len(self._unreadable)} file(s) cannot be read ({entry.path!r}: {error.strerror}): check permissions",
            )
            retry_ns = self._settings.rescan_interval_ms * 1_000_000
            self._intake.sight(entry, self._clock.monotonic_ns(), retry_ns)
            return None
        self._readable(entry.path)
        if content is None and (changed := self._scanner.look(entry.path)) is not None:
            self._intake.sight(changed, self._clock.monotonic_ns())
        return content

    def _readable(self, path: str) -> None:
        self._unreadable.discard(path)
        if not self._unreadable:
            self._health.mended("files")

    def _is_settled(self, path: str, content: Content) -> bool:
        """Whether this very content was dealt with, in this run or, says the ledger, in an earlier one."""
        if self._intake.mark_of(path) == content.mark:
            return True
        try:
            is_seen = self._seen.is_seen(content.identity)
        except LedgerError as error:
            self._health.trouble("ledger", f"the ledger cannot be asked: {error.what}", lost=True)
            retry = self._scanner.look(path)
            if retry is not None:
                self._intake.sight(retry, self._clock.monotonic_ns(), _RETRY_NS)
            return True
        self._health.mended("ledger")
        if is_seen:
            self._intake.remember(path, content.mark)
            if self._settings.after is not AfterInspection.KEEP:
                # The verdict was committed, then the power went before the file could be settled.
                self._disposal.settle(path, content.identity, faulty=decode_content(content)[0] is None)
        return is_seen
