// Times of the reader's zone, keys, copying, and pages that load themselves again. Every page works without it.
'use strict';

const lang = document.documentElement.lang;
const zone = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
const clock = new Intl.DateTimeFormat(lang, { timeStyle: 'medium', hourCycle: 'h23' });
const main = document.querySelector('main');
const keys = document.getElementById('keys');

for (const note of document.querySelectorAll('.utc')) {
  note.textContent = `${note.dataset.zone} ${zone.resolvedOptions().timeZone}`;
}
dress(document);

// What the page of the server lacks: times of the zone, and buttons that need the script.
function dress(root) {
  for (const time of root.querySelectorAll('time')) {
    time.title = time.dateTime;
    time.textContent = zone.format(new Date(time.dateTime));
  }
  for (const button of root.querySelectorAll('[data-copy], [data-link], [data-help]')) button.hidden = false;
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if ('help' in button.dataset) keys.showModal();
  if (!('copy' in button.dataset || 'link' in button.dataset)) return;
  await copy('link' in button.dataset ? location.href : button.parentElement.querySelector('code').textContent);
  const name = button.textContent;
  button.textContent = document.body.dataset.copied;
  setTimeout(() => { button.textContent = name; }, 1500);
});

// A page without TLS has no clipboard of its own.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement('textarea');
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}

// The secret of a link stands behind #, which browsers do not send. It goes into the form, and out of the address.
const key = document.querySelector('input[data-key]');
function takeKey() {
  if (!key || location.hash.length < 2 || location.hash === '#main') return;
  key.value = location.hash.slice(1);
  history.replaceState(null, '', location.pathname + location.search);
}
takeKey();
addEventListener('hashchange', takeKey);

// A link for others needs the whole address.
for (const code of document.querySelectorAll('[data-address]')) {
  code.textContent = new URL(code.textContent.replace(/^\/console\//, ''), location.href).href;
}

function move(step) {
  const rows = [...document.querySelectorAll('[data-row]')];
  if (rows.length === 0) return;
  const before = rows.findIndex((row) => row.classList.contains('at'));
  const at = Math.min(rows.length - 1, Math.max(0, before + step));
  rows[before]?.classList.remove('at');
  rows[at].classList.add('at');
  rows[at].scrollIntoView({ block: 'nearest' });
  (rows[at].querySelector('[data-open]') ?? rows[at].querySelector('a'))?.focus({ preventScroll: true });
}

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, select, textarea, dialog');
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/') {
    const box = document.querySelector('[data-search]');
    if (!box) return;
    box.focus();
    box.select();
  } else if (event.key === 'j') move(1);
  else if (event.key === 'k') move(-1);
  else if (event.key === '?' && keys) keys.showModal();
  else if (event.key === 'p' && bar && !bar.hidden) bar.querySelector('button').click();
  else return;
  event.preventDefault();
});

// A page with [data-live] loads its address again, and takes what has changed.
const EVERY_MS = 5000;
const LATE_MS = 30000;
const bar = document.querySelector('[data-live-bar]');
if (bar && main.querySelector('[data-live]')) live();

function live() {
  const state = bar.querySelector('.state');
  const button = bar.querySelector('button');
  let paused = false;
  let failures = 0;
  let timer;
  let loading;

  // A reader of the screen hears a state once, when it changes.
  const say = (what, text = bar.dataset[what]) => {
    bar.dataset.state = what;
    if (state.textContent !== text) state.textContent = text;
  };
  const stop = () => {
    clearTimeout(timer);
    loading?.abort();
  };
  const runs = () => !paused && document.visibilityState === 'visible';
  const plan = () => {
    clearTimeout(timer);
    if (runs()) timer = setTimeout(load, EVERY_MS * 2 ** Math.min(failures, 4));
  };

  async function load() {
    if (isInUse()) {
      say('waits');
      return plan();
    }
    const mine = new AbortController();
    loading = mine;
    const late = setTimeout(() => mine.abort(), LATE_MS);
    try {
      const fresh = await loaded(mine.signal);
      if (mine !== loading || !runs()) return;
      failures = 0;
      if (isInUse()) return say('waits');
      dress(fresh);
      const focused = document.activeElement;
      morph(main, fresh);
      if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
      say('on');
    } catch {
      if (mine !== loading || !runs()) return;
      failures += 1;
      say('failed');
    } finally {
      clearTimeout(late);
      if (mine === loading) plan();
    }
  }

  button.addEventListener('click', () => {
    paused = !paused;
    stop();
    button.textContent = paused ? bar.dataset.resume : bar.dataset.pause;
    if (paused) return say('paused', bar.dataset.paused.replace('{}', clock.format(new Date())));
    say('on');
    load();
  });
  document.addEventListener('visibilitychange', () => {
    stop();
    if (runs()) load();
  });
  bar.hidden = false;
  say('on');
  plan();
}

// The new content of the page. A page of a sign-in has none.
async function loaded(signal) {
  const response = await fetch(location.href, { cache: 'no-store', headers: { accept: 'text/html' }, signal });
  if (!response.ok) throw new Error(response.status);
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const fresh = page.querySelector('main');
  if (!fresh?.querySelector('[data-live]')) throw new Error('another page');
  return fresh;
}

// Whether new content would disturb: a form is being filled in, text is selected, or the help is open.
function isInUse() {
  const at = document.activeElement;
  if (document.querySelector('dialog[open]') || (main.contains(at) && at.matches('input, select, textarea'))) return true;
  const changed = (field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked;
  if ([...main.querySelectorAll('input:not([type=hidden]), textarea')].some(changed)) return true;
  const selection = getSelection();
  return !selection.isCollapsed && main.contains(selection.anchorNode);
}

// Makes an element like a fresh one. What stays the same keeps its node, and with it the focus and the scrolling.
function morph(old, fresh) {
  const isMarked = old.classList.contains('at');
  // The reader opens and closes details.
  const isOurs = (name) => name === 'open' && old.localName === 'details';
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !isOurs(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (isMarked) old.classList.add('at');
  const keyed = new Map();
  for (const child of old.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  const stay = new Set();
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    let same = next.dataset?.key ? keyed.get(next.dataset.key) : at;
    if (!next.dataset?.key) while (same && !isAlike(same, next)) same = same.nextSibling;
    if (!same || stay.has(same) || same.nodeName !== next.nodeName) same = document.importNode(next, true);
    else if (same.nodeType === Node.ELEMENT_NODE) morph(same, next);
    else if (same.data !== next.data) same.data = next.data;
    stay.add(same);
    if (same.parentNode === old && same !== at) while (at && at !== same && !stay.has(at) && !at.dataset?.key) at = drop(at);
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
  }
  for (const child of [...old.childNodes]) if (!stay.has(child)) child.remove();
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function isAlike(old, next) {
  return old.nodeName === next.nodeName && !old.dataset?.key && (old.id ?? '') === (next.id ?? '');
}
