"""One contract for every kind of blob store: files, and obstore's stores (local and memory stand in for S3,
GCS and Azure, which share its code)."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from casemate.store import blobs_objectstore
from casemate.store.blobs import BlobNotFound, BlobStore, Source, open_blobs, sweep_orphans
from casemate.store.blobs_files import FileBlobs
from casemate.store.blobs_objectstore import ObjectBlobs
from casemate.store.errors import StoreError, Unavailable

KINDS = ["files", "obstore local", "obstore memory"]
ABSENT = "0" * 32


def make(kind: str, directory: Path) -> BlobStore:
    if kind == "files":
        return FileBlobs(directory / "blobs")
    from obstore.store import LocalStore, MemoryStore

    if kind == "obstore local":
        return ObjectBlobs(LocalStore(prefix=directory / "objects", mkdir=True))
    return ObjectBlobs(MemoryStore())


@pytest.fixture(params=KINDS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return make(request.param, tmp_path)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few kilobytes already go up in parts."""
    monkeypatch.setattr(blobs_objectstore, "_PART_BYTES", 1000)


def content(blobs: BlobStore, blob_id: str, start: int = 0, length: int | None = None) -> bytes:
    with blobs.open(blob_id, start, length) as part:
        return part.read()


def ids(blobs: BlobStore) -> set[str]:
    return {blob.id for blob in blobs.list()}


BODY = bytes(range(256)) * 20

SOURCES: dict[str, Callable[[], Source]] = {
    "bytes": lambda: BODY,
    "bytearray": lambda: bytearray(BODY),
    "memoryview": lambda: memoryview(BODY),
    "file": lambda: io.BytesIO(BODY),
    "pieces": lambda: [BODY[:1], b"", BODY[1:3000], memoryview(BODY)[3000:]],
    "generator": lambda: (BODY[at : at + 7] for at in range(0, len(BODY), 7)),
}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("source", SOURCES)
def test_what_was_put_comes_back(blobs: BlobStore, source: str) -> None:
    blob_id = blobs.put(SOURCES[source]())
    assert content(blobs, blob_id) == BODY
    (listed,) = blobs.list()
    assert (listed.id, listed.size) == (blob_id, len(BODY))
    assert abs(listed.modified - time.time()) < 60


def test_an_empty_blob_is_one(blobs: BlobStore) -> None:
    sources: list[Source] = [b"", [], io.BytesIO()]
    for source in sources:
        blob_id = blobs.put(source)
        assert content(blobs, blob_id) == b""
        assert content(blobs, blob_id, 5, 5) == b""
    assert len(ids(blobs)) == 3


@pytest.mark.parametrize("start", [0, 1, 4999, 5119, 5120, 5121, 9999])
@pytest.mark.parametrize("length", [None, 0, 1, 4999, 5120, 9999])
def test_a_part_is_what_a_slice_takes(blobs: BlobStore, start: int, length: int | None) -> None:
    blob_id = blobs.put(BODY)
    with blobs.open(blob_id, start, length) as part:
        assert part.size == len(BODY)
        assert part.read() == BODY[start : None if length is None else start + length]
        assert part.read() == b""
        assert part.read(1) == b""


def test_a_part_is_read_in_exact_pieces(blobs: BlobStore) -> None:
    with blobs.open(blobs.put(BODY), 10, 1000) as part:
        pieces = list(iter(lambda: part.read(333), b""))
    assert [len(piece) for piece in pieces] == [333, 333, 333, 1]
    assert b"".join(pieces) == BODY[10:1010]


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
def test_a_part_with_negative_numbers_is_refused(blobs: BlobStore, start: int, length: int | None) -> None:
    blob_id = blobs.put(BODY)
    with pytest.raises(ValueError, match="no negative length"):
        blobs.open(blob_id, start, length)


def test_a_blob_that_is_not_there_is_not_found(blobs: BlobStore) -> None:
    for start, length in ((0, None), (0, 0), (5, None), (5, 5)):
        with pytest.raises(BlobNotFound):
            blobs.open(ABSENT, start, length)


def test_deleting_twice_is_as_good_as_once(blobs: BlobStore) -> None:
    gone, kept = blobs.put(b"gone"), blobs.put(b"kept")
    blobs.delete(gone)
    blobs.delete(gone)
    blobs.delete(ABSENT)
    assert ids(blobs) == {kept}
    with pytest.raises(BlobNotFound):
        blobs.open(gone)


