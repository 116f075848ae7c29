// Times of the reader's zone, keys, and copying. Every page works without it.
'use strict';

const zone = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
for (const time of document.querySelectorAll('time')) {
  const at = new Date(time.dateTime);
  time.title = time.dateTime;
  time.textContent = zone.format(at);
}
for (const note of document.querySelectorAll('.utc')) {
  note.textContent = `${note.dataset.zone} ${zone.resolvedOptions().timeZone}`;
}

for (const button of document.querySelectorAll('[data-copy], [data-link]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const code = button.parentElement.querySelector('code');
    await copy('link' in button.dataset ? location.href : code.textContent);
    const name = button.textContent;
    button.textContent = document.body.dataset.copied;
    setTimeout(() => { button.textContent = name; }, 1500);
  });
}

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

const keys = document.getElementById('keys');
for (const button of document.querySelectorAll('[data-help]')) {
  button.hidden = false;
  button.addEventListener('click', () => keys.showModal());
}

const rows = [...document.querySelectorAll('[data-row]')];
let at = -1;

function move(step) {
  if (rows.length === 0) return;
  rows[at]?.classList.remove('at');
  at = Math.min(rows.length - 1, Math.max(0, at + step));
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
  else if (event.key === '?') keys.showModal();
  else return;
  event.preventDefault();
});
