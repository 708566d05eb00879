// The page: one state, one way from it to requests, one way from answers to what is shown.

import { fetchDocument, listIndexes, search, setKey } from "./api.js";
import { el } from "./dom.js";
import { address, column, glide } from "./hits.js";
import { kindOf, legend } from "./kinds.js";
import { explanation } from "./panel.js";
import { chips } from "./terms.js";

const byId = (id) => document.getElementById(id);
const STEP = 10;
const MOST = 100;
const TYPING_MS = 120;
const LEARNT_FROM = 2; // hits whose words are added, where the reader asks for that

const state = {
  query: "",
  filter: "",
  k: STEP,
  compare: false,
  feedback: false,
  sides: [{ index: "", engine: "auto" }, { index: "", engine: "exhaustive" }],
  weights: {}, // by term; what the reader changed
};
const shown = { answers: [null, null], plain: [null, null], open: null, opener: null };
let waiting = null; // the requests under way
let timer = 0;

// ---------------------------------------------------------------- requests

function asked(side, weights) {
  const body = { query: state.query, k: state.k, index: side.index, engine: side.engine };
  if (state.filter.trim()) body.filter = state.filter.trim();
  if (Object.keys(weights).length) body.weights = weights;
  if (state.feedback && hasWords(side.index)) body.feedback = LEARNT_FROM;
  return body;
}

async function run() {
  waiting?.abort();
  waiting = null;
  remember();
  if (!state.query.trim()) return clear();
  const mine = (waiting = new AbortController());
  const sides = state.compare ? [0, 1] : [0];
  try {
    const answers = await Promise.all(sides.map((i) => search(asked(state.sides[i], state.weights), mine.signal)));
    if (waiting !== mine) return;
    shown.answers = [answers[0], answers[1] ?? null];
    if (!Object.keys(state.weights).length) shown.plain = shown.answers.map(ranks);
    show();
  } catch (error) {
    if (error.name !== "AbortError" && waiting === mine) fail(error);
  }
}

const hasWords = (name) => Boolean(indexes.find((index) => index.name === name)?.words);

const ranks = (answer) => answer && new Map(answer.hits.map((hit) => [hit.docno, hit.rank]));

function soon() {
  clearTimeout(timer);
  timer = setTimeout(run, TYPING_MS);
}

// ---------------------------------------------------------------- showing

function show() {
  const columns = [byId("column-0"), byId("column-1")];
  const both = shown.answers.map(ranks);
  const changed = Object.keys(state.weights).length > 0;
  columns.forEach((node, i) => {
    const answer = shown.answers[i];
    node.hidden = !answer;
    if (!answer) return node.replaceChildren();
    const more = answer.hits.length === state.k && state.k < MOST ? () => { state.k = Math.min(MOST, state.k + STEP); run(); } : null;
    const view = {
      movement: changed ? shown.plain[i] : null,
      elsewhere: shown.answers[1] ? both[1 - i] : null,
      open: (hit, opener) => open(i, hit.docno, opener),
      more,
      selected: shown.open?.side === i ? shown.open.docno : null,
    };
    keepFocus(node, () => glide(node, () => node.replaceChildren(...column(answer, view))));
  });
  document.body.classList.toggle("comparing", Boolean(shown.answers[1]));
  showTerms();
  showPanel();
  const kinds = new Set(shown.answers.flatMap((a) => a?.hits ?? []).flatMap((hit) => hit.explanation.terms.map(kindOf)));
  byId("legend").replaceChildren(...legend(kinds));
  byId("enter").textContent = shown.answers[0].hits.some(address) ? "read" : "why";
  const [first] = shown.answers;
  byId("status").textContent = `${first.hits.length} hits${first.hits.length ? `, the first is ${first.hits[0].docno}` : ""}`;
}

// A list is made again at every answer; who had the focus on a hit keeps it.
function keepFocus(node, change) {
  const docno = node.contains(document.activeElement) ? document.activeElement.closest(".hit")?.dataset.docno : null;
  change();
  if (docno) [...node.querySelectorAll(".hit")].find((hit) => hit.dataset.docno === docno)?.querySelector(".open").focus({ preventScroll: true });
}

