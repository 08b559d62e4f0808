"""The workers of a Dask cluster: processes of this machine, one of which is killed half-way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import rnnprobe
from rnnprobe.errors import BadInput, OutOfResources

from ..conftest import SAMPLES
from ..outputs.parted import assert_same

pytest.importorskip("distributed")

DIGITS = SAMPLES / "gru_digits.keras"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An input of nine windows, and its trace by one process."""
    folder = tmp_path_factory.mktemp("plain")
    random = np.random.default_rng(5)
    lengths = random.integers(100, 200, 9 * 256)
    np.savez(folder / "x.npz", x=random.normal(size=(len(lengths), 200, 8)).astype("f"), lengths=lengths)
    done = subprocess.run(command(folder, "plain.h5"), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def command(folder: Path, out: str, *words: str) -> list[str]:
    options = ["--input", "x.npz", "--record", "h,z", "-o", out]
    return [sys.executable, "-m", "rnnprobe", "trace", str(DIGITS), *options, *words]


def writers(folder: Path) -> set[int]:
    """The processes that are writing a part."""
    names = [path.name for path in folder.glob("t.h5.parts/*/.*.tmp")]
    return {int(found[1]) for name in names if (found := re.search(r"-(\d+)-", name))}


def test_a_worker_is_killed_half_way(plain):
    """The parts of the lost one are done by others; what comes out is the plain trace, presented and merged."""
    running = subprocess.Popen(
        command(plain, "t.h5", "--scheduler", "local:2"), cwd=plain, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    killed = 0
    while not killed and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
        if len(list(plain.glob("t.h5.parts/*/0*.h5"))) >= 2:
            for worker in writers(plain):
                assert worker != running.pid
                os.kill(worker, signal.SIGKILL)
                killed = worker
                break
    _, errors = running.communicate(timeout=120)
    assert killed
    assert running.returncode == 0, errors
    assert errors.startswith("rnnprobe: wrote t.h5 ")
    assert "Traceback" not in errors
    folder = plain / "t.h5.parts"
    assert len(list(folder.glob("*/0*.h5"))) >= 8
    assert (plain / "t.h5").stat().st_size < (plain / "plain.h5").stat().st_size / 10
    assert_same(plain / "plain.h5", plain / "t.h5")
    trace, expected = rnnprobe.load_trace(plain / "t.h5"), rnnprobe.load_trace(plain / "plain.h5")
    for name, layer in expected.layers.items():
        for signal_, stored in layer.signals.items():
            np.testing.assert_array_equal(trace.layers[name].signals[signal_], np.asarray(stored))
        np.testing.assert_array_equal(trace.layers[name].final["h"], np.asarray(layer.final["h"]))

    # What is presented, merged: nothing is done again.
    words = ("--scheduler", "local:1", "--merge", "--force", "--resume")
    done = subprocess.run(command(plain, "t.h5", *words), cwd=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count = len(list(expected.layers))
    assert count
    assert re.search(r"(\d+) of \1 parts were done before", done.stderr), done.stderr
    assert not folder.exists()
    assert_same(plain / "plain.h5", plain / "t.h5")


def test_interrupted_and_gone_on_with_alone(plain):
    """Ctrl-C goes to every process of the terminal; one machine goes on with what the cluster began."""
    running = subprocess.Popen(
        command(plain, "i.h5", "--scheduler", "local:1", "--merge"),
        cwd=plain,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(plain.glob("i.h5.parts/*/0*.h5"))) < 3 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    assert not (plain / "i.h5").exists()
    done = subprocess.run(command(plain, "i.h5", "--resume"), cwd=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "parts were done before" in done.stderr
    assert_same(plain / "plain.h5", plain / "i.h5")
    assert not (plain / "i.h5.parts").exists()


# What a worker looks at, without a cluster --------------------------------------------------------------------------


def test_a_worker_says_why_it_can_not(tmp_path, monkeypatch):
    from dataclasses import replace

    from rnnprobe.runs import Job, Reading, cluster, opened, provenance, threads

    np.save(tmp_path / "x.npy", np.ones((1, 4), "i"))
    monkeypatch.chdir(tmp_path)
    job = Job(DIGITS, Reading(("x.npy",)))
    attributes = provenance.provenance(opened(job).checkpoint, job.source, [])
    folder = tmp_path / "t.h5.parts" / "job"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    sizes = ((Path("x.npy"), (tmp_path / "x.npy").stat().st_size),)
    releases = tuple(provenance.releases().items())
    number = os.environ.get(threads.VARIABLE)
    order = cluster.Order(job, tuple(attributes.items()), folder, tmp_path, sizes, releases, number)
    assert cluster.check(order) == cluster.Answer("")
    for change, says in (
        ({"folder": tmp_path / "nowhere"}, "does not see .*nowhere: a file system that all of them share is needed"),
        ({"directory": tmp_path / "nowhere"}, "does not see what is read here: .*nowhere"),
        ({"sizes": ((Path("x.npy"), 5),)}, "sees another file at x.npy"),
        ({"sizes": ((Path("y.npy"), 5),)}, "does not see what is read here: .*y.npy"),
        ({"attributes": (("model_sha256", "0"),)}, "sees another model at"),
        ({"job": replace(job, model=tmp_path / "no_model")}, "no_model"),
        ({"releases": (*releases[1:], ("rnnprobe", "0.0.1"))}, r"has rnnprobe .*; here it is 0\.0\.1"),
    ):
        assert re.search(says, cluster.check(replace(order, **change)).problem)
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize(("before", "wanted"), [("1", None), (None, "1"), ("4", "1"), ("1", "1"), (None, None)])
def test_threads_of_a_worker_that_ran_another_job(before, wanted, monkeypatch):
    """The number is the order's until TensorFlow begins; then another one is refused."""
    from rnnprobe.runs import threads

    def begin() -> None:
        monkeypatch.delenv(threads.VARIABLE, raising=False)
        if before is not None:
            monkeypatch.setenv(threads.VARIABLE, before)

    begin()
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert threads.become(wanted) == ""
    assert os.environ.get(threads.VARIABLE) == wanted
    begin()
    monkeypatch.setitem(sys.modules, "tensorflow", os)
    assert bool(threads.become(wanted)) == (before != wanted)
    assert os.environ.get(threads.VARIABLE) == before


def begin(number: str) -> None:
    """On a worker: TensorFlow has begun with so many threads."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = number
    sys.modules["tensorflow"] = os


def begun() -> bool:
    return "tensorflow" in sys.modules


@pytest.mark.parametrize("state", ["free", "busy", "without a nanny"])
def test_a_worker_that_has_begun_with_other_threads(state, tmp_path, monkeypatch):
    """It gets a new process where nobody needs the old one; else it is said what to do."""
    from distributed import Client, LocalCluster

    from rnnprobe.runs import cluster, threads

    monkeypatch.setenv(threads.VARIABLE, "1")
    order = cluster.Order(cluster.Job(DIGITS, None), (), tmp_path / "job", tmp_path, (), (), None)
    monkeypatch.setattr(cluster, "_order", lambda ready, ledger: order)
    ledger = type("Ledger", (), {"folder": tmp_path / "job", "todo": ()})()
    with (
        LocalCluster(n_workers=1, processes=state != "without a nanny", dashboard_address=None) as outside,
        Client(outside) as client,
        closing(cluster.Cluster(outside.scheduler_address)) as ours,
    ):
        if state == "without a nanny":
            monkeypatch.setitem(sys.modules, "tensorflow", os)
        else:
            client.run(begin, "1")
        held = client.submit(int, 5) if state == "busy" else None
        assert held is None or held.result() == 5
        with pytest.raises(BadInput) as refused:
            list(ours.work(None, ledger, lambda steps: None))
        assert list(client.run(begun).values()) == [state != "free"]
        if state == "free":  # it goes on to what is wrong with the order
            assert "has begun" not in refused.value.message
        else:
            assert "has begun to compute with TF_NUM_INTRAOP_THREADS 1; this trace wants it not set" in str(
                refused.value
            )
            (address,) = client.nthreads()
            assert f"restart_workers(['{address}'])" in refused.value.hint


def test_the_workers_of_a_machine_share_its_cores(monkeypatch):
    from rnnprobe.cores import cores

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert [cores(workers) for workers in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]


def test_a_scheduler_that_goes_away_is_said_in_words(tmp_path):
    from distributed import CancelledError

    from rnnprobe.runs import cluster

    with (
        pytest.raises(OutOfResources, match="the cluster does not answer any more: trace-1"),
        cluster._reached(tmp_path),
    ):
        raise CancelledError("trace-1")


def test_a_scheduler_without_a_worker(monkeypatch):
    from distributed import LocalCluster

    from rnnprobe.runs import cluster

    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as none,
        pytest.raises(BadInput, match="has no worker"),
    ):
        cluster.Cluster(none.scheduler_address)


def test_no_scheduler_there(monkeypatch):
    from rnnprobe.runs import cluster

    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with pytest.raises(BadInput, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"):
        cluster.Cluster("tcp://127.0.0.1:9")
