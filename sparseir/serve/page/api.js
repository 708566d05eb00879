// The service, as this page calls it. Addresses are relative, so that it also works below a path of a proxy.

const KEY = "sparseir-api-key";

export class ServiceError extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.field = error.field;
  }
}

export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

async function call(path, { body, signal } = {}) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers["x-api-key"] = key;
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    throw new ServiceError(response.status, answer?.error ?? { code: "unreachable", message: `HTTP ${response.status}` });
  }
  return answer;
}

export const listIndexes = () => call("indexes");

export const search = (asked, signal) =>
  call("search", { body: { ...asked, fields: ["url"], snippet: true, explain: true, stats: true }, signal });

export const fetchDocument = (index, docno) =>
  call(`documents/${docno.split("/").map(encodeURIComponent).join("/")}?vector=true&index=${encodeURIComponent(index)}`);
