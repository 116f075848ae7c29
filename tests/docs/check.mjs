// Runs the page at /docs of a running service without a browser, and checks what it shows and finds.
//
//   node tests/docs/check.mjs BASE_URL
//
// The document below has only what the page uses. Each failed check is a line on standard error.
import vm from 'node:vm';

const base = process.argv[2];
const failures = [];
const check = (holds, what) => { if (!holds) failures.push(what); };

class Node {
  constructor(tag) {
    Object.assign(this, { tag, attributes: {}, children: [], listeners: {}, hidden: false, value: '' });
  }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.children = children; }
  addEventListener(name, listener) { this.listeners[name] = listener; }
  matches(tag) { return this.tag === tag; }
  get all() { return [this, ...this.children.flatMap((child) => (child instanceof Node ? child.all : []))]; }
  get text() { return this.children.map((child) => (child instanceof Node ? child.text : child)).join(''); }
  of(tag) { return this.all.filter((one) => one.tag === tag); }
}

async function open(path, contract) {
  const html = await (await fetch(base + path)).text();
  const places = { nav: new Node('nav'), main: new Node('main'), wait: new Node('p') };
  const context = vm.createContext({
    document: { createElement: (tag) => new Node(tag), getElementById: (id) => places[id] },
    location: { pathname: path, origin: base, hash: '' },
    matchMedia: () => ({ matches: true, addEventListener() {} }),
    addEventListener() {},
    fetch: (address) => fetch(base + address),
    crypto: globalThis.crypto,
  });
  for (const [, script] of html.matchAll(/<script src="([^"]+)"/g)) {
    vm.runInContext(await (await fetch(base + script)).text(), context, { filename: script });
  }
  const until = Date.now() + 10_000;
  while (!places.main.children.length && !places.wait.children.length && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  check(!places.wait.children.length, `${path}: ${places.wait.text}`);
  const spec = await (await fetch(base + contract)).json();
  return { ...places, spec, search: (query) => find(places.nav, query) };
}

// What the search shows: titles by group, and the fields that are named.
function find(nav, query) {
  const [input] = nav.of('input');
  input.value = query;
  input.listeners.input();
  const links = nav.of('div').find((one) => 'aria-live' in one.attributes);
  return { text: links.text, links: links.of('a').map((one) => one.attributes.href) };
}

function operationsOf(spec) {
  const items = [...Object.entries(spec.paths), ...Object.entries(spec.webhooks ?? {})];
  return items.flatMap(([path, item]) => ['get', 'post', 'put', 'patch', 'delete'].filter((method) => item[method])
    .map((method) => ({ path, method, ...item[method] })));
}

const { main, nav, spec, search } = await open('/docs', '/openapi.json');
const shown = main.of('details').filter((one) => one.attributes.class === 'operation');

// Each operation once, in the order of the tags.
const ids = operationsOf(spec).map((one) => one.operationId);
check(shown.length === ids.length, `${shown.length} operations are shown, the contract has ${ids.length}`);
for (const id of ids) check(shown.filter((one) => one.attributes.id === id).length === 1, `${id} is not shown once`);
const every = [main, nav].flatMap((place) => place.all).map((one) => one.attributes.id).filter(Boolean);
check(new Set(every).size === every.length, `ids repeat: ${every.filter((id, at) => every.indexOf(id) !== at)}`);
const titles = main.of('h2').map((one) => one.text);
check(titles.slice(0, 6).join() === 'messages,channels,receipts,conversations,search,events', `the page begins with ${titles}`);
check(shown[0].attributes.id === 'sendMessage' || shown[0].attributes.id === 'listMessages', `${shown[0].attributes.id} comes first`);

// Links of the page lead somewhere.
for (const link of [main, nav].flatMap((place) => place.of('a')).map((one) => one.attributes.href)) {
  check(!link.startsWith('#') || every.includes(link.slice(1).split('/')[0]), `${link} leads nowhere`);
}

