// One column: what the search cost, then its hits.

import { counted, decimal, el, percent, termName } from "./dom.js";
import { kindOf, why } from "./kinds.js";

const SHOWN_OTHERS = 6;

export function column(answer, { movement, elsewhere, open, more, selected }) {
  const cost = answer.stats;
  const head = el(
    "p",
    { class: "cost" },
    el("strong", {}, `${answer.index} · ${answer.engine}`),
    el("span", { title: "time of the search itself; with explanations and snippets, the whole answer took " + `${decimal(answer.took_ms)} ms` },
      `${decimal(cost.search_ms)} ms`),
    el("span", {}, counted(cost.postings_scored, "posting"), " scored"),
    cost.blocks_visited === undefined ? null : el("span", {}, counted(cost.blocks_visited, "block"), " visited"), // a static site has none
    el("span", {}, counted(cost.documents_scored, "document"), " scored"),
  );
  if (!answer.hits.length) return [head, el("p", { class: "empty" }, "No document holds any of these terms.")];
  const list = el("ol", { class: "hits" }, answer.hits.map((hit) => entry(hit, { movement, elsewhere, open, selected })));
  return more ? [head, list, el("button", { class: "more", type: "button", onclick: more }, "More hits")] : [head, list];
}

function entry(hit, { movement, elsewhere, open, selected }) {
  const kinds = new Map(hit.explanation.terms.map((term) => [term.term_id, kindOf(term)]));
  const strongest = hit.explanation.terms[0]?.share ?? 1;
  const title = hit.title.length ? parts(hit.title, kinds, strongest) : [hit.docno];
  const page = address(hit);
  const asks = { type: "button", "aria-haspopup": "dialog", onclick: () => open(hit, button) };
  const button = page ? el("button", { class: "why", "aria-label": `Why ${hit.docno}`, ...asks }, "why") : el("button", { class: "open", ...asks }, title);
  return el(
    "li",
    { class: `hit${selected === hit.docno ? " selected" : ""}`, "data-docno": hit.docno },
    el("div", { class: "hit-head" }, el("span", { class: "rank" }, String(hit.rank)), el("h3", {}, page ? el("a", { class: "open", href: page }, title) : button), moved(hit, movement), shared(hit, elsewhere),
      el("span", { class: "score", title: "score" }, hit.score.toFixed(3)), page ? button : null),
    hit.title.length && text(hit.title) !== hit.docno ? el("p", { class: "docno" }, hit.docno) : null,
    el("p", { class: "snippet" }, parts(hit.snippet, kinds, strongest)),
    composition(hit),
    others(hit),
  );
}

// Where a document can be read: a stored field "url" that leads to the web, or to where this page is. Nothing else is a link.
export function address(hit) {
  const url = typeof hit.fields?.url === "string" && URL.canParse(hit.fields.url, location.href) ? new URL(hit.fields.url, location.href) : null;
  return url && ["http:", "https:", location.protocol].includes(url.protocol) ? url.href : null;
}

const text = (pieces) => pieces.map((part) => part.text).join("");

// A word's colour says what kind of match it is, its strength how much of the score.
function parts(pieces, kinds, strongest) {
  return pieces.map((part) => {
    if (!part.terms) return part.text;
    const kind = part.terms.some((id) => kinds.get(id) === "literal") ? "literal" : kinds.get(part.terms[0]) ?? "literal";
    return el("mark", { class: kind, "--strength": strength(part.share, strongest), title: `${percent(part.share)} of the score` }, part.text);
  });
}

const strength = (share, strongest) => Math.min(1, share / Math.max(strongest, 0.05)).toFixed(3);

function moved(hit, movement) {
  if (!movement) return null;
  const before = movement.get(hit.docno);
  if (before === undefined) return el("span", { class: "moved up", title: "was not among these hits" }, "new");
  if (before === hit.rank) return null;
  const up = before > hit.rank;
  const label = `${up ? "up" : "down"} from ${before}`;
  return el("span", { class: `moved ${up ? "up" : "down"}`, title: label, "aria-label": label }, `${up ? "▲" : "▼"} ${Math.abs(before - hit.rank)}`);
}

function shared(hit, elsewhere) {
  if (!elsewhere) return null;
  const rank = elsewhere.get(hit.docno);
  const label = rank === undefined ? "not among the hits of the other search" : `rank ${rank} in the other search`;
  return el("span", { class: `elsewhere${rank === hit.rank ? " same" : ""}`, title: label }, rank === undefined ? "only here" : rank === hit.rank ? "same rank" : `rank ${rank} there`);
}

function composition(hit) {
  const bar = el("div", { class: "composition", role: "img", "aria-label": `made of ${hit.explanation.terms.map((t) => `${t.term} ${percent(t.share)}`).join(", ")}` });
  for (const term of hit.explanation.terms) {
    bar.append(el("span", { class: kindOf(term), "--share": term.share, title: `${term.term} ${percent(term.share)}` }));
  }
  return bar;
}

// Matched terms that the text does not show: an encoder added them to the document.
function others(hit) {
  const hidden = hit.explanation.terms.filter((term) => term.in_document === false);
  if (!hidden.length) return null;
  const shown = hidden.slice(0, SHOWN_OTHERS).map((term) =>
    el("span", { class: `tag ${kindOf(term)}`, title: why(term) }, termName(term.term), ` ${percent(term.share)}`));
  const rest = hidden.length - shown.length;
  return el("p", { class: "others" }, "not in the text: ", shown, rest ? ` and ${rest} more` : null);
}

// Hits that change places glide to where they are, unless the reader asked for stillness.
export function glide(container, change) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const before = new Map([...container.querySelectorAll(".hit")].map((hit) => [hit.dataset.docno, hit.getBoundingClientRect().top]));
  change();
  if (still) return;
  for (const hit of container.querySelectorAll(".hit")) {
    const top = before.get(hit.dataset.docno);
    const by = top === undefined ? 0 : top - hit.getBoundingClientRect().top;
    if (by) hit.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 220, easing: "ease-out" });
  }
}