@pytest.mark.parametrize(
    "bad",
    ["", "../../etc/passwd", "a" * 31, "a" * 33, "A" * 32, "a" * 31 + "/", "é" * 32, "0" * 32 + "\n"],
)
def test_what_is_no_id_never_becomes_a_path(blobs: BlobStore, bad: str) -> None:
    for use in (blobs.open, blobs.delete):
        with pytest.raises(ValueError, match="32 lower-case hexadecimal digits"):
            use(bad)


class SourceError(Exception):
    """The client went away."""


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("after", [0, 1, 100])
@pytest.mark.parametrize("kind", [SourceError, ConnectionResetError, FileNotFoundError])
def test_a_source_that_fails_leaves_nothing(blobs: BlobStore, after: int, kind: type[Exception]) -> None:
    def source() -> Iterator[bytes]:
        for _ in range(after):
            yield b"x" * 500
        raise kind("gone")

    with pytest.raises(kind, match="gone"):
        blobs.put(source())
    assert ids(blobs) == set()
    assert blobs.discard_unfinished(time.time() + 60) == 0


def test_ids_are_in_the_order_of_time(blobs: BlobStore) -> None:
    made = [blobs.put(b"x") for _ in range(20)]
    assert made == sorted(made)


def test_many_threads_put_and_read(blobs: BlobStore) -> None:
    found: list[tuple[bytes, bytes]] = []

    def work(thread: int) -> None:
        for number in range(10):
            body = b"%d %d " % (thread, number) * 500
            found.append((body, content(blobs, blobs.put(body))))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 40
    assert all(body == read for body, read in found)


