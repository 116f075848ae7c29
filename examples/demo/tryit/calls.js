// The calls that the page has made: a list, and the chosen one as curl, JavaScript and Java.
import { onCall } from './api.js';
import { button, h } from './dom.js';
import { curl, java, javascript } from './samples.js';
import { t, time } from './texts.js';

const KEPT = 60;

export class Calls {
  constructor(section, service) {
    this.service = service;
    this.records = [];
    this.chosen = null;
    this.form = 'curl';
    this.withQuiet = false;
    const quiet = h('input', { type: 'checkbox', onchange: () => { this.withQuiet = quiet.checked; this.list(); } });
    this.rows = h('ul', { class: 'rows', 'aria-label': t('calls_list') });
    this.detail = h('div', { class: 'detail' });
    section.append(
      h('h2', { id: 'calls-title' }, t('calls_title')),
      h('p', { class: 'soft' }, t('calls_note')),
      h('div', { class: 'columns' },
        h('div', { class: 'list' }, h('label', { class: 'check' }, quiet, ' ', t('calls_quiet')), this.rows),
        this.detail));
    onCall((record) => this.add(record));
    this.list();
    this.show();
  }

  add(record) {
    this.records.unshift(record);
    const quiet = this.records.filter((one) => one.quiet).slice(KEPT);
    const loud = this.records.filter((one) => !one.quiet).slice(KEPT);
    const gone = new Set([...quiet, ...loud]);
    this.records = this.records.filter((one) => !gone.has(one));
    if (!record.quiet) {
      this.chosen = record;
      this.show();
    }
    if (!record.quiet || this.withQuiet) this.list();
  }

  list() {
    const shown = this.records.filter((record) => this.withQuiet || !record.quiet);
    const row = (record) => h('li', {}, h('button', {
      type: 'button', class: `call ${record.status < 300 && record.status > 0 ? '' : 'bad'}`, 'aria-pressed': String(record === this.chosen),
      onclick: () => { this.chosen = record; this.list(); this.show(); },
    },
    h('span', { class: 'person' }, record.name), ' ', h('span', { class: 'soft' }, record.does), ' ',
    h('code', {}, `${record.method} ${record.path}`), ' ',
    h('span', { class: 'status' }, record.status === 0 ? t('no_connection') : `${record.status} · ${record.ms} ms`)));
    // The focus stays on its row when the list is made again.
    const focus = this.rows.contains(document.activeElement);
    this.rows.replaceChildren(...(shown.length ? shown.map(row) : [h('li', { class: 'soft' }, t('calls_none'))]));
    if (focus) this.rows.querySelector('[aria-pressed=true]')?.focus();
  }

  show() {
    const record = this.chosen;
    if (!record) return;
    const forms = [['curl', 'curl', curl], ['javascript', 'JavaScript', javascript], ['java', 'Java', java], ['answer', t('answer'), null]];
    const make = forms.find(([key]) => key === this.form)[2];
    const text = make ? make(record, this.service) : record.answer === null ? '' : JSON.stringify(record.answer, null, 2);
    const code = h('code', {}, text);
    const tab = ([key, name]) => button(name, () => { this.form = key; this.show(); this.detail.querySelector('[aria-pressed=true]').focus(); },
      { 'aria-pressed': String(key === this.form), data: { form: key } });
    const copy = button(t('copy'), async () => {
      await toClipboard(text);
      copy.textContent = t('copied');
      setTimeout(() => { copy.textContent = t('copy'); }, 1500);
    }, { class: 'small' });
    this.detail.replaceChildren(
      h('p', { class: 'head' }, h('span', { class: 'person' }, record.name), ' ', record.does, ' ', h('time', { class: 'soft', dateTime: record.at.toISOString() }, time(record.at))),
      h('div', { class: 'tabs' }, forms.map(tab), copy),
      h('pre', { tabIndex: 0, data: { sample: this.form }, 'aria-label': forms.find(([key]) => key === this.form)[1], role: 'region' }, code));
  }
}

async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = h('textarea', { value: text });
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}
