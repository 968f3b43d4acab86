"""Where the bytes of patients' states are: in memory, or in RocksDB for more than memory holds.

Neither is a truth: ``patient.state`` is. A store is emptied when a partition comes and filled by
its recovery, so that it never holds anything that the log does not.
"""

import importlib.util
import shutil
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import zstandard

Patients: TypeAlias = MutableMapping[bytes, bytes]
"""One practice's stored states by the 16-byte patient key. ``items`` may be gone through while
states are replaced, not while patients come."""

MEMORY: Final = "memory://"
ROCKSDB: Final = "rocksdb://"
CACHE_BYTES: Final = 64_000_000
"""Of all partitions together."""
BUFFER_BYTES: Final = 8_000_000
FRESH: Final = 4_000
"""Patients of a partition whose states stay as they are in memory: who was written lately is likely
to be written again. All others are packed, which takes a third of their bytes away."""
PACK_LEVEL: Final = -1
"""zstd's: of 2,581 bytes 1,698 stay, in 9 microseconds, and 4 to unpack; higher levels take twice
the time and give the same."""


class UnusableStore(ValueError):
    """No store can be made of this setting."""


class PartitionStore(Protocol):
    """The states of one partition."""

    def practice(self, code: str) -> Patients: ...

    def close(self) -> None: ...


class StateStore(Protocol):
    """The states of one worker."""

    def partition(self, number: int) -> PartitionStore:
        """An empty store, in the place of any that was there."""


class MemoryStore:
    def __init__(self, fresh: int = FRESH) -> None:
        self._fresh = fresh

    def partition(self, number: int) -> "MemoryPartition":
        return MemoryPartition(self._fresh)


class MemoryPartition:
    """Keeps the patients written last as they are, all others packed."""

    def __init__(self, fresh: int) -> None:
        self._most = fresh
        self._packer = zstandard.ZstdCompressor(level=PACK_LEVEL)
        self._unpacker = zstandard.ZstdDecompressor()
        self._fresh: dict[bytes, PackedPatients] = {}
        """By patient key, oldest first. Of one key in two practices the later is meant: the other
        stays unpacked until it is written again."""

    def practice(self, code: str) -> Patients:
        return PackedPatients(self)

    def close(self) -> None:
        self._fresh.clear()

    def written(self, patient: bytes, place: "PackedPatients") -> None:
        fresh = self._fresh
        fresh.pop(patient, None)
        fresh[patient] = place
        if len(fresh) > self._most:
            oldest = next(iter(fresh))
            states = fresh.pop(oldest).states
            stored = states.get(oldest)
            if stored is not None and not is_packed(stored):
                # a copy is as long as it must be; what the packer returns has room behind it that
                # nobody else can use
                states[oldest] = bytes(memoryview(self._packer.compress(stored)))

    def unpacked(self, stored: bytes) -> bytes:
        return self._unpacker.decompress(stored) if is_packed(stored) else stored


_PACKED: Final = b"\x28\xb5\x2f\xfd"


def is_packed(stored: bytes) -> bool:
    """Whether it is a zstd frame: a state is a MessagePack array, and begins otherwise."""
    return stored.startswith(_PACKED)


class PackedPatients(MutableMapping[bytes, bytes]):
    __slots__ = ("_home", "states")

    def __init__(self, home: MemoryPartition) -> None:
        self._home = home
        self.states: dict[bytes, bytes] = {}

    def __getitem__(self, patient: bytes) -> bytes:
        return self._home.unpacked(self.states[patient])

    def get(self, patient: bytes, default: Any = None) -> Any:
        stored = self.states.get(patient)
        return default if stored is None else self._home.unpacked(stored)

    def __contains__(self, patient: object) -> bool:
        return patient in self.states

    def __setitem__(self, patient: bytes, stored: bytes) -> None:
        self.states[patient] = stored
        self._home.written(patient, self)

    def __delitem__(self, patient: bytes) -> None:
        del self.states[patient]

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.states)

    def items(self) -> Any:
        unpacked = self._home.unpacked
        return ((patient, unpacked(stored)) for patient, stored in self.states.items())


class RocksStore:
    """A database for each partition, in folders of this worker's own."""

    def __init__(self, folder: Path) -> None:
        import rocksdict  # an extra

        self._rocks = rocksdict
        self._folder = folder
        self._cache = rocksdict.Cache(CACHE_BYTES)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def partition(self, number: int) -> "RocksPartition":
        folder = self._folder / f"partition-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        rocks = self._rocks
        blocks = rocks.BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_bloom_filter(10, False)
        options = rocks.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(blocks)
        options.set_write_buffer_size(BUFFER_BYTES)
        options.set_max_write_buffer_number(2)
        options.set_compression_type(rocks.DBCompressionType.lz4())
        options.set_keep_log_file_num(1)
        options.set_max_open_files(64)
        database = rocks.Rdict(str(folder), options)
        writing = rocks.WriteOptions()
        writing.disable_wal = True
        database.set_write_options(writing)
        return RocksPartition(database, folder)


class RocksPartition:
    def __init__(self, database: Any, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def practice(self, code: str) -> Patients:
        return RocksPatients(self._database, code.encode() + b"/")

    def close(self) -> None:
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class RocksPatients(MutableMapping[bytes, bytes]):
    """Keys that start with the practice's code."""

    __slots__ = ("_count", "_database", "_prefix")

    def __init__(self, database: Any, prefix: bytes) -> None:
        self._database = database
        self._prefix = prefix
        self._count = 0

    def __getitem__(self, patient: bytes) -> bytes:
        found: bytes | None = self._database.get(self._prefix + patient)
        if found is None:
            raise KeyError(patient)
        return found

    def get(self, patient: bytes, default: Any = None) -> Any:
        return self._database.get(self._prefix + patient, default)

    def __contains__(self, patient: object) -> bool:
        return isinstance(patient, bytes) and self._prefix + patient in self._database

    def __setitem__(self, patient: bytes, stored: bytes) -> None:
        key = self._prefix + patient
        if key not in self._database:
            self._count += 1
        self._database[key] = stored

    def __delitem__(self, patient: bytes) -> None:
        key = self._prefix + patient
        if key not in self._database:
            raise KeyError(patient)
        del self._database[key]
        self._count -= 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        for patient, _ in self._pairs():
            yield patient

    def items(self) -> Any:
        return self._pairs()

    def _pairs(self) -> Iterator[tuple[bytes, bytes]]:
        start = len(self._prefix)
        for key, stored in self._database.items(from_key=self._prefix):
            if not key.startswith(self._prefix):
                return
            yield key[start:], stored


def check_setting(setting: str) -> None:
    """Raises UnusableStore where ``state_store`` would, and makes nothing."""
    if setting == MEMORY:
        return
    if not setting.startswith(ROCKSDB) or len(setting) == len(ROCKSDB):
        raise UnusableStore("PEERVIEW_STATE_STORE must be memory:// or rocksdb://PATH")
    if importlib.util.find_spec("rocksdict") is None:
        raise UnusableStore("PEERVIEW_STATE_STORE: rocksdb:// needs peerview-compute[rocksdict]")


def state_store(setting: str) -> StateStore:
    """What ``PEERVIEW_STATE_STORE`` asks for. Raises UnusableStore."""
    check_setting(setting)
    if setting == MEMORY:
        return MemoryStore()
    return RocksStore(Path(setting.removeprefix(ROCKSDB)))
