// The query's terms: each can be switched off or given another weight.

import { decimal, el, termName } from "./dom.js";

const MOST = 3; // times the weight the encoder gave

export function chips(terms, weights, change) {
  const heaviest = Math.max(...terms.map((term) => term.encoded), 1e-9);
  return terms.map((term) => chip(term, weights[term.term] ?? term.encoded, heaviest, change));
}

function chip(term, weight, heaviest, change) {
  const encoded = term.encoded || heaviest;
  const shown = el("output", { class: "weight" }, decimal(weight));
  const slider = el("input", {
    type: "range", min: "0", max: String(MOST), step: "0.05", value: String(Math.min(MOST, weight / encoded)),
    "aria-label": `Weight of ${term.term}`, "aria-valuetext": decimal(weight),
    oninput: () => {
      const next = Number(slider.value) * encoded;
      shown.textContent = decimal(next);
      slider.setAttribute("aria-valuetext", decimal(next));
      box.checked = next > 0;
      change(term.term, Math.abs(next - term.encoded) < 1e-6 * encoded ? null : next);
    },
    ondblclick: () => change(term.term, null),
  });
  const box = el("input", {
    type: "checkbox", checked: weight > 0, "aria-label": `Search for ${term.term}`,
    onchange: () => change(term.term, box.checked ? null : 0),
  });
  const kind = term.channel === "lexical" ? "lexical" : term.in_query === false ? "expansion" : "literal";
  const added = term.channel === "lexical" ? "a fit or the first hits added it to the query" : "the encoder added it to the query";
  const origin = term.in_query === false ? added : "the query says it";
  return el(
    "li",
    { class: `chip ${kind}${weight > 0 ? "" : " off"}${weight !== term.encoded ? " changed" : ""}`, "data-term": term.term },
    el("label", { title: `${origin}; the encoder's weight is ${decimal(term.encoded)}` }, box, el("span", { class: "name" }, termName(term.term))),
    slider,
    shown,
  );
}
