// Who has received and read a message: numbers and a bar below it, and the receivers in a dialog.
import { h, bar, button } from './dom.js';
import { t, number } from './texts.js';

const STATUSES = ['unreceived', 'received', 'read'];

const parts = (counts) => [['read', counts.read], ['received', counts.received], ['unreceived', counts.unreceived]];

function sentence(counts) {
  const shown = STATUSES.filter((status) => counts[status] > 0).map((status) => t(status, number(counts[status])));
  // A message without receivers has no numbers.
  return shown.join(' · ') || t('receipts');
}

/** The bar with its numbers, which opens the dialog. */
export function below(counts, open) {
  const all = sentence(counts);
  return h('div', { class: 'receipts' }, bar(parts(counts), all), button(all, open, { class: 'plain' }));
}

/** The receivers of a message, by status and page by page. */
export class Receivers {
  /** `attempt`: shows an error. `changed`: is told of newer counts. */
  constructor({ caller, attempt, changed }) {
    Object.assign(this, { caller, attempt, changed });
    /** Reports that many receivers have read a message, if it is one of a large group. */
    this.crowd = null;
    this.dialog = h('dialog', { class: 'receivers', 'aria-label': t('receipts') });
  }

  async open(message) {
    this.message = message;
    this.status = null;
    await this.show('');
    if (!this.dialog.open) this.dialog.showModal();
  }

  async show(cursor) {
    const status = this.status === null ? '' : `&status=${this.status}`;
    const query = cursor ? `cursor=${encodeURIComponent(cursor)}${status}` : `limit=20${status}`;
    const page = await this.caller.get(`/messages/${this.message.ms_id}/receipts?${query}`, { does: t('does_receipts') });
    this.changed(this.message, page.counts);
    const tab = (status) => button(`${t(`status_${status}`)} ${number(page.counts[status])}`, () => {
      this.status = this.status === status ? null : status;
      this.attempt(() => this.show(''));
    }, { 'aria-pressed': String(this.status === status) });
    const rows = page.items.map((item) =>
      h('li', {}, h('span', { class: `dot ${item.status}` }), h('span', { class: 'person' }, item.name ?? item.receiver), ' ', h('span', { class: 'soft' }, t(`status_${item.status}`))));
    this.dialog.replaceChildren(
      h('h2', {}, t('receipts')),
      bar(parts(page.counts), sentence(page.counts)),
      h('div', { class: 'tabs' }, STATUSES.map(tab)),
      rows.length ? h('ul', { class: 'rows' }, rows) : h('p', { class: 'soft' }, t('nobody')),
      h('div', { class: 'actions' },
        page.next_cursor ? button(t('next_page'), () => this.attempt(() => this.show(page.next_cursor))) : null,
        this.crowd ? button(t('open_many'), () => this.attempt(() => this.more())) : null,
        button(t('close'), () => this.dialog.close(), { class: 'primary' })),
    );
  }
  async more() {
    await this.crowd(this.message);
    await this.show('');
  }
}
