// The list of a person's conversations, as the service orders it: unread ones first.
import { h, settle } from './dom.js';
import { number, t } from './texts.js';

/** Several events within this time ask for the list once. */
const WAIT_MS = 150;

export class Conversations {
  /** `ask`: gets the list, or nothing. `open`: opens a channel. */
  constructor({ name, ask, open }) {
    Object.assign(this, { ask, open });
    this.items = [];
    this.opened = null;
    this.list = h('ul', { class: 'conversations' });
    this.element = h('nav', { 'aria-label': t('conversations', name) }, this.list);
  }

  find(channelId) {
    return this.items.find((one) => one.channel_id === channelId);
  }

  /** Asks for the list soon. */
  refresh() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(this.ask, WAIT_MS);
  }

  stop() {
    clearTimeout(this.waiting);
  }

  show(items) {
    this.items = items;
    settle(() => this.renew());
  }

  renew() {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.channel : null;
    this.list.replaceChildren(...this.items.map((one) => this.row(one)));
    this.mark(this.opened);
    if (focused) this.list.querySelector(`[data-channel="${focused}"]`)?.focus();
  }

  row(one) {
    const unread = t('unread_total', number(one.unread_count));
    const last = one.last_message?.recalled ? t('recalled') : one.last_message?.preview?.text ?? '';
    return h('li', {}, h('button', {
      type: 'button', class: 'conversation', data: { channel: one.channel_id }, onclick: () => this.open(one.channel_id),
    },
    h('span', { class: 'name' }, one.peer ? h('span', { class: `presence ${one.peer.online ? 'online' : ''}` }) : null, one.remark ?? one.name ?? ''),
    one.unread_count > 0 ? h('span', { class: 'count', 'aria-label': unread, role: 'img' }, number(one.unread_count)) : null,
    h('span', { class: 'last' }, one.mentioned_seq ? h('span', { class: 'mention' }, `[${t('mentioned')}] `) : null, last)));
  }

  /** Shows which one is open. */
  mark(channelId) {
    this.opened = channelId;
    for (const item of this.list.querySelectorAll('[data-channel]')) {
      if (item.dataset.channel === channelId) item.setAttribute('aria-current', 'true');
      else item.removeAttribute('aria-current');
    }
  }
}
