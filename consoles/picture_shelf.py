"""What Redis keeps of pictures: which machines somebody looks at, and the last picture of each."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from consoles.picture_sizes import MAKING, WANTED_SECONDS, Size
from machines.redis_client import redis_client, redis_of_bytes

Wishes = dict[UUID, set[Size]]
"""The sizes in which somebody looks at each wanted machine."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A WebP, and its version: it grows whenever the screen has changed (milliseconds of Unix time)."""

    image: bytes
    version: int


def want(machines: Mapping[UUID, int], size: Size) -> None:
    """Note that somebody looks at these machines now.

    Args:
        machines: each with the id of its host, whose watcher takes the pictures.
        size: of the pictures that are looked at.
    """
    by_host: dict[int, dict[str, float]] = {}
    until = time.time() + WANTED_SECONDS
    for machine, host in machines.items():
        by_host.setdefault(host, {})[str(machine)] = until
    with redis_client().pipeline(transaction=False) as pipe:
        for host, members in by_host.items():
            pipe.zadd(_wanted_key(host, size), members)
            pipe.expire(_wanted_key(host, size), WANTED_SECONDS)
        pipe.execute()


def wishes(host: int) -> Wishes:
    """Return which machines of a host somebody looks at now."""
    with redis_client().pipeline(transaction=False) as pipe:
        for size in Size:
            pipe.zremrangebyscore(_wanted_key(host, size), "-inf", time.time())
            pipe.zrange(_wanted_key(host, size), 0, -1)
        answers = pipe.execute()
    wanted: Wishes = {}
    for size, members in zip(Size, answers[1::2], strict=True):
        for member in members:
            wanted.setdefault(UUID(member), set()).add(size)
    return wanted


def picture(machine: UUID, size: Size) -> Picture | None:
    """Return the last picture of a machine's screen; None when there is none (any more)."""
    image, version = _bytes_of(redis_of_bytes().hmget(_picture_key(machine, size), "image", "version"))
    return Picture(image, int(version)) if image and version else None


def versions(machines: Collection[UUID], size: Size) -> dict[UUID, int]:
    """Return the version of each machine's last picture; those without one are left out."""
    with redis_client().pipeline(transaction=False) as pipe:
        for machine in machines:
            pipe.hget(_picture_key(machine, size), "version")
        found = pipe.execute()
    return {machine: int(version) for machine, version in zip(machines, found, strict=True) if version}


def keep(machine: UUID, size: Size, image: bytes, digest: str) -> int:
    """Keep a new picture; return its version.

    Args:
        machine: whose screen it shows.
        size: how large it is.
        image: the WebP.
        digest: of what it was made from (see `is_kept`).
    """
    version = time.time_ns() // 1_000_000
    with redis_of_bytes().pipeline() as pipe:
        fields: Any = {"image": image, "version": version, "digest": digest}
        pipe.hset(_picture_key(machine, size), mapping=fields)
        pipe.expire(_picture_key(machine, size), MAKING[size].kept)
        pipe.execute()
    return version


def is_kept(machine: UUID, size: Size, digest: str) -> bool:
    """Return whether the last picture was made from the same screen; it is kept for longer then."""
    if redis_client().hget(_picture_key(machine, size), "digest") != digest:
        return False
    return bool(redis_client().expire(_picture_key(machine, size), MAKING[size].kept))


def forget(machines: Collection[UUID]) -> None:
    """Throw the pictures of these machines away."""
    if machines:
        redis_client().delete(*(_picture_key(machine, size) for machine in machines for size in Size))


def _wanted_key(host: int, size: Size) -> str:
    return f"picture:wanted:{host}:{size}"


def _picture_key(machine: UUID, size: Size) -> str:
    return f"picture:{size}:{machine}"


def _bytes_of(answer: Any) -> list[bytes | None]:
    return list(answer)
