"""`sparseir evaluate`: run files, models and baselines beside each other, and what is refused before any work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir.search.runs import read_run
from tests.integration.test_text_chain import sparseir
from tests.tiny_collections import QUERIES, write_collection, write_jsonl

ROOT = Path(__file__).parents[2]
FAST = ("--resamples", 200)


def records(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def judged_runs(tmp_path):
    """Two queries with one relevant document each; `good` has both first, `bad` second, and ties in `bad`."""
    (tmp_path / "qrels.txt").write_text("1 0 a 1.0\n2 0 b 1\n")
    (tmp_path / "good.trec").write_text("1 Q0 a 1 2.0 t\n1 Q0 x 2 1.0 t\n2 Q0 b 1 2.0 t\n")
    (tmp_path / "bad.trec").write_text("1 Q0 a 1 1.0 t\n1 Q0 x 2 1.0 t\n2 Q0 y 1 2.0 t\n2 Q0 b 2 1.0 t\n9 Q0 b 1 1 t\n")
    return tmp_path


def test_run_files_need_no_model_and_no_torch(judged_runs):
    program = (
        "import sys; from sparseir import cli; code = cli.run(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'matplotlib', 'numba'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "evaluate", "good.trec", "qrels.txt", "--measures", "RR@10", "--json"],
        capture_output=True, text=True, cwd=judged_runs, env={"PYTHONPATH": str(ROOT), "PATH": ""}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["measures"] == {"RR@10": 1.0}


def test_files_at_fault_are_known_for_what_they_should_be(judged_runs):
    """A run of a search that found nothing, and judgements with a grade that is no number: neither is a corpus."""
    (judged_runs / "none.trec").write_text("")
    (judged_runs / "bad.txt").write_text("1 0 a x\n")
    done = sparseir("evaluate", judged_runs / "none.trec", judged_runs / "qrels.txt", code=1)
    assert "none.trec: holds no hits" in done.stderr
    done = sparseir("evaluate", judged_runs / "good.trec", judged_runs / "bad.txt", code=1)
    assert "bad.txt:1: relevance 'x' is not an integer" in done.stderr


def test_run_files_beside_each_other(judged_runs):
    """In `bad` query 1 is a tie, which trec_eval breaks by docno downwards: x before a. So both queries have RR .5."""
    per_query = judged_runs / "values.tsv"
    done = sparseir(
        *("evaluate", "--run", judged_runs / "good.trec", "--run", judged_runs / "bad.trec", "--json"),
        *("--qrels", judged_runs / "qrels.txt", "--measures", "RR@10,P@1", "--per-query", per_query),
        *("--fuse", "convex", "--fuse-weight", 1),
    )
    good, bad, fused = records(done)
    assert [r["system"] for r in (good, bad, fused)] == ["good", "bad", "good & bad (convex)"]
    assert [r["measures"]["RR@10"] for r in (good, bad, fused)] == [1.0, 0.5, 1.0]
    assert good["comparisons"] == {}
    one = bad["comparisons"]["RR@10"]
    assert (one["against"], one["difference"], one["wins"], one["ties"], one["losses"]) == ("good", -0.5, 0, 0, 2)
    assert (one["p"], one["p_holm"]) == (0.5, 1.0)  # 2 of the 4 exchanges are as far; two systems are compared
    assert bad["notes"] == [f"{judged_runs / 'bad.trec'}: 1 of its queries, '9' first, are not judged and not counted"]
    lines = per_query.read_text().splitlines()
    assert lines[0] == "collection\tsystem\tmeasure\tquery\tvalue"
    assert "qrels\tbad\tRR@10\t1\t0.500000" in lines
    assert len(lines) == 1 + 3 * 2 * 2
    table = sparseir("evaluate", judged_runs / "bad.trec", judged_runs / "good.trec", judged_runs / "qrels.txt").stdout
    assert "compared with bad" in table


def test_a_mean_agrees_with_ir_measures_on_the_file(judged_runs):
    import ir_measures

    names = ["nDCG@10", "AP", "RR"]
    (found,) = records(
        sparseir(
            "evaluate", judged_runs / "bad.trec", judged_runs / "qrels.txt", "--json", "--measures", ",".join(names)
        )
    )
    parsed = [ir_measures.parse_measure(name) for name in names]
    qrels = [ir_measures.Qrel("1", "a", 1), ir_measures.Qrel("2", "b", 1)]
    values = ir_measures.calc_aggregate(parsed, qrels, ir_measures.read_trec_run(str(judged_runs / "bad.trec")))
    assert found["measures"] == {name: values[m] for name, m in zip(names, parsed, strict=True)}


def test_a_query_that_is_a_document_does_not_find_itself(tmp_path, caplog):
    """a1 asks with its own text for a2, which shares two words with it; a3 shares one. BEIR's figure is 1."""
    folder = tmp_path / "argu"
    (folder / "qrels").mkdir(parents=True)
    texts = {"a1": "cats chase small dogs", "a2": "dogs and cats", "a3": "small boats", "a4": "weather"}
    write_jsonl(folder / "corpus.jsonl", [{"_id": name, "text": text} for name, text in texts.items()])
    write_jsonl(folder / "queries.jsonl", [{"_id": "a1", "text": texts["a1"]}])
    (folder / "qrels" / "test.tsv").write_text("a1\ta2\t1\n")
    common = ("evaluate", folder, "--json", "--measures", "nDCG@10,RR@10,R@1", *FAST)
    (found,) = records(sparseir(*common, "-k", 1, "--runs", tmp_path / "runs"))
    assert found["measures"] == {"nDCG@10": 1.0, "RR@10": 1.0, "R@1": 1.0}
    said = "argu: queries that are documents too, 1, 'a1' first: theirs are left out of the hits"
    assert found["notes"] == [said] == caplog.messages
    assert read_run(tmp_path / "runs" / "argu.bm25.trec").keys() == {"a1"}
    (kept,) = records(sparseir(*common, "--same-id", "keep"))
    assert kept["measures"]["RR@10"] == 0.5
    # Where names of queries and documents coincide and the texts do not, nothing is left out.
    write_jsonl(folder / "queries.jsonl", [{"_id": "a1", "text": "boats and weather and dogs"}])
    (folder / "qrels" / "test.tsv").write_text("a1\ta1\t1\na1\tgone\t1\n")
    (found,) = records(sparseir(*common))
    assert found["measures"]["RR@10"] > 0
    assert "judges document 'gone'" in found["notes"][0]
    assert found["notes"][0].endswith("it cannot be found")
    assert "named as documents of other text" in found["notes"][1]
    (dropped,) = records(sparseir(*common, "--same-id", "drop"))
    assert dropped["measures"]["RR@10"] == 0


