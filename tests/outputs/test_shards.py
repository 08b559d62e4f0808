"""Shards side by side, copied into one trace or presented as one: always what the whole would be, bit by bit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.errors import BadInput, CannotWrite, Refused, RnnprobeError
from rnnprobe.outputs import join, virtual
from rnnprobe.types import Recording

from .parted import assert_same, scattered, shards
from .recordings import blocks, layer, outcome, recording, whole

VERIFICATION = {"status": "verified", "reason": "compared", "largest": 0.25, "compared": 7}


def plain() -> Recording:
    layers = [layer("a"), layer("b", "gru", 4, "backward"), layer("a/c", "lstm", 5, output_size=2)]
    return scattered(recording(layers, [[5, 3], [4, 9], [0, 6], [2, 11, 1], [8, 8], [7]]))


def text() -> Recording:
    return scattered(recording([layer("a")], [[3, 40], [12], [33, 30], [1]], vocabulary=("x", "y", "z")))


def wide() -> Recording:
    """Own steps, axes in space, other inputs, outputs with and without steps."""
    conv = layer("conv", "lstm", 2, space=(2, 3))
    return scattered(
        recording(
            [layer("a"), conv],
            [[5, 3], [4, 2], [6, 1]],
            own={"conv": [2, 1, 2, 1, 3, 0]},
            outcomes=[outcome("steps", (3,), [4, 1, 3, 1, 5, 1]), outcome("class", (2,))],
            beside={"other": [3, 1, 4, 1, 5, 9]},
        )
    )


def long() -> Recording:
    """Chunks of one sequence each, of which there are many; and a sequence shorter than one."""
    return recording([layer("a", units=32)], [[3000], [3], [9000], [4345]])


def many() -> Recording:
    return scattered(recording([layer("a", units=8)], [[1 + (31 * row) % 23 for row in range(32)]] * 6))


def ragged() -> Recording:
    """No shard is cut into chunks as the whole is, and none begins where a chunk of the whole does."""
    random = np.random.default_rng(4)
    return scattered(recording([layer("a", units=24)], [list(random.integers(1, 400, 3)) for _ in range(8)]))


WAYS = {"merged": join.join, "presented": virtual.write}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("make", "cuts", "how"),
    [
        (plain, (2, 4), {}),
        (plain, (), {}),
        (plain, (2,), {"dtype": "float16"}),
        (plain, (4,), {"compress": "gzip-1"}),
        (text, (2,), {}),
        (wide, (2,), {"dtype": "float64"}),
        (long, (1, 2, 3), {}),
        (long, (2,), {"compress": "gzip-1"}),
        (many, (2, 4), {}),
        (ragged, (2, 6), {}),
        (ragged, (2, 4, 6), {"compress": "lzf"}),
        (many, (2,), {"compress": "gzip-1"}),
    ],
)
def test_shards_are_the_whole(way: str, make: Callable[[], Recording], cuts: tuple[int, ...], how, tmp_path: Path):
    what = replace(make(), verification=VERIFICATION)
    arrays = whole(what)
    with outputs.open(tmp_path / "whole.h5", what, **how) as sink:
        for block in blocks(what, arrays, 700):
            sink.write(block)
    target = tmp_path / "t.h5"
    parts = shards(target, what, arrays, cuts, 700, **how)
    WAYS[way](outputs.check(target), what, outputs.settings(**how), parts)
    assert_same(tmp_path / "whole.h5", target)
    ours, theirs = outputs.load(target), outputs.load(tmp_path / "whole.h5")
    assert ours.names == theirs.names
    assert ours.verification == VERIFICATION
    for name, own in theirs.layers.items():
        for kind in ("signals", "initial", "final"):
            for key, stored in getattr(own, kind).items():
                found = getattr(ours.layers[name], kind)[key]
                np.testing.assert_array_equal(np.asarray(found), np.asarray(stored), strict=True)
                np.testing.assert_array_equal(found[1:, 1:3], stored[1:, 1:3], strict=True)
    for name, stored in theirs.outputs.items():
        np.testing.assert_array_equal(np.asarray(ours.outputs[name]), np.asarray(stored), strict=True)


def test_a_sequence_of_millions_of_steps(tmp_path: Path):
    what = recording([layer("a", "gru", 1)], [[2_000_000], [5]], record=["h"])
    arrays = whole(what)
    target = tmp_path / "t.h5"
    place = tmp_path / "whole.h5"
    with outputs.open(place, what) as sink:
        for block in blocks(what, arrays, 50_000):
            sink.write(block)
    parts = shards(target, what, arrays, (1,), 50_000)
    join.join(outputs.check(target), what, outputs.settings(), parts)
    assert_same(place, target)
    assert target.stat().st_size < 1.1 * place.stat().st_size


def test_chunks_of_padding_are_not_copied(tmp_path: Path):
    """A file of the parts is no larger than one that was written at once."""
    what = recording([layer("a", units=32)], [[9000], [3], [3], [3]])
    arrays = whole(what)
    target = tmp_path / "t.h5"
    join.join(outputs.check(target), what, outputs.settings(), shards(target, what, arrays, (1, 2, 3), 500))
    with outputs.open(tmp_path / "whole.h5", what) as sink:
        for block in blocks(what, arrays, 500):
            sink.write(block)
    assert target.stat().st_size < 1.05 * (tmp_path / "whole.h5").stat().st_size


def test_little_is_held(tmp_path: Path, monkeypatch):
    """Of an array a stretch at a time, whatever its length; each value is read once."""
    what = recording([layer("a", units=24)], [[9000, 2000], [3], [7001]], record=["h"])
    arrays = whole(what)
    target = tmp_path / "t.h5"
    parts = shards(target, what, arrays, (1, 2), 500)
    taken: list[tuple[int, int]] = []
    put = join.Slabs.put
    monkeypatch.setattr(join, "_STRETCH", 100_000)

    def counted(slabs: join.Slabs, piece: join.Piece) -> None:
        if piece.key[1] == "h":
            taken.append((piece.values.nbytes, piece.values.size))
        put(slabs, piece)

    monkeypatch.setattr(join.Slabs, "put", counted)
    join.join(outputs.check(target), what, outputs.settings(), parts)
    with h5py.File(target) as file:
        np.testing.assert_array_equal(file["layers/a/h"][()], arrays["a"]["h"])
    assert max(size for size, _ in taken) <= 256 << 10  # a chunk
    assert sum(count for _, count in taken) <= 1.3 * 24 * (9000 + 2000 + 3 + 7001)


def test_xarray_opens_what_is_presented(tmp_path: Path):
    xarray = pytest.importorskip("xarray")
    what = plain()
    arrays = whole(what)
    target = tmp_path / "t.h5"
    virtual.write(outputs.check(target), what, outputs.settings(), shards(target, what, arrays, (2,)))
    with xarray.open_dataset(target, group="layers/a", engine="h5netcdf", phony_dims="access") as found:
        np.testing.assert_array_equal(found["h"].values, arrays["a"]["h"])
        assert found["h"].dims == ("sequence", "time", "unit")


# What is no part of the trace ----------------------------------------------------------------------------------------


def presented(folder: Path) -> Path:
    what = plain()
    target = folder / "t.h5"
    virtual.write(outputs.check(target), what, outputs.settings(), shards(target, what, whole(what), (2, 4)))
    return target


def shard(target: Path, number: int = 1) -> Path:
    return target.with_name("t.h5.parts") / "job" / f"{number:05}.h5"


def a_link(target: Path) -> None:
    shard(target).rename(target.with_name("elsewhere.h5"))
    shard(target).symlink_to(target.with_name("elsewhere.h5"))


def a_directory_that_is_a_link(target: Path) -> None:
    shard(target).parent.rename(target.with_name("elsewhere"))
    shard(target).parent.symlink_to(target.with_name("elsewhere"))


def another_name(target: Path) -> None:
    target.with_name("t.h5.parts").rename(target.with_name("other.parts"))


def gone(target: Path) -> None:
    shard(target).unlink()


def a_fifo(target: Path) -> None:
    shard(target).unlink()
    os.mkfifo(shard(target))


def rewritten(source: str, name: str = "/layers/a/h", rows: slice = slice(4, 9)) -> Callable[[Path], None]:
    """The array made of another file."""

    def change(target: Path) -> None:
        with h5py.File(target, "r+") as file:
            shape, fill = file["layers/a/h"].shape, file["layers/a/h"].fillvalue
            del file["layers/a/h"]
            made = h5py.VirtualLayout(shape, "f4")
            for number, own in enumerate((slice(0, 4), rows, slice(9, 12))):
                path = f"t.h5.parts/job/{number:05}.h5" if number != 1 else source
                made[own] = h5py.VirtualSource(path, name, shape=(own.stop - own.start, *shape[1:]), dtype="f4")
            file.create_virtual_dataset("layers/a/h", made, fillvalue=fill)

    return change


def endless(target: Path) -> None:
    """More steps than any of the parts has."""
    with h5py.File(target, "r+") as file:
        del file["layers/a/h"]
        made = h5py.VirtualLayout((12, 1 << 40, 3), "f4")
        for number, own in enumerate((slice(0, 4), slice(4, 9), slice(9, 12))):
            with h5py.File(shard(target, number)) as part:
                shape = part["layers/a/h"].shape
            made[own, : shape[1]] = h5py.VirtualSource(f"t.h5.parts/job/{number:05}.h5", "/layers/a/h", shape=shape)
        file.create_virtual_dataset("layers/a/h", made)


def nested(target: Path) -> None:
    """A shard that leads on."""
    with h5py.File(shard(target), "r+") as file:
        shape = file["layers/a/h"].shape
        del file["layers/a/h"]
        made = h5py.VirtualLayout(shape, "f4")
        made[:] = h5py.VirtualSource("/etc/canary.h5", "h", shape=shape)
        file.create_virtual_dataset("layers/a/h", made)


def exchanged(target: Path) -> None:
    shutil.copy(shard(target, 0), shard(target, 1))


def truncated(target: Path) -> None:
    shard(target).write_bytes(shard(target).read_bytes()[:3000])


def other_lengths(target: Path) -> None:
    with h5py.File(target, "r+") as file:
        file["inputs/lengths"][5] = 2


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (a_link, Refused, "keeps its values in other files"),
        (a_directory_that_is_a_link, Refused, "keeps its values in other files"),
        (another_name, BadInput, "is made of parts, and .*t.h5.parts is missing"),
        (gone, BadInput, "is made of parts, and .*00001.h5 is missing"),
        (a_fifo, Refused, "keeps its values in other files"),
        (rewritten("/etc/passwd"), Refused, "keeps its values in other files"),
        (rewritten("t.h5.parts/../elsewhere.h5"), Refused, "keeps its values in other files"),
        (rewritten("t.h5.parts/job/00001.h5", "/layers/b/h"), Refused, "keeps its values in other files"),
        (rewritten("."), Refused, "keeps its values in other files"),
        (rewritten("t.h5.parts/job/00001.h5", rows=slice(3, 8)), BadInput, "is no part of"),
        (endless, BadInput, "and its parts reach"),
        (nested, Refused, "layers/a/h keeps its values in other files"),
        (exchanged, BadInput, "is no part of"),
        (truncated, BadInput, "is damaged"),
        (other_lengths, BadInput, "is no part of"),
    ],
)
def test_nothing_else_is_read(
    change: Callable[[Path], None], error: type[RnnprobeError], says: str, tmp_path: Path, monkeypatch
):
    target = presented(tmp_path)
    change(target)
    with pytest.raises(error, match=says):
        np.asarray(outputs.load(target).layers["a"].signals["h"])


def test_from_another_directory_and_by_a_link(tmp_path: Path, monkeypatch):
    target = presented(tmp_path)
    expected = np.asarray(outputs.load(target).layers["a"].signals["h"])
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "link.h5").symlink_to(target)
    monkeypatch.chdir(tmp_path / "below")
    for path in ("link.h5", "../t.h5"):
        np.testing.assert_array_equal(np.asarray(outputs.load(path).layers["a"].signals["h"]), expected)


def test_a_shard_that_holds_something_else_is_not_copied(tmp_path: Path):
    what = plain()
    target = tmp_path / "t.h5"
    parts = shards(target, what, whole(what), (2,))
    parts[1].path.write_bytes(parts[0].path.read_bytes())
    target.write_bytes(b"old")
    with pytest.raises(BadInput, match="is not what was recorded"):
        join.join(outputs.check(target, force=True), what, outputs.settings(), parts)
    assert target.read_bytes() == b"old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["t.h5", "t.h5.parts"]


def without_an_array(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["layers/a/h"]


def a_group_in_its_place(path: Path) -> None:
    without_an_array(path)
    with h5py.File(path, "r+") as file:
        file.create_group("layers/a/h")


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [without_an_array, a_group_in_its_place, cut_short])
def test_a_damaged_shard_is_named(harm, tmp_path: Path):
    what = plain()
    parts = shards(tmp_path / "t.h5", what, whole(what), (2,))
    harm(parts[1].path)
    with pytest.raises(BadInput, match="is damaged") as refused:
        join.join(outputs.check(tmp_path / "t.h5"), what, outputs.settings(), parts)
    assert refused.value.path == parts[1].path


@pytest.mark.parametrize("fault", [KeyError("slab"), RuntimeError("a chunk")])
def test_what_fails_on_the_way_out_is_no_damage_of_a_shard(fault, tmp_path: Path, monkeypatch):
    what = plain()
    parts = shards(tmp_path / "t.h5", what, whole(what), (2,))

    def put(slabs: join.Slabs, piece: join.Piece) -> None:
        raise fault

    monkeypatch.setattr(join.Slabs, "put", put)
    with pytest.raises(type(fault)):
        join.join(outputs.check(tmp_path / "t.h5"), what, outputs.settings(), parts)


def test_no_room_for_the_copy(tmp_path: Path, monkeypatch):
    what = plain()
    target = tmp_path / "t.h5"
    parts = shards(target, what, whole(what), (2,))
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((1, 1, 1, 1, 0, 1, 1, 1, 1, 1)))
    with pytest.raises(CannotWrite, match="the disk has 0 free"):
        join.join(outputs.check(target), what, outputs.settings(), parts)
