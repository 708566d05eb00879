"""What collections of 10 million to 10 billion documents take: the tables of docs/scaling.md, from measured unit costs.

    python -m bench.search.scaling                    # the tables, as Markdown, of bench/results/scaling.json and the figures it names
    python -m bench.search.scaling --json             # the same as JSON
    python -m bench.search.scaling --measure-merge    # measures what the front of shards does with their answers, and keeps it

Measured are the unit costs: bench/results/scaling.json holds them with their origin, or names the file in bench/results that does.
Computed are sums and products of these. Simulated are latencies: a query waits for the slowest of its shards, each of which takes
a time of the measured spread over queries, once in a while a pause besides; then the front merges. Nothing of more than a million
documents was run. Costs of a search are taken to grow linearly with the documents of a shard, which is too much rather than too
little: with pruning they grow less.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESULTS = Path(__file__).parents[1] / "results"
SIZES = {"10M": 10e6, "100M": 100e6, "1B": 1e9, "10B": 10e9}
DRAWS, SEED, Z99 = 20_000, 7, 2.326
"""Simulated queries; of the generator; standard deviations from the median of a normal distribution to its 99th percentile."""


def unit_costs() -> dict[str, Any]:
    """The file of unit costs, with the searches of the benchmark files it names put in."""
    costs: dict[str, Any] = json.loads((RESULTS / "scaling.json").read_text(encoding="utf-8"))
    for query in costs["queries"].values():
        rows = json.loads((RESULTS / query["file"]).read_text(encoding="utf-8"))["rows"]
        mine = {row["k"]: row for row in rows if row["system"] == query["system"]}
        query["search"] = {k: {name: mine[k][name] for name in ("cpu_ms", "p50_ms", "p99_ms")} for k in (10, 1000)}
        query["build_cpu_s"], query["gb"] = mine[10]["build_cpu_s"], mine[10]["disk_mb"] / 1000
    return costs


def shards_of(documents: float, cluster: dict[str, Any]) -> int:
    """So many that each has at most `shard_millions`."""
    return max(1, math.ceil(documents / 1e6 / cluster["shard_millions"]))


def merge_ms(shards: int, k: int, costs: dict[str, Any]) -> float:
    """At the front, from the measured cost of one shard's list and of one hit in it."""
    merge = costs["merge"]
    return float(shards * (merge["list_us"] + merge["hit_us"] * k) / 1000)


def latencies(
    shards: int, millions: float, search: dict[str, float], k: int, costs: dict[str, Any]
) -> NDArray[np.float64]:
    """Simulated milliseconds of `DRAWS` queries over shards of so many documents, merged.

    A query is hard or easy everywhere, so that its time is drawn once, of a log-normal distribution with the measured median and
    99th percentile. A shard deviates from it by half that spread, and pauses with the assumed probability.
    """
    rng, pause, sigma = (
        np.random.default_rng(SEED),
        costs["assumed"],
        math.log(search["p99_ms"] / search["p50_ms"]) / Z99,
    )
    hard = search["p50_ms"] * millions * np.exp(sigma * rng.standard_normal(DRAWS))
    slowest = np.zeros(DRAWS)
    for _ in range(shards):
        taken = hard * np.exp(sigma / 2 * rng.standard_normal(DRAWS))
        paused = rng.random(DRAWS) < pause["pause_probability"]
        slowest = np.maximum(slowest, taken + paused * pause["pause_ms"])
    return slowest + pause["network_ms"] + merge_ms(shards, k, costs)


