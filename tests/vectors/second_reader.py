"""A second implementation of docs/bundle-format.md, format 1, from that page alone: nothing of the product is imported.

Slow, without limits on memory, and no substitute for the product's own; it shows that the page says enough.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Json = dict[str, Any]


class RefusedError(Exception):
    """The first argument is the reason, as `vectors.json` names it."""


def need(condition: object, reason: str) -> None:
    """Refuse unless it holds."""
    if not condition:
        raise RefusedError(reason)


def header(name: str, size: int) -> bytes:
    """The one allowed header of a member."""
    block = bytearray(512)
    block[0 : len(name)] = name.encode("ascii")
    block[100:108] = b"0000644\0"
    block[108:124] = b"0000000\0" * 2
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def members(raw: bytes) -> dict[str, bytes]:
    """Name → content, in file order."""
    found: dict[str, bytes] = {}
    place = 0
    while raw[place : place + 512] != bytes(512):
        block = raw[place : place + 512]
        need(len(block) == 512 and len(found) < 1000, "format")
        try:
            name, size = block[:100].rstrip(b"\0").decode("ascii"), int(block[124:135], 8)
        except ValueError:
            raise RefusedError("format") from None
        need(block == header(name, size) and name not in found, "format")
        content = raw[place + 512 : place + 512 + size]
        need(len(content) == size, "format")
        found[name] = content
        place += 512 + size + -size % 512
    need(raw[place:] == bytes(1024), "format")
    return found


def layout(found: dict[str, bytes]) -> None:
    """The order of the members."""
    names = list(found)
    need(names and names[0].endswith(".root.json"), "format")
    first = names[0].removeprefix("metadata/").removesuffix(".root.json")
    roots = 0
    while roots < len(names) and names[roots] == f"metadata/{int(first) + roots}.root.json":
        roots += 1
    need(roots and len(names) > roots + 3 and names[roots] == "metadata/timestamp.json", "format")
    need(names[roots + 1].endswith(".snapshot.json") and names[roots + 2].endswith(".targets.json"), "format")
    need(names[roots + 3] == "release.json", "format")
    for name in names[roots + 4 :]:
        need(name.startswith("targets/") and len(name) == 72 and not set(name[8:]) - set("0123456789abcdef"), "format")


def canonical(value: Any) -> str:
    """The form that is signed."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(one) for one in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return json.dumps(value)


def signed_by(file: Json, root: Json, role: str) -> bool:
    """Enough different keys of the role have signed."""
    wanted = root["signed"]["roles"][role]
    good = set()
    for signature in file["signatures"]:
        if signature["keyid"] not in wanted["keyids"]:
            continue
        public = root["signed"]["keys"][signature["keyid"]]["keyval"]["public"]
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
            key.verify(bytes.fromhex(signature["sig"]), canonical(file["signed"]).encode())
        except (InvalidSignature, ValueError):
            continue
        good.add(public)
    return len(good) >= wanted["threshold"]


class Device:
    """What a device keeps."""

    def __init__(self, root: bytes) -> None:
        self.kept: dict[str, Json] = {"root": json.loads(root)}
        self.newest = 0

    def take(self, raw: bytes, clock: int) -> Json:
        """Accept a bundle, or raise; nothing is kept of what is refused. Returns digest, counter, root version."""
        found = members(raw)
        layout(found)
        root = self._root(found)
        kept = {role: file for role, file in self.kept.items() if role == "root" or signed_by(file, root, role)}
        newest = self.newest if "timestamp" in kept else 0
        new = self._follow(found, root, kept)
        manifest = json.loads(found["release.json"])
        listed = new["targets"]["signed"]["targets"].get(f"{manifest['terms']['product']}/release.json")
        need(listed and matches(found["release.json"], listed), "mixed")
        need(manifest["format"] == 1 and manifest["terms"]["min_counter"] <= manifest["terms"]["counter"], "format")
        newest = max(newest, new["timestamp"]["signed"].get("x-edge-signed-at", 0))
        for file in new.values():
            expires = datetime.fromisoformat(file["signed"]["expires"]).timestamp()
            need(expires > max(clock, newest), "expired")
        for payload in manifest["payloads"]:
            content = found.get(f"targets/{payload['sha256']}", b"")
            need(len(content) == payload["size_bytes"], "payload")
            need(hashlib.sha256(content).hexdigest() == payload["sha256"], "payload")
        self.kept, self.newest = new, newest
        digest = hashlib.sha256(found["release.json"]).hexdigest()
        return {"digest": digest, "counter": manifest["terms"]["counter"], "root_version": root["signed"]["version"]}

    def _root(self, found: dict[str, bytes]) -> Json:
        root = self.kept["root"]
        while content := found.get(f"metadata/{root['signed']['version'] + 1}.root.json"):
            following = json.loads(content)
            need(following["signed"]["version"] == root["signed"]["version"] + 1, "mixed")
            need(signed_by(following, root, "root") and signed_by(following, following, "root"), "unsigned")
            root = following
        return root

    def _follow(self, found: dict[str, bytes], root: Json, kept: dict[str, Json]) -> dict[str, Json]:
        timestamp = json.loads(found["metadata/timestamp.json"])
        need(signed_by(timestamp, root, "timestamp"), "unsigned")
        if before := kept.get("timestamp"):
            need(timestamp["signed"]["version"] >= before["signed"]["version"], "older")
            if timestamp["signed"]["version"] == before["signed"]["version"]:
                timestamp = before
        new = {"root": root, "timestamp": timestamp}
        for role, parent in (("snapshot", "timestamp"), ("targets", "snapshot")):
            meta = new[parent]["signed"]["meta"][f"{role}.json"]
            content = found.get(f"metadata/{meta['version']}.{role}.json", b"")
            need(matches(content, meta), "mixed")
            new[role] = json.loads(content)
            need(signed_by(new[role], root, role), "unsigned")
            need(new[role]["signed"]["version"] == meta["version"], "mixed")
            if before := kept.get(role):
                need(new[role]["signed"]["version"] >= before["signed"]["version"], "older")
        return new


def matches(content: bytes, listed: Json) -> bool:
    """Length and digest are those that are signed."""
    return len(content) == listed["length"] and hashlib.sha256(content).hexdigest() == listed["hashes"]["sha256"]
