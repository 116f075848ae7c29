// Shows a contract as a page: /openapi.json, or another one at the paths of OTHERS. It writes only text nodes, because
// markup of a contract is not trusted. docs-terms.js has the Chinese words of the search.
'use strict';

const OTHERS = { '/docs/scim': '/openapi-scim.json', '/docs/push-callback': '/openapi-push-callback.json' };
const CONTRACT = OTHERS[location.pathname] ?? '/openapi.json';
// This contract is of an endpoint of the reader, and not of this service.
const IS_YOURS = location.pathname === '/docs/push-callback';
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
let spec;

// ── DOM and words ───────────────────────────────────────────────────────────────────────
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

// `code`, **bold**, [text](address)
function inline(text) {
  const nodes = [];
  let rest = text;
  for (let m; (m = /`([^`]+)`|\*\*(.+?)\*\*|\[([^\]]+)\]\((https?:[^)]+|\/[^)]*|#[^)]*)\)/.exec(rest)); ) {
    nodes.push(rest.slice(0, m.index));
    if (m[1] !== undefined) nodes.push(el('code', {}, m[1]));
    else if (m[2] !== undefined) nodes.push(el('b', {}, inline(m[2])));
    else nodes.push(el('a', { href: m[4] }, m[3]));
    rest = rest.slice(m.index + m[0].length);
  }
  return [...nodes, rest];
}

function table(lines) {
  const cells = (line) => line.replace(/^\s*\||\|\s*$/g, '').split('|').map((cell) => cell.trim());
  const row = (tag) => (line) => el('tr', {}, cells(line).map((cell) => el(tag, {}, inline(cell))));
  const rows = lines.filter((line) => !/^[\s|:-]+$/.test(line));
  return el('div', { class: 'table' }, el('table', {}, rows.slice(0, 1).map(row('th')), rows.slice(1).map(row('td'))));
}

// The Markdown of the contract: headings, lists, tables, paragraphs. A line joins the block before it if it has the
// same kind or continues its last item. A blank line ends a paragraph.
function prose(text = '') {
  const blocks = [];
  for (const line of text.trim().split('\n')) {
    const kind = /^### /.test(line) ? 'h3' : /^\|/.test(line) ? 'table' : /^- /.test(line) ? 'ul' : /^\d+\. /.test(line) ? 'ol' : 'p';
    const last = blocks.at(-1);
    const words = line.trim().replace(/^(### |- |\d+\. )/, '');
    if (!words) blocks.push({ kind: 'end' });
    else if (/^ /.test(line) && /[uo]l/.test(last?.kind)) last.lines.push(last.lines.pop() + ' ' + words);
    else if (last?.kind === kind && kind !== 'h3') last.lines.push(words);
    else blocks.push({ kind, lines: [words] });
  }
  return blocks.filter(({ lines }) => lines?.[0]).map(({ kind, lines }) =>
    kind === 'table' ? table(lines)
      : kind === 'ul' || kind === 'ol' ? el(kind, {}, lines.map((item) => el('li', {}, inline(item))))
        : el(kind, kind === 'h3' ? { id: slug(lines[0]) } : {}, inline(lines.join(' '))));
}

const slug = (title) => `about-${title.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
// A path can break after a slash.
const breakable = (path) => path.split(/(?<=[/.])/).flatMap((part, at) => (at ? [el('wbr'), part] : [part]));

// ── schemas ─────────────────────────────────────────────────────────────────────────────
// The target of a $ref. Keys beside the $ref override it.
function resolve(thing) {
  if (!thing || !thing.$ref) return thing;
  const found = thing.$ref.slice(2).split('/').reduce((at, key) => at[key], spec);
  const { $ref, ...beside } = thing;
  return { ...resolve(found), ...beside };
}

// `oneOf` with null is a nullable type, not a choice.
function unwrap(schema) {
  const own = resolve(schema);
  const others = own.oneOf?.filter((one) => one.type !== 'null');
  if (others?.length !== 1) return own;
  return { ...unwrap(others[0]), ...(own.description && { description: own.description }), nullable: true };
}

function typeOf(schema) {
  const own = unwrap(schema);
  const orNull = own.nullable ? ' or null' : '';
  if (own.oneOf) return 'one of' + orNull;
  if (own.const !== undefined) return JSON.stringify(own.const);
  if (own.type === 'array') return `list of ${typeOf(own.items)}` + orNull;
  return [own.type ?? 'any'].flat().join(' or ') + (own.format ? `, ${own.format}` : '') + orNull;
}

function bounds(schema) {
  const { enum: values, minLength, maxLength, minimum, maximum, minItems, maxItems, pattern, default: preset } = schema;
  const number = (n) => n.toLocaleString('en').replace(/,/g, '\u202f');
  const range = (low, high, unit) =>
    low === undefined && high === undefined ? null
      : (high ?? Infinity) >= Number.MAX_SAFE_INTEGER ? `${number(low)} or more${unit}`
        : `${low === undefined ? 'at most ' : number(low) + ' to '}${number(high)}${unit}`;
  return [
    values && values.filter((value) => value !== null).join(' · '),
    range(minLength, maxLength, ' characters'),
    range(minimum, maximum, ''),
    range(minItems, maxItems, ' items'),
    preset !== undefined && `${preset} if left out`,
    /^\^[ -[\]-~]{1,40}$/.test(pattern) && el('code', {}, pattern),
  ].filter(Boolean);
}

function field(name, schema, must, seen) {
  const own = unwrap(schema);
  const inner = own.type === 'array' ? { ...unwrap(own.items), description: undefined } : own;
  const limits = bounds(own).concat(own.type === 'array' && !inner.properties && !inner.oneOf ? bounds(inner) : []);
  return el('li', { 'data-field': name },
    el('code', {}, breakable(name)), ' ', el('span', { class: 'type' }, typeOf(own)), must ? el('span', { class: 'must' }, ' required') : null,
    limits.flatMap((limit) => [' ', el('span', { class: 'bound' }, '— ', limit)]),
    prose(own.description), fields(inner, seen));
}

// The fields of a schema, down to the leaves. A recursive schema is not opened again.
function fields(schema, seen = []) {
  const own = unwrap(schema);
  if (seen.includes(schema.$ref ?? own.properties ?? own.oneOf)) return null;
  const path = [...seen, schema.$ref ?? own.properties ?? own.oneOf];
  if (own.oneOf) {
    return el('ul', { class: 'fields' }, own.oneOf.map((one, index) =>
      el('li', {}, el('b', {}, one.$ref ? one.$ref.split('/').pop() : `choice ${index + 1}`), prose(resolve(one).description), fields(one, path))));
  }
  if (own.type === 'array') return fields(own.items, path);
  if (!own.properties) return null;
  return el('ul', { class: 'fields' }, Object.entries(own.properties).map(([name, one]) =>
    field(name, one, own.required?.includes(name), path)));
}

// An example built from the examples of the fields, if the schema has none.
function sample(schema, depth = 0) {
  const own = resolve(schema);
  if (own.example !== undefined) return own.example;
  if (own.examples) return own.examples[0];
  if (own.const !== undefined) return own.const;
  if (own.default !== undefined) return own.default;
  if (own.enum) return own.enum[0];
  if (own.oneOf) return own.oneOf.some((one) => one.type === 'null') ? null : sample(own.oneOf[0], depth);
  const type = [own.type].flat();
  if (type.includes('null') || depth > 8) return null;
  if (type.includes('array')) return [sample(own.items, depth + 1)];
  if (type.includes('object')) {
    return Object.fromEntries(Object.entries(own.properties ?? {}).map(([name, one]) => [name, sample(one, depth + 1)]));
  }
  if (type.includes('integer')) return own.minimum ?? 0;
  return type.includes('boolean') ? true : own.format === 'uuid' ? '0198f3a2-7c1e-7d55-9b1a-0e8f6f6f2a11' : 'string';
}

function examplesOf(media) {
  if (media.examples) return Object.entries(media.examples).map(([name, one]) => [resolve(one).summary ?? name, resolve(one).value]);
  return [[null, media.example ?? sample(media.schema)]];
}

const valueOf = (parameter) => (parameter.example !== undefined || parameter.examples ? examplesOf(parameter)[0][1] : sample(parameter.schema));

// An id that no call used before. Pages without TLS have no randomUUID.
function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `docs-${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

// The example of a body, with a new `client_id` in each object that takes one.
function withClientIds(schema, value) {
  const own = unwrap(schema);
  if (own.type === 'array') return value.map((item) => withClientIds(own.items, item));
  return own.properties?.client_id ? { client_id: freshId(), ...value, ...(value?.client_id && { client_id: freshId() }) } : value;
}

const json = (value) => el('pre', { tabindex: '0' }, el('code', {}, JSON.stringify(value, null, 2)));

// ── operations ──────────────────────────────────────────────────────────────────────────
function curl(operation) {
  const filled = operation.path.replace(/\{(\w+)\}/g, (_, name) =>
    encodeURIComponent(valueOf(operation.parameters.find((one) => one.name === name))));
  const needed = operation.parameters.filter((one) => one.required && one.in === 'query');
  const query = needed.map((one) => `${one.name}=${encodeURIComponent(valueOf(one)).replace(/%2C/g, ',')}`).join('&');
  const method = { get: operation.streams ? ' -N' : '' }[operation.method] ?? ` -X ${operation.method.toUpperCase()}`;
  const lines = [`curl${method} '${location.origin}${filled}${query && '?'}${query}'`];
  if (operation.secured) lines.push(`-H 'x-user-id: zhangsan'`);
  if (operation.roles.length) lines.push(`-H 'x-user-roles: ${operation.roles[0]}'`);
  for (const one of operation.parameters) {
    if (one.required && one.in === 'header') lines.push(`-H '${one.name}: ${valueOf(one)}'`);
  }
  if (operation.body) {
    const body = JSON.stringify(withClientIds(operation.body.schema, examplesOf(operation.body)[0][1])).replace(/'/g, `'\\''`);
    lines.push(`-H 'content-type: ${operation.bodyType.replace('*/*', 'application/json')}'`, `-d '${body}'`);
  }
  return lines.join(' \\\n  ');
}

