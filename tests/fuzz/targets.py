"""Every parser of the product that meets bytes from outside, with samples to damage and the errors it may raise."""

from __future__ import annotations

import io
import json
import os
import socket
import tempfile
import tty
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from bundle_parts import PAYLOADS, make_draft
from command_targets import mqtt_command
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse
from target import Target

from edge_runtime.bundles.archive import checksum_text, open_bundle
from edge_runtime.bundles.manifest import parse_release
from edge_runtime.bundles.members import END, header, padding
from edge_runtime.bundles.writer import write_bundle
from edge_runtime.config.load import read_config
from edge_runtime.config.plc import SerialRelaySettings
from edge_runtime.detectors import create
from edge_runtime.domain.errors import BundleError, ConfigError, EngineError, ImageError, LedgerError, PlcError
from edge_runtime.engine.ir import pack_ir, unpack_ir
from edge_runtime.engine.sim import SimulatedEngine
from edge_runtime.ledger.floor import SequenceFloor
from edge_runtime.ops.server import LocalServer
from edge_runtime.plc.handshake import HandshakePlc
from edge_runtime.plc.modbus import ModbusLink
from edge_runtime.plc.modbus_transport import DeadlineSerialClient, DeadlineTcpClient, Transport
from edge_runtime.plc.registers import BlockError, PlcBlock, decode_device_block, decode_plc_block, encode_plc_block
from edge_runtime.plc.serial_relay import SerialRelay, relay_command
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from collections.abc import Callable


TTY_BYTES = 4_096
"""More than this no serial device keeps for us."""
REPOSITORY = Path(__file__).parents[2]


def targets() -> tuple[Target, ...]:
    """All of them; files go to a temporary folder of this process."""
    work = Path(tempfile.mkdtemp(prefix="edge-fuzz-"))
    modbus = (*_modbus(), _blocks())
    return (_config(work), _image(), *_bundles(work), *modbus, mqtt_command(), _relay(), _ir(), _floor(work), _page())


def _config(work: Path) -> Target:
    file = work / "line.toml"

    def feed(data: bytes) -> None:
        file.write_bytes(data)
        read_config(file)

    samples = tuple(path.read_bytes() for path in sorted((REPOSITORY / "configs").rglob("*.toml")))
    return Target("config", samples, feed, (ConfigError,))


