"""From what a user has in hand to the checkpoint: prefixes, files, directories, and names that are nearly right."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rnnprobe import formats
from rnnprobe.errors import BadInput, Refused, RnnprobeError
from tests.conftest import DATA

HERE = DATA / "formats"
FROM = HERE / "tf1.15-drv_partitioned" / "model.ckpt"


def put(prefix: Path) -> Path:
    """A whole bundle under this prefix."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    for end in ("index", "data-00000-of-00001"):
        shutil.copy(f"{FROM}.{end}", f"{prefix}.{end}")
    return prefix


def say(folder: Path, *named: str) -> Path:
    """A `checkpoint` file that names these, the first as the newest."""
    lines = [f'model_checkpoint_path: "{named[0]}"', *(f'all_model_checkpoint_paths: "{name}"' for name in named)]
    (folder / "checkpoint").write_text("\n".join(lines) + "\n")
    return folder


def refusal(path: Path | str) -> RnnprobeError:
    with pytest.raises(RnnprobeError) as raised:
        formats.read(path)
    return raised.value


def test_a_prefix_any_of_its_files_and_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = put(tmp_path / "model.ckpt-100")
    for path in (prefix, f"{prefix}.index", f"{prefix}.data-00000-of-00001", tmp_path, f"{tmp_path}/"):
        assert formats.read(path).path == prefix
    monkeypatch.chdir(tmp_path)
    for relative in (".", "model.ckpt-100", "./model.ckpt-100.index"):
        assert formats.read(relative).path.name == prefix.name
    shutil.copy(HERE / "tf0.12-drv_partitioned" / "model.ckpt.meta", f"{prefix}.meta")
    assert formats.read(f"{prefix}.meta").path == prefix


def test_a_checkpoint_file_names_the_newest(tmp_path: Path) -> None:
    older, newer = put(tmp_path / "model.ckpt-9"), put(tmp_path / "model.ckpt-10")
    error = refusal(tmp_path)
    assert "2 checkpoints" in error.message
    assert "model.ckpt-9, model.ckpt-10" in error.hint
    for named in ("model.ckpt-10", "./model.ckpt-10", "/home/someone/run/model.ckpt-10", "run/model.ckpt-10",
                  r"C:\\runs\\model.ckpt-10", r"runs\\model.ckpt-10", "gs://bucket/run/model.ckpt-10"):  # fmt: skip
        say(tmp_path, named, "model.ckpt-9")
        assert formats.read(tmp_path).path == newer, named
        assert formats.read(tmp_path / "checkpoint").path == newer
    assert formats.read(older).path == older
    say(tmp_path, "model.ckpt-11")
    error = refusal(tmp_path)
    assert "model.ckpt-11" in error.message
    assert "model.ckpt-10" in error.hint


@pytest.mark.parametrize(
    "named", ["../out/model.ckpt", "a/../../out/model.ckpt", "..", "/etc/..", r"..\\out\\model.ckpt", "",
              "link/model.ckpt",
              r"\056\056/out/model.ckpt", r"model\000.ckpt"],
)  # fmt: skip
def test_a_checkpoint_file_leads_nowhere_else(named: str, tmp_path: Path) -> None:
    put(tmp_path / "out" / "model.ckpt")
    put(tmp_path / "in" / "other.ckpt")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    with pytest.raises(Refused, match="not in its directory"):
        formats.read(say(tmp_path / "in", named))


def test_checkpoint_files_that_say_nothing(tmp_path: Path) -> None:
    for text in (b"", b"model_checkpoint_path: model", b"\xff\xfe\0", b"[" * 100_000, b'model_checkpoint_path: "open'):
        (tmp_path / "checkpoint").write_bytes(text)
        assert "names no checkpoint" in refusal(tmp_path).message


def test_names_nearly_right(tmp_path: Path) -> None:
    put(tmp_path / "run" / "model.ckpt-100")
    error = refusal(tmp_path / "run" / "model.ckpt-10")
    assert isinstance(error, BadInput)
    assert "model.ckpt-100" in error.hint
    assert "model.ckpt-100" in refusal(tmp_path / "run" / "model.ckpt").hint
    assert "did you mean run?" in refusal(tmp_path / "runs" / "model.ckpt-100").hint
    assert "run/model.ckpt-100" in refusal(tmp_path).hint
    (tmp_path / "run" / "notes.txt").write_text("nothing")
    assert "TensorFlow V2 bundle" in refusal(tmp_path / "run" / "notes.txt").hint
    (tmp_path / "empty").mkdir()
    assert "empty" in refusal(tmp_path / "empty").hint