function tryIt(operation) {
  const command = curl(operation);
  const shown = el('pre', { tabindex: '0', class: 'curl' }, el('code', {}, command));
  const takesId = command.includes('"client_id"')
    ? el('p', { class: 'soft' }, 'The same ', el('code', {}, 'client_id'), ' again creates nothing new. Use another one for another object.') : null;
  return [el('h4', {}, 'Try it'), shown, copyOf(command), takesId];
}

// Browsers let a page copy only over TLS or on loopback.
function copyOf(text) {
  if (!globalThis.navigator?.clipboard) return null;
  const button = el('button', { type: 'button' }, 'Copy');
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  });
  return button;
}

function request(operation) {
  const parts = [];
  if (operation.parameters.length) {
    parts.push(el('h4', {}, 'Parameters'), el('ul', { class: 'fields' }, operation.parameters.map((one) =>
      field(one.name, { ...resolve(one.schema), ...(one.description && { description: one.description }) }, one.required, []))));
  }
  if (operation.body) {
    const schema = operation.body.schema;
    const about = [typeOf(schema), ...bounds(resolve(schema))].join(', ');
    parts.push(el('h4', {}, operation.optional ? 'Body, optional' : 'Body'), el('p', { class: 'soft' }, about), fields(schema));
    for (const [name, value] of examplesOf(operation.body)) parts.push(name ? el('p', { class: 'soft' }, name) : null, json(value));
  }
  return parts;
}

