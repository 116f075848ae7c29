// The calls of the page, each with a record. The gateway of the demo believes the path: `as/wang/api/v1/…` is Wang's.

export class Refused extends Error {
  constructor(problem, status) {
    super(problem?.detail ?? problem?.title ?? `HTTP ${status}`);
    this.problem = problem;
    this.status = status;
  }
}

const listeners = new Set();
let count = 0;

export function onCall(listener) {
  listeners.add(listener);
}

/** A new id for a send: a repeat of it is stored once. */
export function clientId() {
  // crypto.randomUUID needs a secure page; http://127.0.0.1 is one, another name of the machine is not.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Caller {
  /** `prefix`: how the demo's gateway knows the caller, `as/{user_id}` or `gateway`. */
  constructor({ as, name, roles, prefix }) {
    Object.assign(this, { as, name, roles, prefix });
  }

  static person({ user_id, name }) {
    return new Caller({ as: user_id, name, prefix: `as/${encodeURIComponent(user_id)}` });
  }

  url(path) {
    return `${this.prefix}/api/v1${path}`;
  }

  get(path, options) { return this.call('GET', path, options); }
  post(path, body, options) { return this.call('POST', path, { ...options, body }); }
  put(path, body, options) { return this.call('PUT', path, { ...options, body }); }
  patch(path, body, options) { return this.call('PATCH', path, { ...options, body }); }

  /**
   * One call. `quiet`: the page makes it by itself, such as a look at receipts. `does`: what it is for.
   * `blob` and `file`: bytes to send, and the name to show for them.
   */
  async call(method, path, { body, blob, file, quiet = false, does = '' } = {}) {
    const record = {
      id: ++count, as: this.as, name: this.name, roles: this.roles, method, path: `/api/v1${path}`, body, file, quiet, does,
      at: new Date(), status: 0, ms: 0, answer: null,
    };
    const began = performance.now();
    const headers = {};
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (blob) headers['content-type'] = 'application/octet-stream';
    try {
      const response = await fetch(this.url(path), { method, headers, body: blob ?? (body === undefined ? undefined : JSON.stringify(body)) });
      const text = await response.text();
      record.status = response.status;
      record.answer = parse(text);
    } catch {
      record.answer = null;
    }
    record.ms = Math.round(performance.now() - began);
    for (const listener of listeners) listener(record);
    if (record.status < 200 || record.status > 299) throw new Refused(record.answer, record.status);
    return record.answer;
  }
}

function parse(text) {
  if (text === '') return null;
  try { return JSON.parse(text); } catch { return text; }
}
