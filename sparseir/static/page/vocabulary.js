// The vocabulary as the site holds it: sorted terms, each with what it shares with the one before, and their numbers.

const END = "\x7f";

// vocabulary.json → terms and, by term, the documents that hold it and its weight in a query.
export function unpack({ terms, pairs, codes }) {
  let before = "";
  const strings = terms.split(END).map((coded) => (before = before.slice(0, parseInt(coded[0], 36)) + coded.slice(1)));
  return { terms: strings, df: codes.map((code) => pairs.df[code]), weight: (term) => pairs.weights[codes[term]] };
}