// Words in both languages find operations, fields and problem types.
const finds = [
  ['unread', '#listConversations', 'unread_count'], ['未读', '#listConversations', 'unread_count'], ['未读数', '#listConversations'],
  ['token', '#about-roles'], ['令牌', '#about-roles'], ['token', '#callers'], ['token', '#problem-unauthenticated'],
  ['409', '#problem-conflict'], ['409', '#problem-client-id-reused'], ['409', '#sendMessage'], ['冲突', '#problem-conflict'],
  ['client_id', '#sendMessage', 'client_id'], ['message.read', '#takeEvents'], ['webhook', '#webhooks'], ['死信', '#listDeadLetters'],
  ['撤回消息', '#recallMessage'], ['recall message', '#recallMessage'], ['在线状态', '#getPresence'], ['发送消息', '#sendMessage'],
  ['bigger'], ['after_seq', '#listMessages', 'after_seq'], ['sendMessage', '#sendMessage'], ['x-gateway-secret', '#callers'],
];
for (const [query, link, field] of finds) {
  const { text, links } = search(query);
  if (!link) check(text.includes('Nothing found'), `${query}: ${text}`);
  else check(links.includes(link), `${query} does not find ${link}: ${links.slice(0, 8)}`);
  if (field) check(links.includes(`${link}/${field}`), `${query} does not name ${field}: ${links.slice(0, 8)}`);
}
check(search('unread').links.slice(0, 5).includes('#listConversations'), `unread finds first ${search('unread').links}`);
check(search('token').links.length < 40, `token finds too much: ${search('token').links}`);
check(search('409').links[0].startsWith('#problem-'), `409 finds first ${search('409').links[0]}`);
check(search('发送消息').links[0].startsWith('#sendMessage'), `发送消息 finds first ${search('发送消息').links[0]}`);

// Each operation can be tried: with what is required, and a client_id where one is taken.
const resolve = (thing) => (thing?.$ref ? resolve(thing.$ref.slice(2).split('/').reduce((at, key) => at[key], spec)) : thing);
function takesClientId(schema) {
  const own = resolve(schema);
  if (!own) return false;
  return Boolean(own.properties?.client_id) || takesClientId(own.items) || (own.oneOf ?? []).some(takesClientId);
}
const seen = new Set();
for (const { path, method, operationId, parameters = [], requestBody } of operationsOf(spec)) {
  if (!(path in spec.paths)) continue;
  const curl = shown.find((one) => one.attributes.id === operationId).of('pre').find((one) => one.attributes.class === 'curl')?.text ?? '';
  check(curl.startsWith('curl') && !curl.includes('{channel_id}') && !curl.includes('undefined'), `${operationId}: ${curl}`);
  const needed = [...(spec.paths[path].parameters ?? []), ...parameters].map(resolve).filter((one) => one.required && one.in === 'query');
  for (const { name } of needed) check(curl.includes(`${name}=`), `${operationId} lacks ${name}: ${curl}`);
  const body = resolve(requestBody)?.content?.['application/json'];
  const sent = body ? JSON.parse(/-d '(.*)'$/s.exec(curl)[1].replaceAll(`'\\''`, `'`)) : undefined;
  if (body && takesClientId(body.schema)) {
    for (const one of [sent].flat()) {
      check(typeof one.client_id === 'string' && !seen.has(one.client_id), `${operationId} has no client_id of its own: ${curl}`);
      seen.add(one.client_id);
    }
  }
  check(method === 'get' || curl.includes(method.toUpperCase()), `${operationId}: ${curl}`);
}
check(seen.size >= 7, `${seen.size} client ids`);

// Fields keep the order of the schema.
const message = shown.find((one) => one.attributes.id === 'sendMessage').of('li').map((one) => one.attributes['data-field']).filter(Boolean);
const order = ['client_id', 'type', 'content', 'text', 'url', 'width', 'height', 'size', 'name', 'media_type'];
check(message.filter((name) => order.includes(name)).slice(0, order.length).join() === order.join(), `fields of a message: ${message}`);

const scim = await open('/docs/scim', '/openapi-scim.json');
check(scim.main.of('details').filter((one) => one.attributes.class === 'operation').length === operationsOf(scim.spec).length, 'operations of SCIM');
check(scim.search('filter').links.length > 0, 'SCIM: filter finds nothing');

// The endpoint is one of the reader: the page shows what comes and what to answer, and no call to try.
const push = await open('/docs/push-callback', '/openapi-push-callback.json');
const [endpoint] = push.main.of('details').filter((one) => one.attributes.class === 'operation');
for (const words of ['"deliveries"', '"silent"', 'Your answer', 'All receivers except a few', 'webhook-signature']) {
  check(endpoint.text.includes(words), `the push callback shows no ${words}`);
}
check(!endpoint.text.includes('Try it') && !push.main.text.includes('Who is calling'), 'the push callback is no call to this service');
check(push.search('offline').links.includes('#push'), `the push callback: offline finds ${push.search('offline').links}`);
check(main.of('a').some((one) => one.attributes.href === '/docs/push-callback'), '/docs does not lead to /docs/push-callback');

for (const failure of failures) console.error(failure);
process.exit(failures.length ? 1 : 0);
