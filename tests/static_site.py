"""Runs the JavaScript of a static site under node, with files in place of a host."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

NODE = shutil.which("node")

_DRIVER = """
import { readFileSync } from "node:fs";
import { Site } from "./page/engine.js";
import * as api from "./page/api.js";

const { queries, k, full } = JSON.parse(readFileSync(0, "utf8"));
const fetched = [];
const read = async (path) => { fetched.push(path); return new Uint8Array(readFileSync(path)); };
globalThis.fetch = async (path) => ({ ok: true, arrayBuffer: async () => await read(path) });
const answers = [];
if (full) for (const query of queries) answers.push(await api.search({ k, ...query }));
else {
  const site = await Site.open(read);
  for (const query of queries) {
    const { hits } = await site.search(site.encode(query), k);
    answers.push(await Promise.all(hits.map(async ({ row, score }) => [(await site.document(row))[0], score])));
  }
}
process.stdout.write(JSON.stringify({ answers, fetched, indexes: await api.listIndexes() }));
"""


def ask(site: Path, queries: list[Any], k: int, *, full: bool = False) -> dict[str, Any]:
    """What the site answers.

    Parameters
    ----------
    queries : texts; with full, what the page asks its api.js. full : whole answers, not (docno, score).
    """
    assert NODE is not None
    (site / "package.json").write_text('{"type": "module"}')
    (site / "driver.js").write_text(_DRIVER)
    given = json.dumps({"queries": queries, "k": k, "full": full})
    done = subprocess.run(
        [NODE, "driver.js"], cwd=site, input=given, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