def test_one_command_gives_all_systems_from_one_encoding(tmp_path):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from tests.tiny_models import save_masked_lm

    collection = write_collection(tmp_path / "tiny", ("test",))
    dev = [{"_id": f"v{i}", "text": text} for i, (_, text, _) in enumerate(QUERIES)]
    rows = [{"_id": qid, "text": text} for qid, text, _ in QUERIES]
    write_jsonl(collection / "queries.jsonl", [*rows, *dev])
    (collection / "qrels" / "dev.tsv").write_text("".join(f"v{i}\td{d}\t1\n" for i, (_, _, d) in enumerate(QUERIES)))
    model, twin = save_masked_lm(tmp_path / "base"), save_masked_lm(tmp_path / "twin")
    out = tmp_path / "results.json"
    sparseir(
        *("evaluate", model, twin, collection, "--lexical", "--fuse", "rrf,convex", "--tune", "dev", "--device", "cpu"),
        *("--against", "base", "--output", out, "--runs", tmp_path / "runs", "--tag", "mine", *FAST),
        *("--indexes", tmp_path / "indexes", "--measures", "nDCG@10,RR@10"),
    )
    found = {r["system"]: r for r in json.loads(out.read_text())}
    models = ["base", "base+lexical", "twin", "twin+lexical"]
    fused = [f"{m} & BM25 ({how})" for m in models for how in ("rrf", "convex")]
    assert list(found) == ["BM25", *models, *fused]
    assert found["base"]["encode_seconds"] == found["base+lexical"]["encode_seconds"] > 0
    assert found["base"]["index_bytes"] < found["base+lexical"]["index_bytes"]
    assert found["base"]["bytes_per_document"] == found["base"]["index_bytes"] / 8
    assert found["base & BM25 (convex)"]["fuse_weight"] is not None
    assert all(r["p50_ms"] <= r["p95_ms"] <= r["p99_ms"] for name, r in found.items() if "&" not in name)
    assert all(found[name]["memory_bytes"] > 1e6 and found[name]["query_cpu_ms"] > 0 for name in models)
    assert found["twin"]["comparisons"]["RR@10"]["against"] == "base"
    assert found["twin"]["comparisons"]["RR@10"]["ties"] == 4  # equal weights
    assert sorted(p.name for p in (tmp_path / "indexes").iterdir()) == [f"tiny.{m}" for m in models]
    for line in (tmp_path / "runs" / "tiny.base_bm25_rrf_.trec").read_text().splitlines():
        assert line.endswith(" mine")
    refused = sparseir("evaluate", model, collection, "--runs", tmp_path / "runs", "--tune", "test", code=2)
    assert "convex" in refused.stderr


