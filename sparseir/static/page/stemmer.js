// English stems as the index has them: the Porter2 algorithm as Snowball 3 describes it
// (https://snowballstem.org/algorithms/english/stemmer.html), written from that description.

const VOWEL = "aeiouy";
const EXCEPTIONS = new Map(Object.entries({
  skis: "ski", skies: "sky", idly: "idl", gently: "gentl", ugly: "ugli", early: "earli", only: "onli", singly: "singl",
  sky: "sky", news: "news", howe: "howe", atlas: "atlas", cosmos: "cosmos", bias: "bias", andes: "andes",
}));
const REGION = /^(?:arsen|commun|emerg|gener|inter|later|organ|past|univers)/;
const FIRST = /[aeiouy][^aeiouy]/;
const DOUBLE = /(?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$/;
const STEP_2 = {
  tional: "tion", enci: "ence", anci: "ance", abli: "able", entli: "ent", izer: "ize", ization: "ize", ational: "ate",
  ation: "ate", ator: "ate", alism: "al", aliti: "al", alli: "al", fulness: "ful", ousli: "ous", ousness: "ous",
  iveness: "ive", iviti: "ive", biliti: "ble", bli: "ble", ogist: "og", ogi: null, fulli: "ful", lessli: "less", li: null,
};
const STEP_3 = {
  ational: "ate", tional: "tion", alize: "al", icate: "ic", iciti: "ic", ical: "ic", ful: "", ness: "", ative: null,
};
const STEP_4 = [
  "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ism", "ate", "iti", "ous", "ive",
  "ize", "ion",
];

export function stem(word) {
  if (word.length < 3) return word;
  const known = EXCEPTIONS.get(word);
  if (known) return known;
  let w = markY(word);
  const [r1, r2] = regions(w);
  w = plural(w);
  w = past(w, r1);
  if (w.length > 2 && /[yY]$/.test(w) && !isVowel(w.at(-2))) w = `${w.slice(0, -1)}i`;
  w = derived(w, r1);
  w = derivedAgain(w, r1, r2);
  w = bare(w, r2);
  w = last(w, r1, r2);
  return w.toLowerCase() === w ? w : w.replaceAll("Y", "y");
}

const isVowel = (letter) => VOWEL.includes(letter);

// A y that sounds as a consonant is written Y.
function markY(word) {
  if (!word.includes("y")) return word;
  const letters = [...word];
  letters.forEach((letter, i) => {
    if (letter === "y" && (i === 0 || isVowel(letters[i - 1]))) letters[i] = "Y";
  });
  return letters.join("");
}

// Where R1 and R2 begin.
function regions(w) {
  const end = (from) => {
    const found = FIRST.exec(w.slice(from));
    return found ? from + found.index + 2 : w.length;
  };
  const special = REGION.exec(w);
  const r1 = special ? special[0].length : end(0);
  return [r1, end(r1)];
}

const shortEnd = (w) => /[^aeiouy][aeiouy][^aeiouywxY]$/.test(w) || /^[aeiouy][^aeiouy]$/.test(w) || w.endsWith("past");

function plural(w) {
  if (w.endsWith("sses")) return w.slice(0, -2);
  if (/ie[ds]$/.test(w)) return w.length > 4 ? w.slice(0, -2) : w.slice(0, -1);
  if (/(?:us|ss)$/.test(w)) return w;
  return w.endsWith("s") && /[aeiouy]/.test(w.slice(0, -2)) ? w.slice(0, -1) : w;
}

function past(w, r1) {
  const ending = /(?:eedly|ingly|edly|eed|ing|ed)$/.exec(w)?.[0];
  if (!ending) return w;
  const head = w.slice(0, -ending.length);
  if (ending.startsWith("eed")) {
    if (head.length < r1 || /^(?:succ|proc|exc)$/.test(head)) return w;
    return `${head}ee`;
  }
  if (!/[aeiouy]/.test(head)) return w;
  if (ending === "ing") {
    if (/^[^aeiouy]y$/.test(head)) return `${head[0]}ie`;
    if (/^(?:cann|earr|even|herr|inn|out)$/.test(head)) return w;
  }
  if (/(?:at|bl|iz)$/.test(head)) return `${head}e`;
  if (DOUBLE.test(head)) return /^[aeo]..$/.test(head) ? head : head.slice(0, -1);
  return head.length === r1 && shortEnd(head) ? `${head}e` : head;
}

const longest = (w, endings) =>
  endings.reduce((best, ending) => (w.endsWith(ending) && ending.length > best.length ? ending : best), "");

function derived(w, r1) {
  const ending = longest(w, Object.keys(STEP_2));
  const head = w.slice(0, w.length - ending.length);
  if (!ending || head.length < r1) return w;
  if (ending === "ogi") return head.endsWith("l") ? `${head}og` : w;
  if (ending === "li") return /[cdeghkmnrt]$/.test(head) ? head : w;
  return head + STEP_2[ending];
}

function derivedAgain(w, r1, r2) {
  const ending = longest(w, Object.keys(STEP_3));
  const head = w.slice(0, w.length - ending.length);
  if (!ending || head.length < r1) return w;
  if (ending === "ative") return head.length >= r2 ? head : w;
  return head + STEP_3[ending];
}

function bare(w, r2) {
  const ending = longest(w, STEP_4);
  const head = w.slice(0, w.length - ending.length);
  if (!ending || head.length < r2) return w;
  return ending === "ion" && !/[st]$/.test(head) ? w : head;
}

function last(w, r1, r2) {
  const head = w.slice(0, -1);
  if (w.endsWith("e") && (head.length >= r2 || (head.length >= r1 && !shortEnd(head)))) return head;
  return w.endsWith("l") && head.length >= r2 && head.endsWith("l") ? head : w;
}
