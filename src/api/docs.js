// Shows a contract as a page: /openapi.json, or the SCIM contract at /docs/scim. It writes only text nodes, because markup of a
// contract is not trusted.
'use strict';

const CONTRACT = location.pathname === '/docs/scim' ? '/openapi-scim.json' : '/openapi.json';
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
        : el(kind, {}, inline(lines.join(' '))));
}

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
  return el('li', {},
    el('code', {}, name), ' ', el('span', { class: 'type' }, typeOf(own)), must ? el('span', { class: 'must' }, ' required') : null,
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

const json = (value) => el('pre', { tabindex: '0' }, el('code', {}, JSON.stringify(value, null, 2)));

// ── operations ──────────────────────────────────────────────────────────────────────────
function curl(operation) {
  const filled = operation.path.replace(/\{(\w+)\}/g, (_, name) => {
    const parameter = operation.parameters.find((one) => one.name === name);
    return encodeURIComponent(sample(parameter.schema));
  });
  const lines = [`curl${operation.method === 'get' ? '' : ` -X ${operation.method.toUpperCase()}`} '${location.origin}${filled}'`];
  if (operation.secured) lines.push(`-H 'x-user-id: zhangsan'`);
  if (operation.roles.length) lines.push(`-H 'x-user-roles: ${operation.roles[0]}'`);
  if (operation.body) {
    const body = JSON.stringify(examplesOf(operation.body)[0][1]).replace(/'/g, `'\\''`);
    lines.push(`-H 'content-type: ${operation.bodyType}'`, `-d '${body}'`);
  }
  return el('pre', { tabindex: '0' }, el('code', {}, lines.join(' \\\n  ')));
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
  const structured = kind?.endsWith('json') && resolve(media.schema).additionalProperties !== undefined;
  return el('details', { class: 'response', open: good && structured ? '' : undefined }, summary,
    kind ? el('p', { class: 'soft' }, kind) : el('p', { class: 'soft' }, 'No body.'),
    structured ? [good ? fields(media.schema) : null, examplesOf(media).flatMap(([, value]) => json(value))] : []);
}

function draw(operation) {
  const roles = operation.roles.length
    ? el('p', {}, 'Needs a role: ', operation.roles.map((role) => el('span', { class: 'role' }, role))) : null;
  return el('details', { class: 'operation', id: operation.id },
    el('summary', {}, el('span', { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      el('code', {}, operation.path), el('span', { class: 'soft' }, operation.summary)),
    el('div', { class: 'inside' }, prose(operation.description), roles, request(operation),
      operation.ours ? null : [el('h4', {}, 'Try it'), curl(operation)], el('h4', {}, operation.ours ? 'Your answer' : 'Answers'),
      Object.entries(operation.responses).map(([status, one]) => response(status, one))));
}

// The paths of this service, and the webhooks. The path of a webhook is only a name.
function operations() {
  const entries = [...Object.entries(spec.paths), ...Object.entries(spec.webhooks ?? {})];
  return entries.flatMap(([path, item]) => Object.keys(item).filter((key) => METHODS.includes(key)).map((method) => {
    const own = item[method];
    const [bodyType, body] = Object.entries(own.requestBody?.content ?? {})[0] ?? [];
    return {
      method, path, ours: !(path in spec.paths), id: own.operationId, tag: own.tags[0], summary: own.summary, description: own.description,
      parameters: [...(item.parameters ?? []), ...(own.parameters ?? [])].map(resolve),
      bodyType, body, optional: own.requestBody?.required === false,
      responses: own.responses, roles: own['x-roles'] ?? [], secured: (own.security ?? spec.security ?? []).length > 0,
    };
  }));
}

// ── the page ────────────────────────────────────────────────────────────────────────────
function navigation(all) {
  const search = el('input', { type: 'search', placeholder: 'Find an operation', 'aria-label': 'Find an operation' });
  const entry = (one) => el('li', { 'data-words': `${one.method} ${one.path} ${one.summary} ${one.tag}`.toLowerCase() },
    el('a', { href: `#${one.id}` }, one.summary));
  const groups = spec.tags.map(({ name }) =>
    el('div', {}, el('strong', {}, name), el('ul', {}, all.filter((one) => one.tag === name).map(entry))));
  search.addEventListener('input', () => {
    const words = search.value.toLowerCase().split(/\s+/);
    for (const group of groups) {
      for (const item of group.querySelectorAll('li')) item.hidden = !words.every((word) => item.dataset.words.includes(word));
      group.hidden = !group.querySelector('li:not([hidden])');
    }
  });
  const wide = matchMedia('(min-width: 52.01rem)');
  const list = el('details', {}, el('summary', {}, 'Operations'), el('p', {}, search), groups);
  const fit = () => { list.open = wide.matches; };
  wide.addEventListener('change', fit);
  list.addEventListener('click', (event) => { if (event.target.closest('a') && !wide.matches) list.open = false; });
  fit();
  return list;
}

function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches('details')) target.open = true;
  target?.scrollIntoView();
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
  const schemes = Object.entries(spec.components.securitySchemes).map(([name, one]) =>
    el('li', {}, el('code', {}, one.name ?? `authorization: ${name}`), prose(one.description)));
  page.replaceChildren(
    el('h1', {}, spec.info.title), el('p', { class: 'soft' }, `${spec.info.summary} Version ${spec.info.version}, `,
      el('a', { href: CONTRACT }, CONTRACT.slice(1))),
    ...prose(spec.info.description), el('h3', {}, 'Who is calling'), el('ul', { class: 'fields' }, schemes),
    ...spec.tags.flatMap((tag) => [el('h2', { id: tag.name }, tag.name), ...prose(tag.description),
      ...all.filter((one) => one.tag === tag.name).map(draw)]));
  addEventListener('hashchange', follow);
  follow();
}

main();
