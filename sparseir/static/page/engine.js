// The index of a static site: reads its parts when they are needed, and ranks as the index itself does.

import { unpack } from "./vocabulary.js";
import { Lexical, WordPiece } from "./words.js";

const LIMIT = 4095;
const MAX_IMPACT = 255;
const MOST = 2 ** 31 - 1;

export class Site {
  // read: a path inside the site → its bytes.
  static async open(read) {
    const json = async (path) => JSON.parse(new TextDecoder().decode(await read(path)));
    const [about, vocabulary] = await Promise.all([json("site.json"), json("vocabulary.json")]);
    return new Site(read, json, about, vocabulary);
  }

  constructor(read, json, about, vocabulary) {
    Object.assign(this, { read, json, about, ...unpack(vocabulary) });
    this.wordpiece = about.wordpiece && new WordPiece(about.wordpiece, about.first_stem, this.terms);
    this.lexical = about.lexical && new Lexical(about.lexical, about.first_stem, this.terms);
    this.channels = [this.wordpiece, this.lexical].filter(Boolean);
    this.parts = new Map();
    this.added = new Map(); // what a stem adds to a query that says it, by term: [term, weight] each
    const asBuilt = new Map(about.added?.weights);
    for (const [said, ...pairs] of about.added?.words ?? []) {
      const others = [];
      for (let i = 0; i < pairs.length; i += 2) others.push([pairs[i], Math.fround(pairs[i + 1]) * asBuilt.get(pairs[i])]);
      this.added.set(said, others);
    }
  }

  // Weights of a query by term: a learned term weighs once, a stem as often as it is said; what a stem adds, once.
  encode(text) {
    const found = new Map();
    for (const term of this.wordpiece?.terms(text) ?? []) if (this.weight(term) > 0) found.set(term, Math.fround(this.weight(term)));
    const stems = new Map();
    const said = this.lexical?.terms(text) ?? [];
    for (const term of said) if (this.weight(term) > 0) stems.set(term, (stems.get(term) ?? 0) + this.weight(term));
    for (const term of new Set(said)) for (const [other, weight] of this.added.get(term) ?? []) stems.set(other, (stems.get(other) ?? 0) + weight);
    for (const [term, weight] of stems) found.set(term, Math.fround(weight));
    return found;
  }

  // The k best documents for weighted terms, ties by input order: {hits: [{row, total, score}], scale, integers, lists}.
  async search(weights, k) {
    const { integers, scale } = quantize(weights);
    const lists = new Map(await Promise.all([...integers.keys()].map(async (term) => [term, await this.list(term)])));
    const totals = new Float64Array(this.about.documents);
    for (const [term, weight] of integers) {
      const { rows, impacts } = lists.get(term);
      for (let i = 0; i < rows.length; i++) totals[rows[i]] += weight * impacts[i];
    }
    const found = [];
    totals.forEach((total, row) => { if (total) found.push(row); });
    found.sort((a, b) => totals[b] - totals[a] || a - b);
    const hits = found.slice(0, k).map((row) => ({ row, total: totals[row], score: Math.fround(totals[row] * this.about.doc_scale * scale) }));
    return { hits, integers, scale, lists, scored: found.length };
  }

  // Rows and impacts of a term.
  async list(term) {
    if (!this.df[term]) return { rows: new Uint32Array(0), impacts: new Uint8Array(0) };
    const shard = lastUpTo(this.about.shards, term);
    const bytes = await this.part(`postings/${shard}.bin`, this.read);
    const rows = new Uint32Array(this.df[term]);
    let at = 0;
    for (let t = this.about.shards[shard]; t < term; t++) {
      for (let left = this.df[t]; left > 0; at++) if (bytes[at] < 128) left--;
      at += this.df[t];
    }
    for (let i = 0, row = 0; i < rows.length; i++) {
      let value = 0;
      let shift = 1;
      for (; bytes[at] > 127; at++, shift *= 128) value += (bytes[at] & 127) * shift;
      row += value + bytes[at++] * shift;
      rows[i] = row;
    }
    return { rows, impacts: bytes.subarray(at, at + rows.length) };
  }

  // [docno, stored fields] of a row.
  async document(row) {
    const chunk = lastUpTo(this.about.chunks, row);
    return (await this.part(`documents/${chunk}.json`, this.json))[row - this.about.chunks[chunk]];
  }

  part(path, read) {
    if (!this.parts.has(path)) {
      const reading = Promise.resolve(read(path));
      reading.catch(() => this.parts.delete(path));
      this.parts.set(path, reading);
    }
    return this.parts.get(path);
  }
}

// Integer weights 1..4095, coarser where the sum could leave 31 bits; the scale is what one of them stands for.
export function quantize(weights) {
  const given = [...weights].filter(([, weight]) => weight > 0);
  if (!given.length) return { integers: new Map(), scale: 0 };
  const largest = Math.max(...given.map(([, weight]) => weight));
  const rounded = (limit) => given.map(([term, weight]) => [term, Math.min(limit, Math.max(1, Math.floor(weight / (largest / limit) + 0.5)))]);
  let limit = LIMIT;
  let integers = rounded(limit);
  if (integers.reduce((sum, [, weight]) => sum + weight, 0) * MAX_IMPACT > MOST) {
    limit = Math.floor(MOST / (MAX_IMPACT * given.length));
    integers = rounded(limit);
  }
  return { integers: new Map(integers), scale: largest / limit };
}

function lastUpTo(firsts, value) {
  let low = 0;
  let high = firsts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (firsts[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}
