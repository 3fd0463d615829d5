"""The cache of TensorRT engines on this device: what lies there, for what it was made, is it whole.

An engine fits one graph, one GPU, one flavour and version of TensorRT and one range of shapes, and
is native code: nothing is read from here that was not checked against its sidecar. Layout::

    CACHE/<graph>-<identity>-<settings>/engine.plan
                                        engine.json     the sidecar
    CACHE/<graph>-<identity>-<settings>.lock            held by whoever builds it

An entry appears as a whole by one rename. Removing the cache, or any entry, is always safe.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from mer_edge.bundle import ShapeRange, sha256_of
from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.files import new_directory, recover_directory

ENGINE_SCHEMA_VERSION = 1
ENVIRONMENT = "MER_EDGE_CACHE"
PLAN, SIDECAR = "engine.plan", "engine.json"
ANY = "any"
"""As GPU and compute capability: every one that the flavour's engines run on (RTX)."""
LOCK_POLL_S = 0.2
State = Literal["missing", "stale", "foreign", "damaged"]


@dataclass(frozen=True)
class EngineKey:
    """What an engine was made for; with any of it different it is another engine."""

    graph: str
    """Its name, of ``mer_edge.bundle.GRAPHS``"""
    graph_sha256: str
    gpu: str
    """The driver's name of the GPU, or ``any``."""
    compute_capability: str
    """``8.7``, or ``any``."""
    flavour: str
    """``tensorrt`` or ``tensorrt-rtx``"""
    version: str
    """Of TensorRT, in full."""
    profile: dict[str, ShapeRange]
    """The ranges of the graph's dynamic dimensions."""


@dataclass(frozen=True)
class BuilderSettings:
    """How an engine was made. Engines of other settings do the same work."""

    workspace_mb: int | None = None
    """Most scratch memory a layer may use (MB of 2**20 bytes); None is the builder's own limit."""


@dataclass(frozen=True)
class Sidecar:
    """``engine.json``."""

    schema_version: int
    key: EngineKey
    settings: BuilderSettings
    sha256: str
    bytes: int
    build_seconds: float
    built: str
    """Date and time, ISO 8601, UTC."""
    bundle: str
    """Where the graph came from, for people and for naming what has become stale."""


@dataclass(frozen=True)
class Engine:
    """An engine of the cache whose sidecar says what was asked for."""

    directory: Path
    sidecar: Sidecar

    @property
    def plan(self) -> Path:
        """The serialised engine. To use it, take :meth:`read`, which checks it."""
        return self.directory / PLAN

    def check(self) -> None:
        """Hash the file against the sidecar.

        Raises:
            EngineError: it is damaged.
        """
        self._compare(_or_damaged(self, lambda: sha256_of(self.plan)))

    def read(self) -> bytes:
        """The serialised engine: exactly the bytes that were hashed, ready to deserialise.

        Raises:
            EngineError: it is damaged.
        """
        plan: bytes = _or_damaged(self, self.plan.read_bytes)
        self._compare(hashlib.sha256(plan).hexdigest())
        return plan

    def _compare(self, found: str) -> None:
        if found != self.sidecar.sha256:
            raise _damaged(
                self.directory,
                f"SHA-256 {found[:12]}, its sidecar says {self.sidecar.sha256[:12]}",
            )


class EngineError(MerEdgeError):
    """There is no engine to use: ``state`` says whether it is missing, or what is wrong."""

    def __init__(self, state: State, message: str) -> None:
        super().__init__(message)
        self.state: State = state


def cache_directory(option: Path | None = None) -> Path:
    """``--cache``, else ``$MER_EDGE_CACHE``, else ``~/.cache/mer-edge/engines``."""
    if option is not None:
        return option
    if os.environ.get(ENVIRONMENT):
        return Path(os.environ[ENVIRONMENT])
    return Path.home() / ".cache" / "mer-edge" / "engines"


def entry(cache: Path, key: EngineKey, settings: BuilderSettings) -> Path:
    """The directory of an engine."""
    return cache / f"{key.graph}-{_digest(key)}-{_digest(settings)}"


def find_engine(
    cache: Path,
    key: EngineKey,
    settings: BuilderSettings | None = None,
    *,
    bundle: Path,
    advice: str,
) -> Engine:
    """The engine for ``key``; its bytes are to be had, checked, from :meth:`Engine.read`.

    Args:
        settings: None takes whichever was built last.
        bundle: its directory; an engine of what was there before is named as stale.
        advice: ends the message: what makes the engine, ``run: mer-edge build ...``.

    Raises:
        EngineError: none is there; the message names the nearest one that does not fit, and why.
    """
    pattern = f"{key.graph}-{_digest(key)}-*/{SIDECAR}"
    places = (
        sorted(path.parent for path in cache.glob(pattern))
        if settings is None
        else [place for place in [entry(cache, key, settings)] if place.exists()]
    )
    broken: EngineError | None = None
    found = []
    for place in places:
        try:
            found.append(_open(place, key, advice))
        except EngineError as error:
            broken = error
    if found:
        return max(found, key=lambda engine: engine.sidecar.built)
    raise broken or _nearest(cache, key, bundle, advice)


