// A text to terms as the index reads it: stemmed words, and word pieces of a BERT tokenizer.

import { stem } from "./stemmer.js";

const ASCII = /^[\x00-\x7f]*$/; // eslint-disable-line no-control-regex
const WORD = /[\p{L}\p{N}_]+(?:\p{M}+[\p{L}\p{N}_]*)*/gu;
const SHOWN = /[\p{L}\p{N}\p{M}_]+/gu;

export class Lexical {
  constructor({ language, stop_words: stopWords }, firstStem, terms) {
    this.stem = language === "none" ? (word) => word : stem;
    this.stopWords = new Set(stopWords);
    this.ids = new Map(terms.slice(firstStem).map((term, i) => [term, firstStem + i]));
  }

  // Terms of a text in order, with repetitions; unknown ones left out.
  terms(text) {
    const plain = ASCII.test(text) ? text.toLowerCase() : text.normalize("NFKC").toLowerCase();
    const words = (plain.match(WORD) ?? []).filter((word) => word.length > 1 && [...word].length > 1);
    return words.filter((word) => !this.stopWords.has(word)).map((word) => this.ids.get(this.stem(word))).filter((id) => id !== undefined);
  }
}

export class WordPiece {
  constructor(settings, firstStem, terms) {
    this.settings = settings;
    this.ids = new Map(terms.slice(0, firstStem).map((term, i) => [term, i]));
  }

  // Terms of a text in order, with repetitions; unknown words left out, as they weigh nothing.
  terms(text) {
    const { added, prefix, longest } = this.settings;
    let parts = [text];
    for (const token of added) parts = parts.flatMap((part) => part.split(token));
    return parts.flatMap((part) => this.split(this.normalize(part))).flatMap((word) => this.pieces(word, prefix, longest));
  }

  normalize(text) {
    const { clean, chinese, lowercase, strip_accents: accents } = this.settings;
    let out = text;
    if (clean) out = out.replace(/[\0\ufffd]|(?![\t\n\r])\p{C}/gu, "").replace(/\s/gu, " ");
    if (chinese) out = out.replace(/[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu, " $& ");
    if (accents) out = out.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lowercase ? [...out].map((letter) => letter.toLowerCase()).join("") : out;
  }

  split(text) {
    return text.match(/[!-/:-@[-`{-~]|\p{P}|(?:(?![!-/:-@[-`{-~]|\p{P})\S)+/gu) ?? [];
  }

  pieces(word, prefix, longest) {
    const letters = [...word];
    if (letters.length > longest) return [];
    const found = [];
    for (let start = 0, end; start < letters.length; start = end) {
      let id;
      for (end = letters.length; end > start; end--) {
        id = this.ids.get((start ? prefix : "") + letters.slice(start, end).join(""));
        if (id !== undefined) break;
      }
      if (id === undefined) return [];
      found.push(id);
    }
    return found;
  }
}

// The words of a text as it is written: [start, end, set of terms].
export const places = (text, channels) =>
  [...text.matchAll(SHOWN)].map(({ 0: word, index }) => [index, index + word.length, new Set(channels.flatMap((c) => c.terms(word)))]);