function response(status, definition) {
  const own = resolve(definition);
  const [kind, media] = Object.entries(own.content ?? {})[0] ?? [];
  const good = status < '3';
  const summary = el('summary', {}, el('span', { class: `status ${good ? 'ok' : 'bad'}` }, status), prose(own.description));
  const schema = resolve(media?.schema ?? {});
  const structured = kind?.endsWith('json') && (schema.additionalProperties !== undefined || schema.oneOf !== undefined);
  const shown = structured ? examplesOf(media).flatMap(([name, value]) => [name ? el('p', { class: 'soft' }, name) : null, json(value)]) : [];
  return el('details', { class: 'response', open: good && structured ? '' : undefined }, summary,
    kind ? el('p', { class: 'soft' }, kind) : el('p', { class: 'soft' }, 'No body.'),
    structured && good ? fields(media.schema) : null, shown);
}

function draw(operation) {
  const roles = operation.roles.length
    ? el('p', {}, 'Needs a role: ', operation.roles.map((role) => el('span', { class: 'role' }, role))) : null;
  return el('details', { class: 'operation', id: operation.id },
    el('summary', {}, el('span', { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      el('code', {}, breakable(operation.path)), el('span', { class: 'soft' }, operation.summary)),
    el('div', { class: 'inside' }, prose(operation.description), roles, request(operation),
      operation.calledByUs ? null : tryIt(operation), el('h4', {}, operation.calledByUs ? 'Your answer' : 'Answers'),
      Object.entries(operation.responses).map(([status, one]) => response(status, one))));
}

// The paths of the contract, and the webhooks. The path of a webhook is only a name. `calledByUs`: not to be tried.
function operations() {
  const entries = [...Object.entries(spec.paths), ...Object.entries(spec.webhooks ?? {})];
  return entries.flatMap(([path, item]) => Object.keys(item).filter((key) => METHODS.includes(key)).map((method) => {
    const own = item[method];
    const [bodyType, body] = Object.entries(own.requestBody?.content ?? {})[0] ?? [];
    return {
      method, path, calledByUs: IS_YOURS || !(path in spec.paths), id: own.operationId, tag: own.tags[0], summary: own.summary, description: own.description,
      parameters: [...(item.parameters ?? []), ...(own.parameters ?? [])].map(resolve),
      bodyType, body, optional: own.requestBody?.required === false,
      responses: own.responses, roles: own['x-roles'] ?? [], secured: (own.security ?? spec.security ?? []).length > 0,
      streams: Object.values(own.responses).some((one) => resolve(one).content?.['text/event-stream']),
    };
  }));
}

// The operations of a tag. Those that every user can call come first.
const ofTag = (all, tag) => all.filter((one) => one.tag === tag.name).sort((a, b) => (a.roles.length > 0) - (b.roles.length > 0));

// How callers prove who they are. The contract of the push callback has none.
const schemesOf = () => Object.entries(spec.components.securitySchemes ?? {});

// ── problem types ───────────────────────────────────────────────────────────────────────
const problemsOf = () => spec.components.schemas.Problem?.['x-problems'] ?? [];

function problemTable() {
  const problems = problemsOf();
  if (!problems.length) return [];
  return [el('h3', { id: 'problems' }, 'Problem types'), el('div', { class: 'table' }, el('table', {},
    el('tr', {}, ['status', 'type', 'meaning', 'what to do'].map((title) => el('th', {}, title))),
    problems.map((one) => el('tr', { id: `problem-${one.type}` },
      [String(one.status), el('code', {}, one.type), one.title, inline(one.remedy)].map((cell) => el('td', {}, cell))))))];
}

// ── search ──────────────────────────────────────────────────────────────────────────────
// Where a word is found decides the order of the results.
const WEIGHTS = { title: 100, path: 60, field: 40, problem: 30, text: 15, answer: 5 };

// All fields of a schema as [name, text], down to the leaves.
function fieldTexts(schema, seen = []) {
  const own = unwrap(schema);
  const key = schema.$ref ?? own.properties ?? own.oneOf;
  if (key && seen.includes(key)) return [];
  const path = key ? [...seen, key] : seen;
  const choices = (own.oneOf ?? []).flatMap((one) => fieldTexts(one, path));
  if (own.type === 'array') return [...choices, ...fieldTexts(own.items, path)];
  return Object.entries(own.properties ?? {}).reduce((found, [name, one]) => {
    const inner = unwrap(one);
    const values = [inner.const, ...(inner.enum ?? []), ...(unwrap(inner.items ?? {}).enum ?? [])].filter((value) => value !== undefined);
    found.push([name, [inner.description, ...values].filter(Boolean).join(' ')], ...fieldTexts(one, path));
    return found;
  }, choices);
}

// What the search knows: [{kind, id, title, parts: [{place, text, field?}]}].
function entries(all) {
  const part = (place, text, field) => ({ place, text: (text ?? '').toLowerCase(), field });
  const fieldParts = (pairs) => pairs.flatMap(([name, text]) => [part('field', name, name), part('text', text, name)]);
  const operation = (one) => {
    const answers = Object.entries(one.responses).map(([status, own]) => [status, resolve(own)]);
    const examples = answers.flatMap(([, own]) => Object.values(own.content ?? {}).flatMap((media) =>
      Object.keys(media.examples ?? {}).concat(media.example?.type ?? [])));
    return {
      kind: 'operation', id: one.id, title: one.summary, method: one.method, path: one.path,
      parts: [part('title', one.summary), part('path', `${one.method} ${one.path} ${one.id} ${one.tag} ${one.roles.join(' ')}`), part('text', one.description),
        ...fieldParts(one.parameters.map((own) => [own.name, `${own.description ?? ''} ${(resolve(own.schema)?.enum ?? []).join(' ')}`])),
        ...(one.body ? fieldParts(fieldTexts(one.body.schema)) : []),
        // All operations share the texts of errors, so these are found by status and type alone.
        ...answers.flatMap(([status, own]) => [part('answer', status < '3' ? `${status} ${own.description}` : status),
          ...(status < '3' ? Object.values(own.content ?? {}).flatMap((media) => fieldParts(fieldTexts(media.schema))) : [])]),
        ...examples.map((name) => part('answer', name))],
    };
  };
  const problem = (one) => ({
    kind: 'problem', id: `problem-${one.type}`, title: `${one.status} ${one.type}`,
    parts: [part('title', `${one.type} ${one.status}`), part('problem', `${one.title} ${one.remedy}`)],
  });
  const chapters = spec.info.description.split(/^### /m).slice(1).map((text) => [text.split('\n')[0], text]);
  const tags = spec.tags.map(({ name, description }) => ({ kind: 'text', id: name, title: name, parts: [part('text', `${name} ${description ?? ''}`)] }));
  const schemes = schemesOf().map(([, one]) => `${one.name ?? 'authorization'} ${one.scheme ?? ''} ${one.description ?? ''}`);
  return [
    ...all.map(operation), ...problemsOf().map(problem),
    ...chapters.map(([title, text]) => ({ kind: 'text', id: slug(title), title, parts: [part('text', text)] })), ...tags,
    ...(schemes.length ? [{ kind: 'text', id: 'callers', title: 'Who is calling', parts: [part('text', schemes.join(' '))] }] : []),
  ];
}

// The words of a query, each as a list of alternatives: the word itself, its singular, and the English words of a Chinese term.
// Chinese has no blanks between words, so the longest known term is cut off first.
function alternatives(query) {
  const terms = Object.keys(TERMS).sort((a, b) => b.length - a.length);
  const words = [];
  for (let rest = query.trim(); rest; rest = rest.trimStart()) {
    const term = terms.find((one) => rest.toLowerCase().startsWith(one.toLowerCase()));
    const word = term ?? /^[^\s\u2e80-\u9fff]+|^[\u2e80-\u9fff]/.exec(rest)[0];
    rest = rest.slice(word.length);
    const plain = word.toLowerCase();
    words.push([plain, ...(term ? TERMS[term].split('|') : []), ...(/[a-z]{3}s$/.test(plain) ? [plain.slice(0, -1)] : [])]);
  }
  return words;
}

// A whole word counts more than its beginning, and that more than a part in the middle.
function wholeness(text, choices) {
  const one = choices.map((choice) => choice.replace(/[^\w\u2e80-\u9fff]/g, '\\$&')).join('|');
  if (new RegExp(`(^|[^a-z0-9])(${one})($|[^a-z0-9])`).test(text)) return 1;
  return new RegExp(`(^|[^a-z0-9])(${one})`).test(text) ? 0.7 : 0.4;
}

// Entries that have every word, the best first: [{entry, score, fields}].
function find(index, query) {
  const words = alternatives(query);
  if (!words.length) return [];
  const found = [];
  for (const entry of index) {
    const fields = new Set();
    const scores = words.map((choices) => {
      let best = 0;
      let times = 0;
      for (const { place, text, field } of entry.parts) {
        if (!choices.some((choice) => text.includes(choice))) continue;
        if (field && place === 'field') fields.add(field);
        best = Math.max(best, WEIGHTS[place] * wholeness(text, choices));
        times += 1;
      }
      return best + Math.min(best, times);
    });
    if (scores.every(Boolean)) found.push({ entry, score: scores.reduce((sum, score) => sum + score, 0), fields: [...fields] });
  }
  return found.sort((a, b) => b.score - a.score);
}

const KINDS = { operation: 'Operations', problem: 'Problem types', text: 'On this page' };
const FIELDS_SHOWN = 4;

function results(found) {
  if (!found.length) return [el('p', { class: 'soft' }, 'Nothing found.')];
  const item = ({ entry, fields }) => el('li', {},
    el('a', { href: `#${entry.id}` }, entry.title, entry.path ? el('span', { class: 'soft' }, ` ${entry.method.toUpperCase()} `, breakable(entry.path)) : null),
    fields.length ? el('span', { class: 'hits' }, fields.slice(0, FIELDS_SHOWN).map((name) => [el('a', { href: `#${entry.id}/${name}` }, el('code', {}, name)), ' '])) : null);
  // The kind of the best result comes first.
  const kinds = [...new Set(found.map(({ entry }) => entry.kind))];
  return kinds.map((kind) => {
    const own = found.filter(({ entry }) => entry.kind === kind);
    return el('div', {}, el('strong', {}, `${KINDS[kind]} (${own.length})`), el('ul', {}, own.map(item)));
  });
}

// ── the page ────────────────────────────────────────────────────────────────────────────
function navigation(all) {
  const search = el('input', { type: 'search', placeholder: 'unread, token, 未读, 409 …', 'aria-label': 'Search operations, fields and problem types' });
  const groups = el('div', {}, spec.tags.map((tag) =>
    el('div', {}, el('strong', {}, tag.name), el('ul', {}, ofTag(all, tag).map((one) => el('li', {}, el('a', { href: `#${one.id}` }, one.summary)))))));
  const hits = el('div', { 'aria-live': 'polite' });
  let index;
  search.addEventListener('input', () => {
    const query = search.value.trim();
    index ??= entries(all);
    groups.hidden = query !== '';
    hits.replaceChildren(...(query ? results(find(index, query)) : []));
  });
  const wide = matchMedia('(min-width: 52.01rem)');
  const list = el('details', {}, el('summary', {}, 'Operations'), el('p', {}, search), hits, groups);
  const fit = () => { list.open = wide.matches; };
  wide.addEventListener('change', fit);
  list.addEventListener('click', (event) => { if (event.target.closest('a') && !wide.matches) list.open = false; });
  fit();
  return list;
}

// `#operation`, or `#operation/field`.
function follow() {
  const [id, name] = decodeURIComponent(location.hash.slice(1)).split('/');
  const target = document.getElementById(id);
  if (target?.matches('details')) target.open = true;
  const fields = name ? [...(target?.querySelectorAll('[data-field]') ?? [])] : [];
  const field = fields.find((one) => one.dataset.field === name);
  for (let at = field; at && at !== target; at = at.parentElement) if (at.matches('details')) at.open = true;
  (field ?? target)?.scrollIntoView();
}

async function main() {
  const page = document.getElementById('main');
  try {
    const answer = await fetch(CONTRACT);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    spec = await answer.json();
  } catch (error) {
    document.getElementById('wait').append(` failed: ${error.message}`);
    return;
  }
  const all = operations();
  document.title = spec.info.title;
  document.getElementById('nav').append(navigation(all));
  const schemes = schemesOf().map(([name, one]) =>
    el('li', {}, el('code', {}, one.name ?? `authorization: ${name}`), prose(one.description)));
  page.replaceChildren(
    el('h1', {}, spec.info.title), el('p', { class: 'soft' }, `${spec.info.summary} Version ${spec.info.version}, `,
      el('a', { href: CONTRACT }, CONTRACT.slice(1))),
    ...prose(spec.info.description), ...(schemes.length ? [el('h3', { id: 'callers' }, 'Who is calling'), el('ul', { class: 'fields' }, schemes)] : []), ...problemTable(),
    ...spec.tags.flatMap((tag) => [el('h2', { id: tag.name }, tag.name), ...prose(tag.description), ...ofTag(all, tag).map(draw)]));
  addEventListener('hashchange', follow);
  follow();
}

main();