def read_sidecar(directory: Path) -> Sidecar:
    """The sidecar of an entry.

    Raises:
        EngineError: there is none, or it is not one.
    """
    import msgspec

    path = directory / SIDECAR
    try:
        sidecar = msgspec.json.decode(path.read_bytes(), type=Sidecar)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _damaged(directory, f"{SIDECAR}: {error}") from error
    if sidecar.schema_version != ENGINE_SCHEMA_VERSION:
        raise EngineError(
            "stale",
            f"{directory}: the sidecar is of version {sidecar.schema_version}; expected "
            f"{ENGINE_SCHEMA_VERSION}",
        )
    return sidecar


@contextmanager
def new_engine(cache: Path, key: EngineKey, settings: BuilderSettings) -> Iterator[Path]:
    """Yield an empty directory for ``PLAN`` and ``SIDECAR`` that becomes the entry at the end.

    Raises:
        MerEdgeError: the disk says no; nothing is kept then.
    """
    advice = "nothing was kept; free some space or choose another --cache"
    place = entry(cache, key, settings)
    with new_directory(place, "building the engine", overwrite=True, advice=advice) as directory:
        yield directory


def write_sidecar(directory: Path, sidecar: Sidecar) -> None:
    """Write ``engine.json`` beside a finished engine."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(sidecar), indent=2)
    (directory / SIDECAR).write_bytes(text + b"\n")


@contextmanager
def engine_lock(
    cache: Path, key: EngineKey, settings: BuilderSettings, waiting: Callable[[], None]
) -> Iterator[bool]:
    """Hold an engine's lock, so that one process builds it and the others wait and use it.

    The system releases the lock of a process that is killed; what it left half made is removed.

    Args:
        waiting: called once if another process holds the lock.

    Yields:
        Whether another process held the lock, so that there may be a new engine now.

    Raises:
        MerEdgeError: the cache cannot be written.
        MissingExtraError: the package filelock is missing.
    """
    try:
        import filelock
    except ModuleNotFoundError as error:
        raise MissingExtraError("building engines", "filelock", key.flavour) from error
    place = entry(cache, key, settings)
    lock = filelock.FileLock(place.with_name(f"{place.name}.lock"))
    waited = False
    try:
        cache.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waited = True
            waiting()
            lock.acquire(poll_interval=LOCK_POLL_S)
    except (OSError, NotImplementedError) as error:
        raise MerEdgeError(
            f"{cache}: cannot be used as the engines' cache: {error}; choose another --cache"
        ) from error
    try:
        recover_directory(place)
        yield waited
    finally:
        lock.release()


def _open(place: Path, key: EngineKey, advice: str) -> Engine:
    sidecar = read_sidecar(place)
    if sidecar.key != key:
        # The name is the key's digest: somebody has copied or renamed the entry.
        raise _other(place, sidecar.key, key, advice)
    engine = Engine(place, sidecar)
    size = _or_damaged(engine, lambda: engine.plan.stat().st_size)
    if size != sidecar.bytes:
        raise _damaged(place, f"{PLAN} has {size} bytes, its sidecar says {sidecar.bytes}")
    return engine


def _nearest(cache: Path, key: EngineKey, bundle: Path, advice: str) -> EngineError:
    """Why there is no engine: the one that differs least, if any, tells most."""
    others, source = [], bundle_name(bundle)
    for path in sorted(cache.glob(f"{key.graph}-*/{SIDECAR}")):
        try:
            sidecar = read_sidecar(path.parent)
        except EngineError:
            continue  # of another key: whoever wants that one is told
        related = sidecar.bundle == source or sidecar.key.graph_sha256 == key.graph_sha256
        if related and sidecar.key.flavour == key.flavour:
            others.append((path.parent, sidecar.key))
    if not others:
        text = f"{cache}: no engine for the graph {key.graph}; {advice}"
        return EngineError("missing", text)
    place, other = min(others, key=lambda found: len(_differences(found[1], key)))
    return _other(place, other, key, advice)


def bundle_name(bundle: Path) -> str:
    """A bundle as sidecars name it."""
    return str(bundle.resolve())


def _other(place: Path, has: EngineKey, wants: EngineKey, advice: str) -> EngineError:
    differences = _differences(has, wants)
    foreign = {"gpu", "compute_capability"} & set(differences)
    told = " and ".join(differences.values())
    state: State = "foreign" if foreign else "stale"
    return EngineError(state, f"{place}: the engine is {state}: it is for {told}; {advice}")


def _differences(has: EngineKey, wants: EngineKey) -> dict[str, str]:
    """By field: what an engine is for, and what it should be for."""
    found = {}
    for field in fields(EngineKey):
        one, other = (_short(getattr(key, field.name)) for key in (has, wants))
        if one != other:
            found[field.name] = f"{field.name} {one} (wanted: {other})"
    return found


def _short(value: Any) -> str:
    if isinstance(value, dict):
        ranges = (f"{k} {r.minimum}-{r.optimum}-{r.maximum}" for k, r in sorted(value.items()))
        return ", ".join(ranges)
    return value[:12] if len(value) == 64 else str(value)


def _or_damaged(engine: Engine, read: Any) -> Any:
    try:
        return read()
    except OSError as error:
        raise _damaged(engine.directory, f"{PLAN}: {error.strerror}") from error


def _damaged(place: Path, what: str) -> EngineError:
    return EngineError(
        "damaged", f"{place}: the engine is damaged: {what}; run mer-edge build on its bundle again"
    )


def _digest(value: EngineKey | BuilderSettings) -> str:
    import msgspec

    encoded = msgspec.json.encode(asdict(value), order="sorted")
    return hashlib.sha256(encoded).hexdigest()[: 24 if isinstance(value, EngineKey) else 8]
