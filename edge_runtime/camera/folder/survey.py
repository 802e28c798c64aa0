"""The safety net beside events: scans in slices, the watch kept in place, the folder noticed when it goes and comes."""

from __future__ import annotations

import errno
import itertools
from typing import TYPE_CHECKING

from edge_runtime.camera.folder.intake import Mark
from edge_runtime.camera.folder.watcher import InotifyWatcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.camera.folder.health import FolderHealth
    from edge_runtime.camera.folder.intake import Intake
    from edge_runtime.camera.folder.scanner import Entry, FolderScanner
    from edge_runtime.camera.folder.watcher import Notices
    from edge_runtime.config.camera import FolderCameraSettings
    from edge_runtime.ops.clock import Clock

_SLICE = 500
"""Files per step, so that events are served while a huge folder is scanned."""
_DUTY = 10
"""Scanning may take at most one part in so many of the reader's time."""
_RETRY_NS = 1_000_000_000


class Survey:
    """Sees to it that every file in the folder reaches the intake. Used by the reader thread alone, but for `start`."""

    def __init__(
        self,
        settings: FolderCameraSettings,
        clock: Clock,
        scanner: FolderScanner,
        intake: Intake,
        notices: Notices,
        health: FolderHealth,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._scanner = scanner
        self._intake = intake
        self._notices = notices
        self._health = health
        self._watcher: InotifyWatcher | None = None
        self._root_identity: tuple[int, int] | None = None
        self._interval_ns = settings.poll_interval_ms * 1_000_000
        self._scan: Iterator[Entry] | None = None
        self._began_ns = 0
        self._count = 0
        self._wanted = True
        self.due_ns = clock.monotonic_ns()
        """When the next scan begins unless one is asked for earlier."""

    def start(self) -> None:
        """Watch from now on; what is there already is skipped unless `existing`.

        Raises:
            OSError: the folder cannot be read.
        """
        self._root_identity = self._scanner.check_root()
        self._watch()
        if not self._settings.existing:
            for entry in self._scanner.scan():
                self._intake.remember(entry.path, Mark(entry.size_bytes, entry.mtime_ns, None))

    def close(self) -> None:
        """Release the kernel's watches."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()

    def want(self, *, rebuild: bool) -> None:
        """A scan is needed now; with `rebuild` the watches have to be set anew first."""
        self._wanted = True
        if rebuild:
            self._root_identity = None

    def is_busy(self) -> bool:
        """Whether a scan is under way or wanted."""
        return self._wanted or self._scan is not None

    def advance(self, now_ns: int) -> bool:
        """Do one slice of what is due; true when that completed a scan."""
        if not self.is_busy() and now_ns < self.due_ns:
            return False
        try:
            scan = self._scan or self._begin(now_ns)
            count = 0
            for entry in itertools.islice(scan, _SLICE):
                count += 1
                self._intake.sight(entry, now_ns)
            self._count += count
            if count == _SLICE:
                return False
            self._finish()
        except OSError as error:
            self._fail(error, now_ns)
            return False
        return True

    def _begin(self, now_ns: int) -> Iterator[Entry]:
        self._wanted = False
        identity = self._scanner.check_root()
        if identity != self._root_identity:
            self._watch()
            self._root_identity = identity
        self._scan = self._scanner.scan()
        self._began_ns = now_ns
        self._count = 0
        return self._scan

    def _finish(self) -> None:
        self._scan = None
        if self._intake.is_crowded(self._count):
            self._intake.forget({entry.path for entry in self._scanner.scan()})
        now_ns = self._clock.monotonic_ns()
        self.due_ns = now_ns + max(self._interval_ns, _DUTY * (now_ns - self._began_ns))
        self._health.mended("folder")

    def _fail(self, error: OSError, now_ns: int) -> None:
        self._scan = None
        self._wanted = False
        self._root_identity = None
        self.due_ns = now_ns + min(self._interval_ns, _RETRY_NS)
        text = f"the watched folder {self._scanner.root} cannot be read: {error.strerror}; check the mount and the path"
        self._health.trouble("folder", text, lost=True)

    def _watch(self) -> None:
        self.close()
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
        self._interval_ns = interval_ms * 1_000_000
