// Elements made of text and elements only: nothing a document holds is ever read as HTML.

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) made.style.setProperty(key, value);
    else if (key === "class") made.className = value;
    else if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const whole = new Intl.NumberFormat("en");
export const count = (number) => whole.format(number);
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
export const percent = (share) => (share >= 0.0995 ? `${Math.round(share * 100)}%` : `${(share * 100).toFixed(1)}%`);
export const decimal = (number) => Number(number.toPrecision(4)).toString();

// What a term's string begins with is shown dimmed: "##son" continues a word, "stem:run" is of the lexical channel.
const MARKS = { "##": "continues a word", "stem:": "a stemmed word" };

export function termName(term) {
  const mark = Object.keys(MARKS).find((start) => term.startsWith(start));
  return mark ? [el("span", { class: "piece", title: MARKS[mark] }, mark), term.slice(mark.length)] : [term];
}
