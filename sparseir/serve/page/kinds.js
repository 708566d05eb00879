// Where a matched term comes from. The last two are of a channel of stemmed words, scored as BM25 does.

import { el } from "./dom.js";

export const KINDS = {
  literal: { label: "literal", means: "both the query and the document say it" },
  expansion: { label: "expansion", means: "an encoder added it to the query or the document" },
  lexical: { label: "lexical", means: "a stemmed word of the lexical channel" },
  related: { label: "related", means: "a stemmed word the document does not say, got of documents like it or of a dense model" },
};

export const kindOf = (term) => (term.kind in KINDS ? term.kind : "literal");

export function why(term) {
  if (term.in_query === null && term.in_document === null) return "no tokenizer says where it comes from";
  const said = (has) => (has ? "says it" : "does not say it");
  const parts = [];
  if (term.in_query !== null) parts.push(`the query ${said(term.in_query)}`);
  if (term.in_document !== null) parts.push(`the document ${said(term.in_document)}`);
  return parts.join(", ");
}

export const legend = (present) =>
  Object.entries(KINDS)
    .filter(([kind]) => present.has(kind))
    .map(([kind, { label, means }]) => el("li", { title: means }, el("span", { class: `swatch ${kind}` }), `${label}: ${means}`));