def test_a_run_with_development_queries_tunes_its_fusion(tmp_path):
    """The run has the positive of every query first and BM25 is right of two alone, so the run gets all the weight it can.

    A run without the development queries is refused before anything is done.
    """
    collection = write_collection(tmp_path / "tiny", ("test",))
    judged = dict(line.split("\t")[:2] for line in (collection / "qrels" / "test.tsv").read_text().splitlines()[1:])
    header = "query-id\tcorpus-id\tscore\n"
    # What is relevant is turned round, so that no words lead to it.
    wanted = dict(zip(judged, reversed(judged.values()), strict=True))
    for split, qids in (("dev", list(judged)[:2]), ("test", list(judged)[2:])):
        (collection / "qrels" / f"{split}.tsv").write_text(header + "".join(f"{q}\t{wanted[q]}\t1\n" for q in qids))
    lines = {q: f"{q} Q0 {d} 1 1 t\n" for q, d in wanted.items()}
    (tmp_path / "all.trec").write_text("".join(lines.values()))
    (tmp_path / "late.trec").write_text("".join(lines[q] for q in list(judged)[2:]))
    words = ("evaluate", collection, "--fuse", "convex", "--tune", "dev", "--json", "--measures", "RR@10", *FAST)
    done = sparseir(*words, "--run", tmp_path / "all.trec")
    fused = records(done)[-1]
    assert (fused["measures"]["RR@10"], fused["fuse_weight"] < 0.5) == (1.0, True)
    assert "not counted" not in done.stderr
    refused = sparseir(*words, "--run", tmp_path / "late.trec", code=1)
    assert "late.trec: no hits for the split 'dev'" in refused.stderr
    assert refused.stdout == ""