function showTerms() {
  const terms = shown.answers[0].query_terms;
  byId("terms").hidden = false;
  byId("terms-note").textContent = terms.length ? "Untick a term, or move its weight, and watch the ranking." : "The vocabulary has none of these words.";
  byId("reset").hidden = !Object.keys(state.weights).length;
  const active = document.activeElement;
  const chip = active?.closest?.(".chip");
  if (chip && active.type === "range") { // replacing a slider would end the drag
    for (const node of byId("chips").children) {
      const weight = state.weights[node.dataset.term];
      node.classList.toggle("off", weight === 0);
      node.classList.toggle("changed", weight !== undefined);
    }
    return;
  }
  byId("chips").replaceChildren(...chips(terms, state.weights, setWeight));
  if (chip) [...byId("chips").children].find((node) => node.dataset.term === chip.dataset.term)?.querySelector("input").focus();
}

function setWeight(term, weight) {
  if (weight === null) delete state.weights[term];
  else state.weights[term] = weight;
  soon();
}

// With feedback the terms of a query depend on what is searched: weights of words that it got elsewhere mean nothing here.
function forget() {
  if (state.feedback) state.weights = {};
}

function open(side, docno, opener) {
  shown.open = { side, docno };
  shown.opener = opener;
  show();
  byId("panel").querySelector(".close").focus();
}

function close() {
  if (!shown.open) return;
  const { side, docno } = shown.open;
  shown.open = null;
  show();
  [...byId(`column-${side}`).querySelectorAll(".hit")].find((hit) => hit.dataset.docno === docno)?.querySelector(".why, button.open").focus();
}

function showPanel() {
  const panel = byId("panel");
  const hit = shown.open && shown.answers[shown.open.side]?.hits.find((found) => found.docno === shown.open.docno);
  panel.hidden = !hit;
  document.body.classList.toggle("explaining", Boolean(hit));
  if (!hit) {
    panel.replaceChildren();
    return;
  }
  const index = shown.answers[shown.open.side].index;
  const focused = panel.contains(document.activeElement);
  panel.replaceChildren(...explanation(hit, { close, loadVector: fetchDocument && (() => fetchDocument(index, hit.docno)) }));
  if (focused) panel.querySelector(".close").focus();
}

function clear() {
  shown.answers = [null, null];
  shown.open = null;
  byId("terms").hidden = true;
  byId("panel").hidden = true;
  byId("legend").replaceChildren();
  document.body.classList.remove("explaining", "comparing");
  byId("column-1").hidden = true;
  byId("column-0").hidden = false;
  byId("column-0").replaceChildren(welcome());
}

function welcome() {
  const served = indexes.find((index) => index.name === state.sides[0].index);
  if (!served) return el("p", { class: "empty" }, "");
  const number = new Intl.NumberFormat("en").format(served.documents);
  const lines = [`${number} documents in “${served.name}”. Type a query: each hit shows which of its terms matched, and by how much.`];
  if (!served.queries) lines.push("This index cannot encode texts: the service was started without its model (--model).");
  return el("div", { class: "empty" }, lines.map((line) => el("p", {}, line)));
}

function fail(error) {
  if (error.status === 401) return askForKey();
  byId("column-0").hidden = false;
  const hint = error.name === "TypeError" ? "The service does not answer." : error.message;
  byId("column-0").replaceChildren(el("p", { class: "error", role: "alert" }, hint));
  byId("column-1").hidden = true;
}

function askForKey() {
  const dialog = byId("key-dialog");
  if (!dialog.open) dialog.showModal();
}

// ---------------------------------------------------------------- the address keeps the state

function remember() {
  const kept = new URLSearchParams();
  if (state.query) kept.set("q", state.query);
  if (state.filter) kept.set("filter", state.filter);
  if (state.sides[0].index !== indexes[0]?.name) kept.set("index", state.sides[0].index);
  if (state.sides[0].engine !== "auto") kept.set("engine", state.sides[0].engine);
  if (state.feedback) kept.set("feedback", "1");
  if (state.compare) kept.set("beside", `${state.sides[1].index}:${state.sides[1].engine}`);
  history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
}

function recall() {
  const kept = new URLSearchParams(location.search);
  const names = indexes.map((index) => index.name);
  const known = (name) => (names.includes(name) ? name : names[0]);
  state.query = kept.get("q") ?? "";
  state.filter = kept.get("filter") ?? "";
  state.sides[0] = { index: known(kept.get("index")), engine: engines.includes(kept.get("engine")) ? kept.get("engine") : "auto" };
  const [beside, engine] = (kept.get("beside") ?? "").split(/:(?=[^:]*$)/);
  state.compare = kept.has("beside");
  state.feedback = kept.get("feedback") === "1";
  state.sides[1] = {
    index: names.includes(beside) ? beside : names[1] ?? names[0],
    engine: engines.includes(engine) ? engine : names.length > 1 ? "auto" : "exhaustive",
  };
}