def _image() -> Target:
    rng = np.random.default_rng(5)
    colour = rng.integers(0, 255, (21, 34, 3), np.uint8)
    pictures: list[tuple[str, Any]] = [
        (".png", colour),
        (".png", colour[:, :, 0].astype(np.uint16) * 257),
        (".png", np.dstack([colour, colour[:, :, :1]])),
        (".jpg", colour),
        (".jpg", colour[:, :, 0]),
        (".bmp", colour),
        (".tiff", colour),
        (".webp", colour),
    ]
    encoded = [cv2.imencode(suffix, pixels)[1].tobytes() for suffix, pixels in pictures]
    plain = cv2.imencode(".tiff", colour, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    progressive = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return Target("image", tuple(_accepted([*encoded, plain, progressive])), decode_image, (ImageError,))


def _accepted(samples: list[bytes]) -> list[bytes]:
    found = []
    for sample in samples:
        try:
            decode_image(sample)
        except ImageError:  # a format that is refused on purpose (compressed TIFF)
            continue
        found.append(sample)
    return found


def _bundles(work: Path) -> list[Target]:
    path = work / "fuzzed.bundle"
    write_bundle(path, make_draft(), PAYLOADS)
    whole = path.read_bytes()
    manifests = [_manifest_of(whole), _manifest_of((REPOSITORY / "models" / "demo.bundle").read_bytes())]

    def feed_archive(data: bytes) -> None:
        path.write_bytes(data)
        with open_bundle(path, trust="development"):
            pass

    def feed_signed(manifest: bytes) -> None:
        """A manifest whose checksum is right: what a hostile maker would send."""
        members = [("release.json", manifest), ("release.json.sha256", checksum_text(manifest)), *PAYLOADS.items()]
        packed = b"".join(header(name, len(text)) + text + padding(len(text)) for name, text in members)
        path.write_bytes(packed + END)
        with open_bundle(path, trust="development") as opened:
            create(opened.manifest, opened.payloads, SimulatedEngine())

    return [
        Target("bundle", (whole,), feed_archive, (BundleError,)),
        Target("manifest", tuple(manifests), partial(parse_release, where="fuzzed"), (BundleError,)),
        Target("hostile-manifest", (manifests[0],), _refused_at_the_end(feed_signed), (BundleError,)),
    ]


def _refused_at_the_end(feed: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The sample's payloads are no graphs: a sound manifest ends in the engine's refusal, which is as it should be."""

    def fed(data: bytes) -> None:
        try:
            feed(data)
        except EngineError:
            return

    return fed


def _manifest_of(raw: bytes) -> bytes:
    size = int(raw[124:135], 8)
    manifest = raw[512 : 512 + size]
    json.loads(manifest)
    return manifest


class _Cable:
    """What a serial port needs to be, over one end of a socket pair."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def reset_input_buffer(self) -> None:
        """What came before the request stays: the fuzzed reply lies there already."""

    def write(self, data: bytes) -> int:
        return len(data)

    def read(self, size: int) -> bytes:
        return self._end.recv(size)

    def close(self) -> None:
        self._end.close()


def _modbus() -> list[Target]:
    block = encode_plc_block(PlcBlock(7, 1, 5, 6, 1_000, 0, 3))  # type: ignore[arg-type]
    reply = ReadHoldingRegistersResponse(registers=list(block), dev_id=1, transaction_id=1)
    tcp, rtu = FramerSocket(None).buildFrame(reply), FramerRTU(None).buildFrame(reply)  # type: ignore[arg-type]
    return [
        Target("modbus-tcp", (tcp,), partial(_read_plc, serial_line=False), (PlcError,)),
        Target("modbus-rtu", (rtu,), partial(_read_plc, serial_line=True), (PlcError,)),
    ]


def _read_plc(data: bytes, *, serial_line: bool) -> object:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[: TTY_BYTES if serial_line else 60_000])
        theirs.shutdown(socket.SHUT_WR)
        client: Any
        if serial_line:
            client = DeadlineSerialClient("/dev/null")
            client.socket = _Cable(ours)
        else:
            client = DeadlineTcpClient("127.0.0.1")
            client.socket = ours
        transport = Transport("fuzzed", lambda: client, 0.01, is_serial=False, action="")
        link = ModbusLink(transport, unit=1)
        link._client = client
        plc = HandshakePlc(link, result_address=100, status_address=200, ejector_coil=None)
        return plc.read()


def _blocks() -> Target:
    def feed(data: bytes) -> None:
        words = np.frombuffer(data[: len(data) // 2 * 2], ">u2").tolist()
        for decode in (decode_plc_block, decode_device_block):
            try:
                decode(words)
            except BlockError:
                continue

    block = encode_plc_block(PlcBlock(7, 1, 5, 6, 1_000, 0, 3))  # type: ignore[arg-type]
    return Target("registers", (np.array(block, ">u2").tobytes(),), feed, ())


def _relay() -> Target:
    """A relay board answers nothing; one that talks all the same must not confuse or fill us."""
    board, line = os.openpty()
    os.set_blocking(board, False)
    tty.setraw(line)
    relay = SerialRelay(SerialRelaySettings(kind="serial_relay", device=Path(os.ttyname(line)), timeout_ms=50))

    def feed(data: bytes) -> None:
        with suppress(BlockingIOError):
            os.write(board, data[:TTY_BYTES])
        relay.connect()
        relay.set_ejector(on=True)
        relay.set_ejector(on=False)
        with suppress(BlockingIOError):
            os.read(board, 2 * TTY_BYTES)

    return Target("serial-relay", (relay_command(1, on=True),), feed, (PlcError,))


def _ir() -> Target:
    return Target("openvino-ir", (pack_ir(b"<net/>", b"weights"),), unpack_ir, (EngineError,))


def _floor(work: Path) -> Target:
    path = work / "ledger.sqlite"

    def feed(data: bytes) -> None:
        path.with_name("ledger.sqlite.floor").write_bytes(data)
        SequenceFloor(path)

    return Target("sequence-floor", (b"20000\n",), feed, (LedgerError,))


def _page() -> Target:
    server = LocalServer(0, {})
    server.close()  # its parser is fed by hand: no socket is needed

    def feed(data: bytes) -> None:
        response = server._response(data.decode("latin-1"))
        assert response.startswith(b"HTTP/1.1 "), response[:20]
        io.BytesIO(response).read()

    return Target("local-page", (b"GET /health HTTP/1.1\r\nHost: localhost:9109\r\n\r\n",), feed, ())
