// Why one hit has its score, and everything its document holds.

import { count, decimal, el, percent, termName } from "./dom.js";
import { KINDS, kindOf, why } from "./kinds.js";

const SHOWN_TERMS = 60;

export function explanation(hit, { close, loadVector }) {
  const why = hit.explanation;
  const title = hit.title.length ? hit.title.map((part) => part.text).join("") : hit.docno;
  const vector = el("div", { class: "vector" });
  const button = el("button", {
    class: "plain", type: "button",
    onclick: async () => {
      button.disabled = true;
      try {
        vector.replaceChildren(...bars((await loadVector()).vector, new Map(why.terms.map((term) => [term.term_id, kindOf(term)]))));
        button.remove();
      } catch (error) {
        button.disabled = false;
        vector.replaceChildren(el("p", { class: "error" }, error.message));
      }
    },
  }, "Show the document's whole vector");
  return [
    el("div", { class: "panel-head" },
      el("h2", { id: "panel-title" }, title),
      el("button", { class: "close", type: "button", "aria-label": "Close", onclick: close }, "×")),
    el("p", { class: "docno" }, `${hit.docno} · rank ${hit.rank}`),
    why.terms.length ? products(why) : el("p", { class: "empty" }, "It holds none of the query's terms."),
    why.unmatched.length ? el("p", { class: "unmatched" }, "Query terms it does not hold: ", why.unmatched.map((term, i) => [i ? ", " : "", ...termName(term)]).flat()) : null,
    ...(loadVector ? [
      el("h3", {}, "Document vector"),
      el("p", { class: "note" }, "Every term the index holds for it: its own words, and those the encoder added."),
      button,
      vector,
    ] : []),
  ].filter(Boolean);
}

function products(why) {
  const strongest = why.terms[0].share;
  const rows = why.terms.map((term) =>
    el("tr", {},
      el("th", { scope: "row" }, el("span", { class: `dot ${kindOf(term)}`, title: KINDS[kindOf(term)].label }), el("span", { class: "name", title: whyTerm(term) }, termName(term.term)),
        el("span", { class: "hidden" }, ` (${KINDS[kindOf(term)].label})`)),
      el("td", {}, count(term.query_weight)), el("td", { class: "sign" }, "×"),
      el("td", {}, count(term.impact)), el("td", { class: "sign" }, "="),
      el("td", {}, count(term.product)),
      el("td", { class: "share" }, el("span", { class: `bar ${kindOf(term)}`, "--share": term.share / strongest }), el("span", {}, percent(term.share)))));
  return el("table", { class: "products" },
    el("caption", { class: "hidden" }, "Query weight times document weight is the product; the products add up to the score"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "term"), el("th", { scope: "col" }, "query weight"), el("td"), el("th", { scope: "col" }, "document weight"), el("td"), el("th", { scope: "col" }, "product"), el("th", { scope: "col" }, "share"))),
    el("tbody", {}, rows),
    el("tfoot", {},
      el("tr", {}, el("th", { scope: "row", colSpan: 5 }, "sum"), el("td", { id: "sum" }, count(why.integer_score)), el("td")),
      el("tr", { class: "scaled" }, el("td", { colSpan: 7 }, `× ${decimal(why.doc_scale)} (document scale) × ${decimal(why.query_scale)} (query scale) = `, el("strong", {}, String(Number(why.score.toPrecision(7))))))));
}

const whyTerm = (term) => why(term);

function bars(vector, matched) {
  const heaviest = vector[0]?.impact ?? 1;
  const row = (term) =>
    el("li", { class: matched.has(term.term_id) ? "matched" : "" },
      el("span", { class: "name", title: term.in_document === false ? "added by the encoder" : "in the text" }, termName(term.term)),
      el("span", { class: `bar ${term.in_document === false ? "expansion" : "literal"}`, "--share": term.impact / heaviest }),
      el("span", { class: "value" }, String(term.impact)));
  const own = vector.filter((term) => term.in_document).length;
  const list = el("ol", { class: "bars" }, vector.slice(0, SHOWN_TERMS).map(row));
  const rest = vector.slice(SHOWN_TERMS);
  const all = rest.length ? el("button", { class: "plain", type: "button", onclick: () => { list.append(...rest.map(row)); all.remove(); } }, `${count(rest.length)} more terms`) : null;
  const summary = `${count(vector.length)} terms, ${count(own)} of them in its text, weights of 255 at most; those the query matched are bold.`;
  return [el("p", { class: "note" }, summary), list, all].filter(Boolean);
}
