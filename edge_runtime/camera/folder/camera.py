"""The watched folder as a camera: every complete new file is a trigger."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING

from edge_runtime.camera.folder.disposal import Disposal
from edge_runtime.camera.folder.health import FolderHealth
from edge_runtime.camera.folder.reader import FolderReader
from edge_runtime.camera.folder.scanner import FolderScanner
from edge_runtime.config.camera import AfterInspection
from edge_runtime.domain.errors import CameraError
from edge_runtime.domain.frame import Frame, LostFrame, Trigger
from edge_runtime.domain.verdict import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.camera.folder.pickup import Loaded
    from edge_runtime.camera.port import Arrival, CameraStatus
    from edge_runtime.config.camera import FolderCameraSettings
    from edge_runtime.domain.records import SeenFiles
    from edge_runtime.ops.clock import Clock

_MAX_PART_SEQUENCE = 2**32 - 1


class FolderCamera:
    """See `Camera`. Threads: one reader, and watchdog's inotify reader unless polling.

    - A part's id is the file's path below the watched folder; when a path comes again with other content in the same
      run, `@`, eight digits of its digest and its time are appended.
    - `triggered_ns` is the instant at which `next_frame` hands the file over: a folder is not a real-time source, and
      reading ahead is not counted.
    - Once its verdict is committed (`settle`), a sound file is kept, moved or deleted as configured. A faulty one
      always survives in `faulty_path`: moved there, or copied there with `after = "keep"`.
    - Files are told apart by path, size, modification time and content; a file that is written again is a new part.
    """

    def __init__(self, settings: FolderCameraSettings, clock: Clock, seen: SeenFiles) -> None:
        self._settings = settings
        self._clock = clock
        self._seen = seen
        self._root = settings.path.expanduser().absolute()
        self._done = (settings.done_path or self._root.parent / f"{settings.name}-done").expanduser().absolute()
        self._faulty = (settings.faulty_path or self._root.parent / f"{settings.name}-faulty").expanduser().absolute()
        self._number = _number_pattern(settings.part_sequence_pattern)
        self._health = FolderHealth(settings.name)
        self._disposal = Disposal(self._root, settings.after, self._done, self._faulty, self._health)
        self._reader: FolderReader | None = None
        self._sequence = 0
        self._lock = threading.Lock()
        self._paths: dict[str, str] = {}
        self._closed = False

    @property
    def name(self) -> str:
        """See `Camera`."""
        return self._settings.name

    def open(self) -> None:
        """See `Camera`."""
        self._check_places()
        scanner = FolderScanner(
            self._root,
            recursive=self._settings.recursive,
            patterns=self._settings.patterns,
            excluded=(self._done, self._faulty),
        )
        reader = FolderReader(self._settings, self._clock, self._seen, scanner, self._disposal, self._health)
        try:
            reader.start()
        except OSError as error:
            reader.close()
            raise CameraError(
                f"the watched folder {self._root} cannot be read: {error.strerror}", "check [camera] path and the mount"
            ) from error
        self._reader = reader

    def next_frame(self, timeout_s: float) -> Arrival | None:
        """See `Camera`."""
        if self._reader is None or self._closed:
            return None
        loaded = self._reader.take(timeout_s)
        if loaded is None:
            return None
        self._sequence += 1
        now_ns = self._clock.monotonic_ns()
        trigger = Trigger(
            sequence=self._sequence,
            part_id=loaded.part_id,
            triggered_ns=now_ns,
            triggered_wall_ns=self._clock.wall_ns(),
            part_sequence=self._part_sequence(loaded.path),
        )
        self._keep_odd_name(loaded)
        if loaded.exposure is None:
            return LostFrame(trigger, Reason.IMAGE_CORRUPT, loaded.fault, loaded.identity)
        return Frame(trigger, (loaded.exposure,), now_ns, loaded.identity)

    def settle(self, arrival: Arrival) -> None:
        """See `Camera`."""
        if arrival.file is None:
            return
        with self._lock:
            path = self._paths.pop(arrival.file.path, arrival.file.path)
        faulty = isinstance(arrival, LostFrame) and arrival.reason is Reason.IMAGE_CORRUPT
        self._disposal.settle(path, arrival.file, faulty=faulty)

    def status(self) -> CameraStatus:
        """See `Camera`."""
        if self._reader is not None:
            if trouble := self._reader.trouble():
                self._health.trouble("reader", trouble, lost=True)
            else:
                self._health.mended("reader")
        return self._health.status()

    def close(self) -> None:
        """See `Camera`."""
        self._closed = True
        if self._reader is not None:
            self._reader.close()

    def _check_places(self) -> None:
        if not self._root.is_dir():
            raise CameraError(
                f"the watched folder {self._root} does not exist or is no folder",
                "create it, mount its share, or correct [camera] path",
            )
        if not os.access(self._root, os.R_OK | os.X_OK):
            raise CameraError(
                f"no permission to read the watched folder {self._root}", "give the service's user read permission"
            )
        if self._root in {self._done, self._faulty}:
            raise CameraError(
                "done_path and faulty_path must differ from the watched folder", "choose other folders for them"
            )
        if self._settings.after is AfterInspection.KEEP:
            return
        if not os.access(self._root, os.W_OK):
            raise CameraError(
                f"no permission to take files out of {self._root}",
                'give the service\'s user write permission or set after = "keep"',
            )
        _make_folder(self._faulty, "faulty_path")
        if self._settings.after is AfterInspection.MOVE:
            _make_folder(self._done, "done_path")

    def _part_sequence(self, path: str) -> int | None:
        found = None if self._number is None else self._number.search(path.rsplit("/", 1)[-1])
        digits = "" if found is None else found.group(1) or ""
        number = int(digits) if digits.isdecimal() else 0
        return number if 1 <= number <= _MAX_PART_SEQUENCE else None

    def _keep_odd_name(self, loaded: Loaded) -> None:
        """Remember the true name of a file whose name is no valid Unicode until it is settled."""
        if loaded.path != loaded.identity.path:
            with self._lock:
                self._paths[loaded.identity.path] = loaded.path


def _number_pattern(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise CameraError(
            f"part_sequence_pattern {pattern!r} is no regular expression: {error}", "correct [camera]"
        ) from error
    if compiled.groups != 1:
        raise CameraError(
            f"part_sequence_pattern {pattern!r} has {compiled.groups} groups", r"give it exactly one, as in part_(\d+)"
        )
    return compiled


def _make_folder(folder: Path, key: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CameraError(
            f"{key} {folder} cannot be created: {error.strerror}", f"create it for the service's user or set {key}"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CameraError(f"no permission to write to {key} {folder}", "give the service's user write permission")