def test_means_count_the_parts_of_a_collection_as_one(tmp_path):
    for part in ("one", "two"):
        write_collection(tmp_path / "parts" / part, ("test",))
    # In part two one of the four queries asks for a document that shares no word with it.
    (tmp_path / "parts" / "two" / "qrels" / "test.tsv").write_text("q0\td0\t1\nq1\td1\t1\nq2\td2\t1\nq3\td4\t1\n")
    alone = write_collection(tmp_path / "alone", ("test",))
    rows = records(sparseir("evaluate", tmp_path / "parts", alone, "--json", "--measures", "R@100", *FAST))
    assert [r["dataset"] for r in rows] == ["parts/one", "parts/two", "alone", "parts", "mean"]
    values = {r["dataset"]: r["measures"]["R@100"] for r in rows}
    assert values == {"parts/one": 1.0, "parts/two": 0.75, "alone": 1.0, "parts": 0.875, "mean": 0.9375}
    assert rows[-1]["collections"] == ["parts", "alone"]
    assert "mean over 2: parts, alone" in sparseir("evaluate", tmp_path / "parts", alone, *FAST).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--measures", "nDCG@0"), "not measures: nDCG@0"),
        (("--measures", "INST"), "INST needs its parameter"),
        (("--measures", ""), "no measure is named"),
        (("--baselines", "bm52"), "--baselines: unknown bm52; there are bm25, dense"),
        (("--fuse", "sum"), "--fuse: unknown sum; there are rrf, convex"),
        (("--fuse", "convex", "--fuse-weight", 2), "fuse-weight is 2.0"),
        (("--fuse", "convex", "--tune", "test"), "tune is 'test', the split that is judged"),
        (("--against", "splade"), "--against splade: no such system; there are BM25"),
        (("--test", "wilcoxon"), "--test: unknown wilcoxon"),
        (("--same-id", "perhaps"), "--same-id: unknown perhaps"),
        (("--tag", "two words"), "one word"),
        (("--ir-metadata",), "name a folder for them: --runs"),
        (("--runs", "file.trec"), "is a file; --runs names a folder to write run files to, and --run FILE judges one"),
        (("--qrels", "file.trec"), "judges run files alone"),
        (("--run", "absent.trec"), "absent.trec: no such file"),
        (("--baselines", ""), "nothing to evaluate"),
        (("--split", "dev"), "has no judgements for split 'dev' (found: test)"),
        (("--fuse", "convex", "--tune", "dev"), "has no judgements for split 'dev' (found: test)"),
        (("--fuse", "rrf"), "there is BM25 and nothing to add"),
        (("--lexical",), "--lexical is for models, and none is named"),
        (("--indexes", "kept"), "--indexes is for models, and none is named"),
        (("--plot", "drawn"), "drawn/tiny.latency.png exists already"),
    ],
)
def test_what_cannot_be_done_is_one_line_before_any_work(tmp_path, monkeypatch, arguments, said):
    collection = write_collection(tmp_path / "tiny", ("test",))
    monkeypatch.chdir(tmp_path)
    Path("file.trec").write_text("q Q0 d 1 1.0 t\n")
    Path("drawn").mkdir()
    Path("drawn/tiny.latency.png").touch()
    monkeypatch.setattr("sparseir.evaluate.evaluation.check_plots", lambda: None)
    monkeypatch.setattr("sparseir.evaluate.judged.JudgedCollection.read", None)  # nothing may be read yet
    at_fault = (
        "no such system",
        "names a folder",
        "no such file",
        "nothing to evaluate",
        "has no judgements",
        "nothing to add",
        "exists already",
    )
    done = sparseir("evaluate", collection, *arguments, code=1 if any(words in said for words in at_fault) else 2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run.trec",), "run.trec needs judgements: --qrels FILE, or a collection"),
        (("qrels.txt",), "holds judgements and there is no run to judge"),
        ((), "name a collection"),
        (("other.trec", "qrels.txt"), "none of its 1 queries, '7' first, is judged in qrels"),
        (("run.trec", "qrels.txt", "qrels.txt"), "judgements are given twice"),
    ],
)
def test_files_that_do_not_go_together(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    Path("run.trec").write_text("1 Q0 d 1 1.0 t\n")
    Path("other.trec").write_text("7 Q0 d 1 1.0 t\n")
    Path("qrels.txt").write_text("1 0 d 1\n")
    assert said in sparseir("evaluate", *words, code=1 if "none of its" in said else 2).stderr


def test_one_system_that_fails_does_not_lose_the_others(tmp_path, monkeypatch):
    from sparseir.errors import DataError

    def fails(*_):
        raise DataError("the embedder is gone")

    collection = write_collection(tmp_path / "tiny", ("test",))
    monkeypatch.setattr("sparseir.evaluate.evaluation.evaluate_dense", fails)
    done = sparseir("evaluate", collection, "--baselines", "dense,bm25", "--json", *FAST, code=1)
    assert [r["system"] for r in records(done)] == ["BM25"]
    assert "error: tiny, dense: the embedder is gone" in done.stderr


def test_one_collection_that_cannot_be_read_does_not_lose_the_others(tmp_path):
    """Equal names of collections, models and run files are told apart."""
    good, other, bad = (write_collection(tmp_path / name / "tiny", ("test",)) for name in ("good", "other", "bad"))
    (bad / "qrels" / "test.tsv").write_text("q0\tz1\t1\nq1\tz2\t1\n")
    done = sparseir("evaluate", bad, good, other, "--json", *FAST, code=1)
    assert [r["dataset"] for r in records(done)] == ["tiny#2", "tiny#3", "mean"]
    assert "error: tiny: " in done.stderr
    assert "2 of the 2 documents judged here, 'z1' first" in done.stderr
    (tmp_path / "BM25.trec").write_text("q0 Q0 d0 1 1.0 t\n")
    rows = records(sparseir("evaluate", good, "--run", tmp_path / "BM25.trec", "--json", *FAST))
    assert [r["system"] for r in rows] == ["BM25", "BM25#2"]


def test_run_files_say_how_they_were_made_where_that_is_asked_for(tmp_path):
    import yaml

    collection = write_collection(tmp_path / "tiny", ("test",))
    sparseir("evaluate", collection, "--runs", tmp_path / "runs", "--ir-metadata", *FAST)
    text = (tmp_path / "runs" / "tiny.bm25.trec").read_text()
    head = text.partition("# ir_metadata.start\n")[2].partition("# ir_metadata.end\n")[0]
    read = yaml.safe_load("".join(line[2:] + "\n" for line in head.splitlines()))
    assert read["method"] == {"automatic": True, "retrieval": [{"name": "BM25"}]}
    assert read["data"]["test collection"] == {"name": "tiny", "qrels": "test"}
    assert read["platform"]["hardware"]["cpu"]["number of cores"] >= 1
    refused = sparseir("evaluate", collection, "--runs", tmp_path / "runs", code=1)
    assert "exists already" in refused.stderr


def test_an_index_is_judged_as_what_it_is(tmp_path):
    """The index of BM25 alone gives the figures of the baseline, which is such an index."""
    from sparseir import cli

    collection = write_collection(tmp_path / "tiny", ("test",))
    sparseir("index", "build", tmp_path / "words", "--bm25", "--corpus", collection)
    common = ("--json", "--measures", "nDCG@10,RR@10", *FAST)
    bm25, words = records(sparseir("evaluate", tmp_path / "words", collection, *common))
    assert (bm25["system"], words["system"]) == ("BM25", "words")
    assert words["measures"] == bm25["measures"]
    assert words["query_terms"] == bm25["query_terms"]
    assert words["document_terms"] == bm25["document_terms"]
    assert words["notes"] == []
    sparseir("index", "delete", tmp_path / "words", "--id", "d0")
    _, words = records(sparseir("evaluate", tmp_path / "words", collection, *common))
    assert words["measures"]["RR@10"] == 0.75
    assert words["notes"] == [f"{tmp_path / 'words'}: lacks 1 of the 4 judged documents, 'd0' first"]
    assert cli.run(["evaluate", str(tmp_path / "words")]) == 2


def test_an_index_is_no_model_and_needs_a_collection_of_its_own(tmp_path, capsys):
    from sparseir import cli

    collection = write_collection(tmp_path / "tiny", ("test",))
    other = write_jsonl(tmp_path / "other.jsonl", [{"id": "x", "text": "something else"}])
    vectors = write_jsonl(tmp_path / "v.jsonl", [{"id": "d0", "vector": {"cats": 1.0}}])
    index = tmp_path / "words"
    sparseir("index", "build", index, "--bm25", "--corpus", other)
    sparseir("index", "build", tmp_path / "plain", "--vectors", vectors)
    cases = {
        ("evaluate", index): (2, f"{index} is an index; name the collection whose queries"),
        ("evaluate", index, collection, "--baselines", ""): (1, "holds none of the 4 documents, 'd0' first, that are"),
        ("evaluate", tmp_path / "plain", collection): (1, "index 'plain' carries no query side"),
        ("encode", index, collection, "--output", tmp_path / "o.npz"): (1, "is an index, not a model; give the folder"),
    }
    for words, (code, message) in cases.items():
        assert cli.run([str(word) for word in words]) == code
        assert message in capsys.readouterr().err


def test_a_corpus_of_any_format_and_keys_is_judged(tmp_path):
    """The table says what BEIR's lines say."""
    collection = write_collection(tmp_path / "tiny", ("test",))
    common = ("--json", "--measures", "nDCG@10,RR@10", *FAST)
    (expected,) = records(sparseir("evaluate", collection, *common))
    rows = [json.loads(line) for line in (collection / "corpus.jsonl").read_text().splitlines()]
    (collection / "corpus.jsonl").unlink()
    table = "".join(f"{row['_id']};{row['title']};{row['text']}\n" for row in rows)
    (collection / "table.dump").write_text("key;head;body\n" + table)
    fields = ("--format", "csv", "--fields", "id=key,title=head,text=body")
    (found,) = records(sparseir("evaluate", collection / "table.dump", *fields, *common))
    assert found["measures"] == expected["measures"]
    assert found["num_documents"] == 8
