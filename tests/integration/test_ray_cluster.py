"""Encoding on a Ray cluster of two nodes, one of which is killed: the file, and the shards built of it, are those of one process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
ray = pytest.importorskip("ray", reason="ray is not installed")

from indexer import build_shards  # noqa: E402
from indexer.interchange import open_vectors  # noqa: E402
from sparseir.config.encode import EncodeConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.encode.collection import encode_collection  # noqa: E402
from sparseir.encode.collection_parts import CollectionOptions  # noqa: E402
from sparseir.encode.ray_collection import encode_on_cluster  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
CONFIG = EncodeConfig(batch_size=16, part_size=40, dtype="float32")
DOCUMENTS = [Document(f"d{i}", TEXTS[i % 5] + " cat" * (i % 7)) for i in range(500)]


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker of one CPU: sums of floats depend on it
    base = save_masked_lm(tmp_path / "bert")
    SparseEncoder.from_config(ModelConfig(base=str(base), max_document_length=32)).save(tmp_path / "model")
    yield tmp_path / "model"
    torch.set_num_threads(threads)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # on a busy machine workers would not get to work
    root = Path(__file__).parents[2]  # workers import this checkout, as the driver does
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield started
    ray.shutdown()
    started.shutdown()


def test_a_node_that_is_killed_changes_nothing(cluster: Any, model: Path, tmp_path: Path) -> None:
    lost, output = cluster.add_node(num_cpus=1), tmp_path / "there.npz"
    killed = threading.Event()

    def kill_after_the_first_shard() -> None:
        while not list(tmp_path.glob("there.npz.shards/shard-*.npz")):
            time.sleep(0.02)
        cluster.remove_node(lost, allow_graceful=False)
        killed.set()

    watch = threading.Thread(target=kill_after_the_first_shard, daemon=True)
    watch.start()
    written = encode_on_cluster(
        model, lambda: iter(DOCUMENTS), output, address=cluster.address, options=CollectionOptions(config=CONFIG)
    )
    watch.join(60)
    assert killed.is_set()
    assert (written.num_rows, written.before) == (len(DOCUMENTS), False)
    encoder = SparseEncoder.load(model)
    encode_collection(encoder, DOCUMENTS, tmp_path / "here.npz", options=CollectionOptions(config=CONFIG))
    assert output.read_bytes() == (tmp_path / "here.npz").read_bytes()
    assert not (tmp_path / "there.npz.shards").exists()
    found = []
    for name in ("there", "here"):
        build_shards(tmp_path / name, open_vectors(tmp_path / f"{name}.npz"), shards=3)
        found.append(Searcher.open(tmp_path / name).search_vectors(encoder.encode_queries(TEXTS), 20))
    np.testing.assert_array_equal(found[0].ordinals, found[1].ordinals)
    np.testing.assert_array_equal(found[0].scores, found[1].scores)
    assert encode_collection(
        encoder, DOCUMENTS, output, options=CollectionOptions(config=CONFIG, resume=True)
    ).before, "what a cluster wrote is complete for one process, too"


def test_a_stopped_run_goes_on(cluster: Any, model: Path, tmp_path: Path) -> None:
    output, switch = tmp_path / "v.npz", tmp_path / "broken"
    switch.touch()

    def read() -> Iterator[Document]:
        for i, document in enumerate(DOCUMENTS):
            if i == 200 and switch.exists() and any(output.parent.glob("v.npz.shards/shard-1-*.npz")):
                raise DataError("the disk of the texts is gone")
            yield document

    options = CollectionOptions(config=CONFIG)
    with pytest.raises(DataError, match="the disk of the texts is gone"):
        encode_on_cluster(model, read, output, address=cluster.address, options=options)
    first = next(tmp_path.glob("v.npz.shards/shard-1-of-*.npz"))
    made = first.stat().st_mtime_ns
    assert not output.exists()
    switch.unlink()
    shards = []
    resumed = CollectionOptions(config=CONFIG, resume=True)

    def progress(stage: str, done: int, total: int | None) -> None:
        shards.append(first.stat().st_mtime_ns)

    encode_on_cluster(model, read, output, address=cluster.address, options=resumed, progress=progress)
    assert set(shards) == {made}, "a finished shard is not made again"
    encode_collection(SparseEncoder.load(model), DOCUMENTS, tmp_path / "here.npz", options=options)
    assert output.read_bytes() == (tmp_path / "here.npz").read_bytes()


def test_no_cluster_is_said(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no Ray cluster at '127.0.0.1:9'.*ray start --head"):
        encode_on_cluster(model, lambda: iter(DOCUMENTS), tmp_path / "v.npz", address="127.0.0.1:9")