def test_parts_of_a_checkpoint(tmp_path: Path) -> None:
    prefix = put(tmp_path / "model.ckpt-100")
    shutil.copy(HERE / "tf0.12-drv_partitioned" / "model.ckpt.meta", f"{prefix}.meta")
    Path(f"{prefix}.index").unlink()
    for path in (f"{prefix}.meta", f"{prefix}.data-00000-of-00001", prefix):
        assert "model.ckpt-100.index" in refusal(path).message


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    for name, data, said in (
        ("frozen.pb", b"\x0a\x05", "no TensorFlow graph"),
        ("model.pt", b"PK\x03\x04 and so on", "zip archive"),
        ("vocabulary.pkl", b"\x80\x04", "pickle"),
        ("x.npy", b"\x93NUMPY", "NumPy"),
        ("nothing", b"", "empty"),
        ("text", b"hello", "recognised"),
    ):
        (tmp_path / name).write_bytes(data)
        error = refusal(tmp_path / name)
        assert (error.status, said in error.message) == (2, True), error.message
    os.mkfifo(tmp_path / "pipe")
    assert "regular" in refusal(tmp_path / "pipe").message
    assert "NUL" in refusal(f"{tmp_path}/a\0b").message
    (tmp_path / "x.index").mkdir()
    assert refusal(tmp_path / "x.index").status == 2


def steps(path: Path) -> list[tuple[int | None, str]]:
    return [(step, found.name) for step, found in formats.series(path)]


def test_a_training_directory_in_order(tmp_path: Path) -> None:
    for number in (100, 9, 20):
        put(tmp_path / f"model.ckpt-{number}")
    put(tmp_path / "best")
    say(tmp_path, "model.ckpt-100")
    numbered = [(9, "model.ckpt-9"), (20, "model.ckpt-20"), (100, "model.ckpt-100")]
    assert steps(tmp_path) == [*numbered, (None, "best")]
    assert steps(tmp_path / "model.ckpt") == numbered
    assert steps(tmp_path / "model.ckpt-20") == [(20, "model.ckpt-20")]
    assert steps(tmp_path / "model.ckpt-20.index") == [(20, "model.ckpt-20")]
    with pytest.raises(BadInput, match="no such checkpoint"):
        formats.series(tmp_path / "modle")


@pytest.mark.parametrize(
    "named",
    [
        {5: "weights.05-0.31", 12: "weights.12-0.28", 30: "weights.30--1e-05"},
        {1: "ckpt_1", 2: "ckpt_2", 20: "ckpt_20"},
        {24100: "model_epoch_10_gs_24100", 25064: "model_epoch_11_gs_25064"},
        {3: "lstm128-3-units64", 7: "lstm128-7-units64"},
        {7: "only-7"},
    ],
)
def test_steps_in_names(named: dict[int, str], tmp_path: Path) -> None:
    for name in named.values():
        put(tmp_path / name)
    assert steps(tmp_path) == list(named.items())


def test_two_trainings_in_one_directory(tmp_path: Path) -> None:
    for name in ("encoder-1", "encoder-2", "decoder-1", "decoder-2"):
        put(tmp_path / name)
    with pytest.raises(BadInput, match="2 trainings") as raised:
        formats.series(tmp_path)
    assert "decoder-1" in raised.value.hint
    assert steps(tmp_path / "decoder") == [(1, "decoder-1"), (2, "decoder-2")]
    say(tmp_path, "encoder-2", "encoder-1")
    assert steps(tmp_path) == [(1, "encoder-1"), (2, "encoder-2")]


def test_published_directories(corpus: Path) -> None:
    assert formats.read(corpus / "g2p-tf11/tests/models/decode").path.name == "model.ckpt-0"
    assert [step for step, _ in formats.series(corpus / "md-training/training_checkpoints")] == [1, 20]
    missing = formats.read(corpus / "htr-no-data/model/model")
    assert all("snapshot-38.data-00000-of-00001" in tensor.problem for tensor in missing.tensors.values())