def test_orphans_are_swept_and_nothing_else(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casemate.store.blobs._SWEEP_BATCH", 3)
    kept = {blobs.put(b"kept") for _ in range(5)}
    orphans = {blobs.put(b"orphan") for _ in range(5)}
    asked: list[list[str]] = []

    def referenced(some: list[str]) -> list[str]:
        asked.append(some)
        return [blob_id for blob_id in some if blob_id in kept]

    assert list(sweep_orphans(blobs, referenced, before=time.time() - 3600)) == []
    assert asked == [], "young blobs are not even asked for"
    assert set(sweep_orphans(blobs, referenced, before=time.time() + 3600)) == orphans
    assert [len(some) for some in asked] == [3, 3, 3, 1]
    assert ids(blobs) == kept


class Contract(RuleBasedStateMachine):
    """Any history of puts, reads and deletions agrees with a dictionary."""

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.model: dict[str, bytes] = {}

    @initialize(kind=st.sampled_from(KINDS))
    def begin(self, kind: str) -> None:
        self.blobs = make(kind, self.directory)

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    @rule(target=known, pieces=st.lists(st.binary(max_size=3000), max_size=5))
    def put(self, pieces: list[bytes]) -> str:
        blob_id = self.blobs.put(iter(pieces))
        assert blob_id not in self.model, "ids are new"
        self.model[blob_id] = b"".join(pieces)
        return blob_id

    @rule(pieces=st.lists(st.binary(max_size=3000), max_size=3))
    def put_fails(self, pieces: list[bytes]) -> None:
        def source() -> Iterator[bytes]:
            yield from pieces
            raise SourceError

        with pytest.raises(SourceError):
            self.blobs.put(source())

    @rule(blob_id=known, start=st.integers(0, 9000), length=st.none() | st.integers(0, 9000))
    def read(self, blob_id: str, start: int, length: int | None) -> None:
        if blob_id in self.model:
            expected = self.model[blob_id][start : None if length is None else start + length]
            assert content(self.blobs, blob_id, start, length) == expected
        else:
            with pytest.raises(BlobNotFound):
                self.blobs.open(blob_id, start, length)

    @rule(target=known, blob_id=consumes(known), again=st.booleans())
    def delete(self, blob_id: str, again: bool) -> object:
        self.blobs.delete(blob_id)
        self.model.pop(blob_id, None)
        return blob_id if again else multiple()

    @invariant()
    def lists_what_is_there(self) -> None:
        if hasattr(self, "blobs"):
            listed = {blob.id: blob.size for blob in self.blobs.list()}
            assert listed == {blob_id: len(body) for blob_id, body in self.model.items()}


TestContract = Contract.TestCase
TestContract.settings = settings(
    max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# Files alone.


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "a" / "blobs")
    blob_id = blobs.put(b"x")
    path = tmp_path / "a" / "blobs" / blob_id[-2:] / blob_id
    assert path.read_bytes() == b"x"
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (path.parent, path.parent.parent, tmp_path / "a" / "blobs" / "incoming"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_is_synced_before_it_is_renamed_and_its_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FileBlobs(tmp_path)
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def spy_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').resolve().relative_to(tmp_path)}")
        fsync(descriptor)

    def spy_rename(self: Path, target: Path) -> Path:
        done = rename(self, target)
        steps.append("rename")
        return done

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "rename", spy_rename)
    blob_id = blobs.put(b"x")
    assert steps == [f"sync incoming/{blob_id}", "sync .", "rename", f"sync {blob_id[-2:]}"]


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    blobs = FileBlobs(tmp_path)

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(Unavailable, match="No space left on device"):
            blobs.put(b"x")
    assert ids(blobs) == set()
    assert list((tmp_path / "incoming").iterdir()) == []


def test_what_a_killed_put_leaves_behind_is_discarded_when_it_is_old(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    old, young = tmp_path / "incoming" / ("1" * 32), tmp_path / "incoming" / ("2" * 32)
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    assert ids(blobs) == set(), "half a blob is none"
    assert blobs.discard_unfinished(time.time() - 3600) == 1
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == [young.name]
    os.utime(young, (1000, 1000))
    list(sweep_orphans(blobs, lambda some: some, before=2000))
    assert list((tmp_path / "incoming").iterdir()) == []


def test_files_that_are_no_blobs_are_left_alone(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    blob_id = blobs.put(b"x")
    (tmp_path / "NOTE").write_text("?")
    (tmp_path / blob_id[-2:] / "NOTE").write_text("?")
    (tmp_path / blob_id[-2:] / ("3" * 30 + blob_id[-2:])).symlink_to("/etc/hostname")
    assert ids(blobs) == {blob_id}


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    (tmp_path / "00").mkdir()
    (tmp_path / "00" / ABSENT).symlink_to("/etc/hostname")
    with pytest.raises(Unavailable):
        blobs.open(ABSENT)


def test_a_blob_deleted_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    blob_id = blobs.put(BODY)
    with blobs.open(blob_id) as part:
        blobs.delete(blob_id)
        assert part.read() == BODY
    part.close()


def test_a_file_that_was_cut_is_noticed(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    blob_id = blobs.put(BODY)
    with blobs.open(blob_id) as part:
        os.truncate(tmp_path / blob_id[-2:] / blob_id, 100)
        with pytest.raises(Unavailable, match="shorter than it was"):
            part.read()


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        FileBlobs(tmp_path / "file")


# Object stores alone.


def test_an_object_store_that_fails_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An S3 endpoint that nobody listens at."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-not-to-be-shown")
    from obstore.store import S3Store

    store = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:1",
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    blobs = ObjectBlobs(store)
    for use in (
        lambda: blobs.put(b"x"),
        lambda: blobs.open(ABSENT),
        lambda: blobs.delete(ABSENT),
        lambda: list(blobs.list()),
    ):
        with pytest.raises(Unavailable, match="the object store failed") as refusal:
            use()
        assert "secret-not-to-be-shown" not in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_objects_that_are_no_blobs_are_left_alone(tmp_path: Path) -> None:
    import obstore
    from obstore.store import MemoryStore

    store = MemoryStore()
    blobs = ObjectBlobs(store)
    blob_id = blobs.put(b"x")
    for name in ("README", f"elsewhere/{blob_id}", "00/note"):
        obstore.put(store, name, b"?")
    assert ids(blobs) == {blob_id}


# Where blobs are kept.


def test_a_place_says_which_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (str(tmp_path / "with space"), f"file://{tmp_path}/with%20space"):
        blobs = open_blobs(place)
        assert repr(blobs) == f"<FileBlobs {tmp_path}/with space>"
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert repr(open_blobs("s3://bucket/prefix")) == "<ObjectBlobs in S3Store>"
    memory = open_blobs("memory://")
    assert content(memory, memory.put(b"x")) == b"x"


@pytest.mark.parametrize("place", ["https://example.com/bucket", "ftp://x", "S3://bucket"])
def test_another_place_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="blobs are kept at"):
        open_blobs(place)


def test_a_missing_obstore_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(StoreError, match=r"pip install 'casemate\[objectstore\]'"):
        open_blobs("s3://bucket")


@pytest.mark.parametrize("kind", ["files", "obstore local"])
def test_a_large_blob_passes_in_constant_memory(tmp_path: Path, kind: str) -> None:
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from test_blobs import make\n"
        "blobs = make(sys.argv[1], Path(sys.argv[2]))\n"
        "piece = bytes(1 << 20)\n"
        "blobs.put([piece] * 20)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "blob_id = blobs.put(piece for _ in range(200))\n"
        "with blobs.open(blob_id) as part:\n"
        "    assert sum(len(read) for read in iter(lambda: part.read(1 << 20), b'')) == 200 << 20\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "assert grown < 80 * 1024, f'{grown} KiB more for 200 MiB'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, kind, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
