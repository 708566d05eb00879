// What app.js asks of a service, answered here from the files of the site.

import { Site } from "./engine.js";
import { places } from "./words.js";

const WIDTH = 300;
const LEAD = 40;

let opening = null;

async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw new ServiceError(`${path}: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

export class ServiceError extends Error {}
export const setKey = () => {};
const open = () => (opening ??= Site.open(fetched));

export async function listIndexes() {
  const { about } = await open();
  return { home: about.home, engines: ["auto"], indexes: [{ name: about.name, documents: about.documents, queries: "table", fields: {} }] };
}

export async function search(asked, signal) {
  const began = performance.now();
  const site = await open();
  const encoded = site.encode(asked.query);
  const weights = new Map(encoded);
  for (const [name, weight] of Object.entries(asked.weights ?? {})) {
    const term = [...encoded.keys()].find((id) => nameOf(site, id) === name);
    if (term !== undefined) weights.set(term, Math.fround(weight));
  }
  const ranking = await site.search(weights, asked.k);
  const searched = performance.now() - began;
  const documents = await Promise.all(ranking.hits.map((hit) => site.document(hit.row)));
  signal?.throwIfAborted();
  const said = new Set(site.channels.flatMap((channel) => channel.terms(asked.query)));
  const hits = ranking.hits.map((hit, i) => described(site, ranking, hit, i + 1, documents[i], said));
  const terms = [...encoded].sort(([a, x], [b, y]) => y - x || a - b);
  return {
    index: site.about.name,
    engine: "auto",
    took_ms: performance.now() - began,
    stats: { search_ms: searched, postings_scored: [...ranking.lists.values()].reduce((sum, { rows }) => sum + rows.length, 0), documents_scored: ranking.scored },
    query_terms: terms.map(([id, weight]) => ({ term: nameOf(site, id), term_id: id, channel: channelOf(site, id), weight: weights.get(id), encoded: weight, in_query: said.has(id) })),
    hits,
  };
}

// A static site holds postings by term: the whole vector of a document is not to be had.
export const fetchDocument = null;

const channelOf = (site, id) => (id >= site.about.first_stem ? "lexical" : "learned");
const nameOf = (site, id) => (channelOf(site, id) === "lexical" && site.wordpiece ? `stem:${site.terms[id]}` : site.terms[id]);

function described(site, ranking, { row, total, score }, rank, [docno, fields], said) {
  const title = typeof fields.title === "string" ? fields.title : "";
  const text = typeof fields.text === "string" ? fields.text : "";
  const own = new Set(site.channels.flatMap((channel) => channel.terms(`${title} ${text}`)));
  const terms = [];
  const unmatched = [];
  for (const [id, weight] of ranking.integers) {
    const { rows, impacts } = ranking.lists.get(id);
    const at = rows.indexOf(row);
    if (at < 0) unmatched.push(nameOf(site, id));
    else {
      const product = weight * impacts[at];
      const inDocument = own.has(id);
      const kind = channelOf(site, id) === "lexical" ? (inDocument ? "lexical" : "related") : said.has(id) && inDocument ? "literal" : "expansion";
      terms.push({ term: nameOf(site, id), term_id: id, kind, in_query: said.has(id), in_document: inDocument, query_weight: weight, impact: impacts[at], product, share: product / total });
    }
  }
  terms.sort((a, b) => b.product - a.product || a.term_id - b.term_id);
  const shares = new Map(terms.map((term) => [term.term_id, term.share]));
  const explanation = { score, integer_score: total, doc_scale: site.about.doc_scale, query_scale: ranking.scale, terms, unmatched };
  return { rank, docno, score, fields, explanation, title: marked(site, title, shares), snippet: snippet(site, text, shares) };
}

// Words of a text that hold matched terms.
const matched = (site, text, shares) =>
  places(text, site.channels)
    .map(([start, end, terms]) => [start, end, [...terms].filter((term) => shares.has(term))])
    .filter(([, , terms]) => terms.length);

const sum = (terms, shares) => [...terms].reduce((total, term) => total + shares.get(term), 0);

// The text in parts, those with matched terms marked.
function marked(site, text, shares) {
  const parts = [];
  let at = 0;
  for (const [start, end, terms] of matched(site, text, shares)) {
    if (start > at) parts.push({ text: text.slice(at, start) });
    parts.push({ text: text.slice(start, end), share: sum(terms, shares), terms: terms.sort((a, b) => a - b) });
    at = end;
  }
  if (at < text.length) parts.push({ text: text.slice(at) });
  return parts;
}

// The passage whose words hold the largest share of the score.
function snippet(site, text, shares) {
  const words = matched(site, text, shares);
  let best = -1;
  let start = 0;
  words.forEach(([begin], i) => {
    const held = new Set();
    for (let j = i; j < words.length && words[j][1] <= begin + WIDTH - LEAD; j++) words[j][2].forEach((term) => held.add(term));
    const value = sum(held, shares);
    if (value > best * 1.000001) [best, start] = [value, begin];
  });
  const space = start > LEAD ? text.indexOf(" ", start - LEAD) : -1;
  const from = start <= LEAD ? 0 : space < 0 || space > start ? start : space + 1;
  const cut = text.lastIndexOf(" ", from + WIDTH);
  const to = from + WIDTH >= text.length ? text.length : cut > from ? cut : from + WIDTH;
  const parts = marked(site, text.slice(from, to), shares);
  return [...(from ? [{ text: "… " }] : []), ...parts, ...(to < text.length ? [{ text: " …" }] : [])];
}