// ---------------------------------------------------------------- controls

let indexes = [];
let engines = [];

function controls() {
  byId("query").value = state.query;
  byId("filter").value = state.filter;
  byId("compare").checked = state.compare;
  byId("feedback").checked = state.feedback;
  byId("feedback-label").hidden = !indexes.some((index) => index.words);
  fill(byId("index-0"), indexes.map((index) => index.name), state.sides[0].index);
  fill(byId("engine-0"), engines, state.sides[0].engine);
  byId("options").hidden = engines.length === 1 && indexes.length === 1 && !Object.keys(indexes[0].fields).length && !indexes[0].words; // nothing to choose
  filterHint();
  sideBySide();
}

// Which fields there are to filter by, and how.
function filterHint() {
  const fields = Object.entries(indexes.find((index) => index.name === state.sides[0].index)?.fields ?? {});
  const forms = fields.map(([name, kind]) => (/str|bool/.test(kind) ? `${name}=…` : `${name}>=…`));
  byId("filter").disabled = !fields.length;
  byId("filter").placeholder = forms.length ? forms.join(" and ") : "no fields to filter by";
}

function fill(select, names, chosen) {
  select.replaceChildren(...names.map((name) => el("option", { value: name, selected: name === chosen }, name)));
}

// The second search's own two menus, there only while it is.
function sideBySide() {
  document.querySelector(".beside")?.remove();
  if (!state.compare) return;
  const menu = (key, names, label) => {
    const select = el("select", { "aria-label": label, onchange: () => { state.sides[1][key] = select.value; forget(); run(); } });
    fill(select, names, state.sides[1][key]);
    return select;
  };
  const box = el("span", { class: "beside" }, "beside", menu("index", indexes.map((index) => index.name), "Second index"), menu("engine", engines, "Second engine"));
  document.querySelector(".options").append(box);
}

function listen() {
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); run(); });
  byId("query").addEventListener("input", (event) => {
    state.query = event.target.value;
    state.weights = {};
    state.k = STEP;
    soon();
  });
  byId("filter").addEventListener("input", (event) => { state.filter = event.target.value; forget(); soon(); });
  byId("compare").addEventListener("change", (event) => { state.compare = event.target.checked; sideBySide(); run(); });
  byId("feedback").addEventListener("change", (event) => { state.feedback = event.target.checked; state.weights = {}; run(); });
  for (const key of ["index", "engine"]) {
    byId(`${key}-0`).addEventListener("change", (event) => { state.sides[0][key] = event.target.value; forget(); filterHint(); run(); });
  }
  byId("reset").addEventListener("click", () => { state.weights = {}; run(); });
  byId("key-form").addEventListener("submit", () => { setKey(byId("key").value); start(); });
  document.addEventListener("keydown", onKey);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("key-dialog").open) return;
  const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    byId("query").focus();
    byId("query").select();
  } else if (event.key === "Escape") {
    if (shown.open) close();
    else if (!typing) byId("query").focus();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (event.target === byId("query") || event.target.closest(".hit"))) {
    event.preventDefault();
    step(event.target, event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter" && event.target === byId("query") && shown.answers[0]?.hits.length) {
    event.preventDefault();
    const first = byId("column-0").querySelector(".open");
    if (first.matches("a")) first.focus(); // not away from here before the reader has seen where to
    else first.click();
  } else if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && event.target.closest(".hit") && shown.answers[1]) {
    const from = [...event.target.closest(".hits").children].indexOf(event.target.closest(".hit"));
    const other = byId(event.key === "ArrowRight" ? "column-1" : "column-0").querySelectorAll(".open");
    other[Math.min(from, other.length - 1)]?.focus();
  }
}

function step(from, by) {
  const home = from.closest(".column") ?? byId("column-0");
  const stops = [byId("query"), ...home.querySelectorAll(".open")];
  const at = Math.max(0, stops.indexOf(from.closest(".hit")?.querySelector(".open") ?? from));
  const next = stops[Math.min(stops.length - 1, Math.max(0, at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

// The search of a site of pages has their name, and leads back to them.
function nameAfter(name, home) {
  document.title = `${name} · search`;
  const brand = document.querySelector(".brand");
  brand.replaceChildren(el("a", { href: home }, brand.querySelector("img"), name));
}

async function start() {
  try {
    const answer = await listIndexes();
    indexes = answer.indexes;
    engines = answer.engines;
    if (answer.home) nameAfter(indexes[0].name, answer.home);
  } catch (error) {
    return fail(error);
  }
  recall();
  controls();
  run();
}

listen();
start();
