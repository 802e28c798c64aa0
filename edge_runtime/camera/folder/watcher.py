"""File events from the kernel (inotify through watchdog), reduced to notices that the reader thread collects.

watchdog's `Observer` reports creations, openings and modifications as well and pairs moves by holding events back
for half a second; both cost latency. Its `InotifyFD` takes the exact mask and reports queue overflows.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyFD, Mask

if TYPE_CHECKING:
    from pathlib import Path

    from watchdog.observers.inotify_c import InotifyEvent, WatchDescriptor

    from edge_runtime.camera.folder.scanner import FolderScanner

_MASK = Mask(
    InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
_SUBFOLDER_MASK = Mask(_MASK | InotifyConstants.IN_DONT_FOLLOW)
_LIMITS = {errno.ENOSPC, errno.EMFILE}
_NOTICE_LIMIT = 16_384


@dataclass(slots=True)
class Batch:
    """What the kernel reported since the last collection."""

    complete: list[str]
    """Closed after writing, or renamed into place."""
    created: list[str]
    """New names: a file that somebody now writes, or a link to a finished one."""
    rescan: bool
    """Something may have been missed: look at everything."""
    rebuild: bool
    """Folders moved or vanished: the watches no longer fit."""
    overflows: int


class Notices:
    """A bounded mailbox between watchdog's thread and the reader. Beyond the bound it asks for a rescan instead."""

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._complete: deque[str] = deque()
        self._created: deque[str] = deque()
        self._rescan = False
        self._rebuild = False
        self._overflows = 0

    def complete(self, path: str) -> None:
        """A file is complete."""
        self._add(self._complete, path)

    def created(self, path: str) -> None:
        """A name appeared."""
        self._add(self._created, path)

    def rescan(self, *, rebuild: bool = False, overflow: bool = False) -> None:
        """Everything has to be looked at again."""
        with self._lock:
            self._rescan = True
            self._rebuild |= rebuild
            self._overflows += overflow
        self._wake.set()

    def collect(self) -> Batch:
        """Everything since the last call."""
        with self._lock:
            batch = Batch(list(self._complete), list(self._created), self._rescan, self._rebuild, self._overflows)
            self._complete.clear()
            self._created.clear()
            self._rescan = self._rebuild = False
            self._overflows = 0
        return batch

    def _add(self, queue: deque[str], path: str) -> None:
        with self._lock:
            if len(self._complete) + len(self._created) < _NOTICE_LIMIT:
                queue.append(path)
            else:
                self._rescan = True
        self._wake.set()


class InotifyWatcher:
    """Watches the folder (and its subfolders) until closed. One thread: watchdog's reader.

    Raises:
        OSError: the kernel gives no watch (limit of instances or watches reached, folder gone).
    """

    def __init__(self, scanner: FolderScanner, notices: Notices) -> None:
        self._scanner = scanner
        self._notices = notices
        self._lock = threading.Lock()
        self._folders: dict[WatchDescriptor, str] = {}
        self._watched: set[str] = set()
        self._inotify = InotifyFD()
        # The thread has to run before anything can fail: watchdog closes its descriptors only from there.
        self._inotify.start()
        try:
            self._watch_tree("")
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """End the thread and release the kernel's watches."""
        self._inotify.stop()
        if threading.current_thread() is not self._inotify:
            self._inotify.join()

    def on_event(self, event: InotifyEvent) -> None:
        """Called by watchdog's thread."""
        folder = self._folders.get(event.wd)
        if folder is None:
            return
        name = os.fsdecode(event.name)
        path = f"{folder}/{name}" if folder and name else folder or name
        if event.is_delete_self or event.is_move_self:
            self._notices.rescan(rebuild=True)
        elif event.is_directory:
            self._on_folder(event, path)
        elif not self._scanner.matches(name):
            return
        elif event.is_close_write or event.is_moved_to:
            self._notices.complete(path)
        elif event.is_create:
            self._notices.created(path)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Called by watchdog's thread when the kernel dropped a watch (folder deleted, share unmounted)."""
        with self._lock:
            folder = self._folders.pop(wd, None)
            self._watched.discard(folder or "")
        if folder is not None and self._inotify.should_keep_running():
            self._notices.rescan(rebuild=True)

    def on_queue_overflow(self) -> None:
        """Called by watchdog's thread when the kernel's queue overflowed and events were lost."""
        self._notices.rescan(rebuild=self._scanner.recursive, overflow=True)

    def _on_folder(self, event: InotifyEvent, path: str) -> None:
        if not self._scanner.takes_folder(path):
            return
        if not event.is_create:  # moved in or out, with everything below it
            self._notices.rescan(rebuild=True)
            return
        try:
            self._watch_tree(path)
        except OSError:
            self._notices.rescan(rebuild=True)
        # Files may have been written before the watch was there.
        self._notices.rescan()

    def _watch_tree(self, top: str) -> None:
        for folder in self._scanner.subfolders(top):
            try:
                self._watch_folder(folder)
            except OSError as error:
                if not folder or error.errno in _LIMITS:
                    raise
                if error.errno != errno.ENOENT:  # else it vanished meanwhile
                    self._scanner.complain(folder, f"cannot be watched: {error.strerror}; found by rescans only")

    def _watch_folder(self, folder: str) -> None:
        place = self._scanner.root / folder
        with self._lock:
            if folder in self._watched:
                return  # its parent's watch came late and the folder was found with it
            self._folders[self._add(place, folder)] = folder
            self._watched.add(folder)

    def _add(self, place: Path, folder: str) -> WatchDescriptor:
        mask = _SUBFOLDER_MASK if folder else _MASK
        wd = self._inotify.add_callback(os.fsencode(place), mask, self, CallbackId(id(self)))
        if wd < 0:  # watchdog says nothing when the kernel refuses for lack of permission
            raise PermissionError(errno.EACCES, "permission denied", str(place))
        return wd
