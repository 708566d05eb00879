"""A collection of Milvus gives the hits of an index folder, through building, adding, replacing and deleting."""

import json

import numpy as np
import pytest

from sparseir.encode.indexing import index_documents
from sparseir.cli.app import main
from sparseir.errors import SparseIRError
from sparseir.search.searcher import Searcher
from sparseir.stores.client import StoreClient
from sparseir.stores.places import store_place

pytest.importorskip("pymilvus", reason="pymilvus is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = "apple bread cheese dates eggs figs grapes honey ice jam".split()
QUERIES = ["apple honey", "figs", "jam bread eggs", "new dates", "nothing"]


def corpus(path, numbers, seed):
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        for i in numbers:
            text = " ".join(rng.choice(WORDS, rng.integers(3, 40))) + (" new" if seed else "")
            file.write(json.dumps({"_id": f"d{i}", "title": "", "text": text, "year": 1990 + i % 20}) + "\n")
    return str(path)


def same(place, folder, **more):
    ours, theirs = Searcher.open(folder), Searcher.open(place)
    assert theirs.index.num_docs == ours.index.num_docs
    for query in QUERIES:
        a, b = ours.search(query, 200, **more), theirs.search(query, 200, **more)
        assert b.scores.tolist() == a.scores.tolist()
        assert b.docnos == a.docnos  # k is above the matches: no ties are cut
