// Elements without HTML in strings: what people write is always text.

/** An element with properties, `data`, `aria-*` attributes and listeners (`onclick`), and its children. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.className = value;
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (name in element && !name.startsWith('aria')) element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function button(text, onclick, props = {}) {
  return h('button', { type: 'button', onclick, ...props }, text);
}

const SVG = 'http://www.w3.org/2000/svg';

/** A bar of parts: [[class, number], …]. */
export function bar(parts, label) {
  const svg = document.createElementNS(SVG, 'svg');
  const all = parts.reduce((sum, [, count]) => sum + count, 0);
  svg.setAttribute('class', 'counts');
  svg.setAttribute('viewBox', '0 0 1000 10');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  let at = 0;
  for (const [name, count] of parts) {
    const width = all === 0 ? 0 : (count * 1000) / all;
    const rect = document.createElementNS(SVG, 'rect');
    rect.setAttribute('class', name);
    rect.setAttribute('x', at);
    rect.setAttribute('width', width);
    rect.setAttribute('height', 10);
    svg.append(rect);
    at += width;
  }
  return svg;
}

/** `opener` with the `panel` that it opens and closes. Escape and a click elsewhere close it. */
export function menu(opener, panel) {
  const box = h('span', { class: 'opens' }, opener, panel);
  const show = (open) => {
    panel.hidden = !open;
    opener.setAttribute('aria-expanded', open);
  };
  show(false);
  opener.addEventListener('click', () => show(panel.hidden));
  panel.addEventListener('click', (event) => { if (event.target.closest('button')) show(false); });
  box.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || panel.hidden) return;
    show(false);
    opener.focus();
    event.stopPropagation();
  });
  document.addEventListener('pointerdown', (event) => {
    if (!panel.hidden && !box.contains(event.target)) show(false);
  });
  return box;
}

/** A button that is held down longer no longer keeps the page as it is. */
const HELD_MS = 1000;
const waiting = [];
let held = null;

function release() {
  clearTimeout(held);
  held = null;
  for (const change of waiting.splice(0)) change();
}

document.addEventListener('pointerdown', (event) => {
  if (event.button !== 0) return;
  clearTimeout(held);
  held = setTimeout(release, HELD_MS);
}, true);
// The click follows the release at once: what waits comes after it.
for (const end of ['pointerup', 'pointercancel']) document.addEventListener(end, () => setTimeout(release), true);

/** Makes a change that comes by itself. While a button is held down it waits: what moves under the pointer gets no click. */
export function settle(change) {
  if (held === null) change();
  else waiting.push(change);
}