def rows(costs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One line a kind of query and a size of the collection."""
    cluster, encoders = costs["assumed"], costs["encode"]
    for name, query in costs["queries"].items():
        for label, documents in SIZES.items():
            millions, shards = documents / 1e6, shards_of(documents, cluster)
            each, gb = millions / shards, millions * query["gb"]
            machines = max(
                math.ceil(shards / cluster["cores"]), math.ceil(gb / (cluster["memory_gb"] * cluster["memory_share"]))
            )
            cores = machines * cluster["cores"]
            row: dict[str, Any] = {
                "queries": name,
                "documents": label,
                "shards": shards,
                "gb": round(gb),
                "machines": machines,
            }
            row["encode_hours"] = {
                e: hours(documents / rate["documents_a_second"], cores) for e, rate in encoders.items()
            }
            # One command builds all shards, one after another, on one machine.
            row["build_hours"] = hours(
                millions * (query["build_cpu_s"] + costs["first_pass_s"]["seconds_a_million"]), 1
            )
            for k, search in query["search"].items():
                drawn = latencies(shards, each, search, k, costs)
                cpu = millions * search["cpu_ms"] + merge_ms(shards, k, costs)
                row[f"k={k}"] = {
                    "p50_ms": round(float(np.percentile(drawn, 50)), 1),
                    "p99_ms": round(float(np.percentile(drawn, 99)), 1),
                    "cpu_ms": round(cpu, 1),
                    "queries_a_second": round(1000 * cores / cpu, 1),
                    "over_deadline": round(float(np.mean(drawn > cluster["deadline_ms"])), 4),
                }
            yield row


def hours(core_seconds: float, cores: int) -> float:
    """Of so many cores, all busy."""
    return round(core_seconds / cores / 3600, 2)


def markdown(costs: dict[str, Any]) -> str:
    """Two tables a kind of queries, and the published one."""
    out, all_rows = [], list(rows(costs))
    encoders = list(costs["encode"])
    for name, query in costs["queries"].items():
        mine = [row for row in all_rows if row["queries"] == name]
        out.append(f"\n{query['about']}:\n")
        head = [
            "documents",
            "shards",
            "index, GB",
            "machines",
            *(f"encode, h: {e}" for e in encoders),
            "build, core hours",
        ]
        cells = [[r["documents"], r["shards"], r["gb"], r["machines"], *r["encode_hours"].values()] for r in mine]
        out += _table(head, [[*line, r["build_hours"]] for line, r in zip(cells, mine, strict=True)])
        out.append("")
        head = ["documents"] + [
            f"k = {k}: {what}" for k in (10, 1000) for what in ("p50 / p99, ms", "CPU ms", "queries a second")
        ]
        out += _table(
            head, [[r["documents"]] + [cell for k in (10, 1000) for cell in _search_cells(r[f"k={k}"])] for r in mine]
        )
    out.append(
        "\nSeismic in OpenSearch, approximate; published figures, and machines in proportion to the documents:\n"
    )
    published = costs["published"]["opensearch_seismic"]
    out += _table(
        ["documents", "machines", "p50, ms", "recall"],
        [
            [label, max(1, math.ceil(n / published["documents_a_node"])), *_nearest(n, published["runs"])]
            for label, n in SIZES.items()
        ],
    )
    return "\n".join(out).strip()


def _search_cells(found: dict[str, float]) -> list[str]:
    return [f"{found['p50_ms']} / {found['p99_ms']}", f"{found['cpu_ms']}", f"{found['queries_a_second']:,.0f}"]


def _nearest(documents: float, runs: list[dict[str, float]]) -> list[str]:
    """The published run of about that size, or nothing."""
    for run in runs:
        if 0.5 < documents / run["documents"] < 2:
            return [f"{run['p50_ms']:g} ({run['documents'] / 1e6:,.0f}M)", f"{run['recall']:g}"]
    return ["not published", ""]


def _table(head: list[str], body: list[list[Any]]) -> list[str]:
    lines = [head, ["---"] * len(head), *body]
    return [
        "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in line) + " |" for line in lines
    ]


def measure_merge(rounds: int = 5) -> dict[str, float]:
    """Microseconds of the front's CPU for one shard's list, and for one hit in it: the way of `RemoteEngine`, without the network."""
    from sparseir.search.remote.lists import read_lists, write_lists

    rng, points = np.random.default_rng(SEED), []
    for shards, k in ((8, 10), (256, 10), (8, 1000), (256, 1000)):
        raw = [
            write_lists([(np.arange(k) + shard * k, np.sort(rng.integers(1, 100_000, k))[::-1])])
            for shard in range(shards)
        ]
        taken = []
        for _ in range(rounds):
            start, repeats = time.process_time(), max(1, 200_000 // (shards * k))
            for _ in range(repeats):
                lists = [read_lists(one, 1)[0] for one in raw]
                integers = np.concatenate([scores for _, scores in lists]).astype(np.int64)
                np.concatenate([ordinals for ordinals, _ in lists])[np.argsort(-integers, kind="stable")[:k]]
            taken.append(1e6 * (time.process_time() - start) / repeats)
        points.append((shards, shards * k, statistics.median(taken)))
    # Least squares of the relative error: microseconds = list_us · shards + hit_us · shards · k.
    rows = np.array([(shards / us, hits / us) for shards, hits, us in points])
    list_us, hit_us = np.linalg.lstsq(rows, np.ones(len(rows)), rcond=None)[0]
    return {"list_us": round(float(list_us), 2), "hit_us": round(float(hit_us), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure-merge", action="store_true")
    chosen = parser.parse_args()
    if chosen.measure_merge:
        file = RESULTS / "scaling.json"
        kept = json.loads(file.read_text(encoding="utf-8"))
        kept["merge"] |= measure_merge()
        file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    costs = unit_costs()
    print(json.dumps(list(rows(costs)), indent=1) if chosen.json else markdown(costs))


if __name__ == "__main__":
    main()
