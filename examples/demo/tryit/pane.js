// One person: conversations, an open channel, and what arrives live.
import { Caller, clientId } from './api.js';
import { Composer } from './composer.js';
import { Conversations } from './conversations.js';
import { button, h, settle } from './dom.js';
import { inside } from './message.js';
import { Phone } from './phone.js';
import { Receivers, below } from './receipts.js';
import { number, t, time } from './texts.js';

const PAGE = 30;
/** Counts of one call of `GET /receipts`. */
const COUNTED = 100;
/** Between two looks at receipts while some receivers have received nothing: it grows from the first to the last. */
const FIRST_LOOK_MS = 250;
const LAST_LOOK_MS = 4000;
const RECONNECT_MS = 2000;
const CROWD = 200;
let panes = 0;

export class Pane {
  constructor(person, world) {
    this.person = person;
    this.world = world;
    this.caller = Caller.person(person);
    this.id = `pane-${++panes}`;
    this.online = true;
    this.stopped = false;
    this.conversations = new Conversations({
      name: person.name, ask: () => this.askList(), open: (channelId) => this.attempt(() => this.open(channelId, false)),
    });
    this.opened = null;
    this.messages = new Map();
    this.counts = new Map();
    this.lastEvent = null;
    this.build();
  }

  build() {
    const { person, world } = this;
    this.select = h('select', { 'aria-label': t('person'), onchange: () => world.replace(this, this.select.value) });
    this.dot = h('span', { class: 'presence' });
    this.badge = h('span', { class: 'chip unread', hidden: true });
    this.toggle = button('', () => this.attempt(() => (this.online ? this.goOffline() : this.goOnline())), { class: 'small toggle' });
    this.away = h('p', { class: 'notice open', hidden: true }, t('is_offline', person.name));
    this.title = h('h3', {}, t('pick'));
    this.log = h('div', { class: 'log', role: 'log', tabIndex: 0, 'aria-label': t('messages') });
    // The end stays in view when it was: while messages come, pictures load and the log changes its size.
    this.isAtEnd = true;
    this.log.addEventListener('scroll', () => { this.isAtEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80; });
    new ResizeObserver(() => this.stay()).observe(this.log);
    this.news = button(t('new_here'), () => this.read(false), { class: 'news small', hidden: true });
    this.note = h('p', { class: 'note', role: 'status' });
    this.composer = new Composer(this);
    this.receivers = new Receivers({ caller: this.caller, attempt: (act) => this.attempt(act), changed: (message, counts) => this.count(message.ms_id, counts) });
    this.phone = new Phone({
      person, caller: this.caller, name: (id) => world.find(id)?.name ?? id, attempt: (act) => this.attempt(act), done: () => world.done('call'),
    });
    this.targets = h('dialog', { 'aria-label': t('forward_to') });
    const channel = h('div', { class: 'channel' }, h('div', { class: 'channel-head' }, this.title), this.phone.element, this.log, this.news, this.note, this.composer.form);
    for (const event of ['pointerdown', 'focusin']) channel.addEventListener(event, () => this.world.activate(this));
    this.body = h('div', { class: 'pane-body' }, this.conversations.element, channel);
    this.close = button(t('remove_person'), () => world.remove(this), { class: 'small' });
    this.element = h('section', { class: 'pane', id: this.id, 'aria-label': person.name, data: { user: person.user_id } },
      h('h2', { class: 'hidden' }, person.name),
      h('div', { class: 'pane-head' }, this.dot, this.select, this.badge, h('span', { class: 'end' }, this.toggle, ' ', this.close)),
      this.away,
      this.body,
      this.receivers.dialog, this.targets);
    this.showPresence();
  }

  /** Shows an error beside the composer, and not in the console of the browser. */
  async attempt(act) {
    this.say('');
    try { await act(); } catch (error) { this.say(error.status === 0 ? t('no_answer') : error.message, true); }
  }

  say(text, isBad = false) {
    this.note.textContent = text;
    this.note.classList.toggle('bad', isBad);
  }

  // ── Being there ──────────────────────────────────────────────────────────────

  /** Signs in: the list, what is unread, and the place where the stream begins. */
  async start(channelId) {
    await this.attempt(async () => {
      await this.connect(true, true);
      await this.sync(true);
      const known = this.conversations.find(channelId) ?? this.conversations.items[0];
      if (known) await this.open(known.channel_id, true);
      this.listen();
    });
  }

  async sync(quiet) {
    const { event_id, conversations } = await this.caller.get('/sync?newest=99', { quiet, does: t('does_signin') });
    // With the id of before, the stream also brings the cards that have changed meanwhile.
    this.lastEvent ??= event_id;
    this.showList(conversations);
    // The gateway's push has not reached a person without a connection: the page says itself what it has.
    for (const one of conversations.items.filter((one) => one.unread_count > 0)) {
      await this.caller.post(`/channels/${one.channel_id}/received`, { seq: one.last_seq }, { quiet, does: t('does_received') });
    }
  }

  /** Tells the gateway of the demo, and the service, whether the person has a connection. */
  async connect(online, quiet) {
    await this.world.connection(this.person.user_id, online);
    const users = [{ user_id: this.person.user_id, status: online ? 'online' : 'offline' }];
    await this.world.gateway.put('/presence', { gateway: 'demo', users }, { quiet, does: t('does_presence') });
  }

  async goOffline() {
    await this.phone.hangUp();
    this.online = false;
    this.silence();
    this.showPresence();
    await this.connect(false, false);
    this.world.refreshLists();
  }

  async goOnline() {
    await this.connect(true, false);
    this.online = true;
    this.showPresence();
    await this.sync(false);
    if (this.opened) await this.catchUp();
    this.listen();
    this.world.refreshLists();
    this.world.done('offline');
  }

  /** Everything after the last message that is here, oldest first. */
  async catchUp() {
    const last = Math.max(0, ...this.messages.keys());
    let path = `/channels/${this.opened}/messages?after_seq=${last}&limit=200`;
    while (path) {
      const page = await this.caller.get(path, { does: t('does_catchup') });
      for (const message of page.items) this.put(message);
      path = page.next_cursor ? `/channels/${this.opened}/messages?limit=200&cursor=${encodeURIComponent(page.next_cursor)}` : null;
    }
    this.look();
  }

  showPresence() {
    this.dot.className = `presence ${this.online ? 'online' : ''}`;
    this.dot.setAttribute('role', 'img');
    this.dot.setAttribute('aria-label', t(this.online ? 'online' : 'offline'));
    this.toggle.textContent = t(this.online ? 'go_offline' : 'go_online');
    this.away.hidden = this.online;
    this.composer.enable(this.online && this.opened !== null);
    this.element.classList.toggle('away', !this.online);
    this.body.inert = !this.online;
    this.showNews();
  }

  stop() {
    this.stopped = true;
    this.attemptQuietly(() => this.phone.hangUp());
    this.silence();
    this.element.remove();
  }

  silence() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.looking);
    this.conversations.stop();
  }

  // ── Live ─────────────────────────────────────────────────────────────────────

  /** Opens the stream after the last event that is here. A page that is not seen needs none. */
  listen() {
    this.source?.close();
    if (this.stopped || !this.online || document.hidden) return;
    const source = new EventSource(this.caller.url(`/events?calls=true&last_event_id=${this.lastEvent ?? ''}`));
    this.source = source;
    const on = (type, handle) => source.addEventListener(type, (event) => {
      if (event.lastEventId) this.lastEvent = event.lastEventId;
      settle(() => handle(event.data ? JSON.parse(event.data) : {}));
    });
    on('unread', ({ unread_total }) => this.showUnread(unread_total));
    on('message.created', ({ channel_id, data }) => this.arrived(channel_id, data));
    on('message.updated', ({ channel_id, data }) => this.changed(channel_id, data));
    on('message.recalled', ({ channel_id, data }) => this.changed(channel_id, { ...this.messages.get(data.seq), seq: data.seq, recalled: true, content: {} }));
    on('message.read', ({ channel_id }) => { if (channel_id === this.opened) this.look(); this.refreshList(); });
    for (const change of ['created', 'updated', 'members_added', 'members_removed', 'dissolved']) on(`channel.${change}`, () => this.refreshList());
    on('call.ringing', ({ data }) => this.phone.ringing(data));
    on('call.accepted', ({ data }) => this.attempt(() => this.phone.accepted(data)));
    on('call.ended', ({ data }) => this.phone.ended(data));
    on('call.signal', (told) => this.phone.signal(told));
    on('hello', () => this.element.setAttribute('data-live', ''));
    on('resync', () => this.attempt(async () => {
      source.close();
      this.lastEvent = null;
      await this.sync(true);
      if (this.opened) await this.open(this.opened, true);
      this.listen();
    }));
    source.onerror = () => {
      this.element.removeAttribute('data-live');
      if (source.readyState === EventSource.CLOSED) setTimeout(() => { if (this.source === source) this.listen(); }, RECONNECT_MS);
    };
  }

  arrived(channelId, message) {
    this.refreshList();
    if (channelId !== this.opened) return;
    this.put(message);
    if (message.sender === this.person.user_id) this.look();
    else if (this.world.active === this && document.hasFocus()) this.read(true);
    else this.showNews();
  }

  changed(channelId, message) {
    this.refreshList();
    if (channelId === this.opened && this.messages.has(message.seq)) this.put(message);
  }

  // ── Conversations ────────────────────────────────────────────────────────────

  refreshList() {
    if (this.online && !this.stopped) this.conversations.refresh();
  }

  askList() {
    if (!this.online || this.stopped) return;
    this.attemptQuietly(async () => this.showList(await this.caller.get('/conversations?limit=50', { quiet: true, does: t('does_list') })));
  }

  /** A call that the page makes by itself: it is made again with the next event. */
  async attemptQuietly(act) {
    try { await act(); } catch { this.element.removeAttribute('data-live'); }
  }

  showUnread(total) {
    this.badge.hidden = total === 0;
    this.badge.textContent = t('unread_total', number(total));
  }

  showList({ items, unread_total }) {
    this.conversations.show(items);
    this.showUnread(unread_total);
    settle(() => this.showNews());
  }

  async open(channelId, quiet) {
    if (channelId !== this.opened) this.composer.clear();
    // From now on events bring its messages, too: those that come while the page is asked for are kept.
    this.opened = channelId;
    this.messages.clear();
    this.log.replaceChildren();
    this.memberList = null;
    const channel = await this.caller.get(`/channels/${channelId}`, { quiet: true });
    const page = await this.caller.get(`/channels/${channelId}/messages?limit=${PAGE}`, { quiet, does: t('does_messages') });
    if (this.opened !== channelId) return;
    this.receivers.crowd = channelId === this.world.crowd ? (message) => this.crowdReads(message) : null;
    this.title.replaceChildren(this.conversations.find(this.opened)?.name ?? channel.name ?? '', ' ',
      channel.type === 'direct' ? '' : h('span', { class: 'soft' }, t('members', number(channel.member_count))));
    for (const message of page.items.toReversed()) this.put(message);
    this.older(page.next_cursor);
    if (this.messages.size === 0) this.log.append(h('p', { class: 'soft empty' }, t('no_message')));
    this.conversations.mark(channelId);
    this.showPresence();
    this.down();
    this.look();
    if (!quiet) await this.read(false);
    else this.showNews();
  }

  older(cursor) {
    this.log.querySelector('.older')?.remove();
    if (!cursor) return;
    const more = button(t('older'), () => this.attempt(async () => {
      const page = await this.caller.get(`/channels/${this.opened}/messages?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`, { does: t('does_messages') });
      const height = this.log.scrollHeight;
      for (const message of page.items) this.put(message);
      this.older(page.next_cursor);
      this.log.scrollTop += this.log.scrollHeight - height;
      this.look();
    }), { class: 'older small' });
    this.log.prepend(more);
  }

  async members() {
    this.memberList ??= (await this.caller.get(`/channels/${this.opened}/members?limit=20`, { quiet: true })).items;
    return this.memberList;
  }

  // ── Messages ─────────────────────────────────────────────────────────────────

  async post(body) {
    await this.caller.post(`/channels/${this.opened}/messages`, body, { does: t('does_send') });
    this.world.done('send');
  }

  /** Puts a message into its place, or renews it. */
  put(message) {
    const before = this.messages.get(message.seq);
    // An event of a card has no number of replies.
    this.messages.set(message.seq, { ...before, ...message });
    this.log.querySelector('.empty')?.remove();
    const article = this.article(this.messages.get(message.seq));
    const there = this.log.querySelector(`[data-seq="${message.seq}"]`);
    if (there) there.replaceWith(article);
    else {
      const next = [...this.log.querySelectorAll('article')].find((one) => Number(one.dataset.seq) > message.seq);
      if (next) next.before(article);
      else this.log.append(article);
    }
    this.stay();
  }

  stay() {
    if (this.isAtEnd) this.down();
  }

  down() {
    this.isAtEnd = true;
    this.log.scrollTop = this.log.scrollHeight;
  }

  article(message) {
    const isMine = message.sender === this.person.user_id;
    const press = isMine ? null : (one) => this.attempt(() => this.press(message, one));
    const context = { caller: this.caller, emojis: this.world.emojis, press, grown: () => this.stay() };
    const act = (key, run) => button(t(key), () => this.attempt(run), { class: 'plain' });
    return h('article', { class: isMine ? 'mine' : '', data: { seq: message.seq, type: message.type, ms: message.ms_id } },
      h('p', { class: 'head' }, h('span', { class: 'person' }, message.sender_name), ' ',
        h('time', { dateTime: message.server_time, title: message.server_time }, time(message.server_time)), ' ', h('span', { class: 'soft' }, `#${message.seq}`)),
      ...inside(message, context),
      message.recalled ? null : h('p', { class: 'acts' },
        act('reply', () => this.composer.reply(message)), act('forward', () => this.forward(message)),
        isMine ? act('recall', () => this.caller.post(`/messages/${message.ms_id}/recall`, {}, { does: t('recall') })) : null,
        isMine ? act('nudge', () => this.nudge(message)) : null),
      isMine && this.counts.has(message.ms_id) ? this.receipts(message) : null);
  }

  receipts(message) {
    return below(this.counts.get(message.ms_id), () => this.attempt(async () => {
      await this.receivers.open(message);
      if (this.receivers.crowd) this.world.done('crowd');
    }));
  }

  async nudge(message) {
    const { urged } = await this.caller.post(`/messages/${message.ms_id}/nudge`, undefined, { does: t('nudge') });
    this.say(t('nudged', number(urged)));
  }

  /** Presses a button. Then the page plays the sender's portal, which an observer tells of it: the card gets its next state. */
  async press(message, { id, text }) {
    const { title, fields, version } = message.content;
    await this.caller.post(`/messages/${message.ms_id}/actions`, { button_id: id, version }, { does: t('does_click') });
    const portal = Caller.person({ user_id: message.sender, name: message.sender_name });
    const outcome = { agree: t('card_agreed'), refuse: t('card_refused') }[id] ?? text;
    const change = { title: `${title} · ${outcome}`, fields: [...(fields ?? []), { name: t('card_by'), value: this.person.name }], buttons: [], version };
    await portal.patch(`/messages/${message.ms_id}/card`, change, { does: t('does_card') });
    this.world.done('card');
  }

  forward(message) {
    const to = (one) => h('li', {}, button(one.name ?? one.channel_id, () => {
      this.targets.close();
      this.attempt(() => this.caller.post(`/messages/${message.ms_id}/forward`, { channel_ids: [one.channel_id], client_id: clientId() }, { does: t('forward') }));
    }));
    this.targets.replaceChildren(h('h2', {}, t('forward_to')), h('ul', { class: 'rows' }, this.conversations.items.map(to)), button(t('close'), () => this.targets.close()));
    this.targets.showModal();
  }

  // ── Receipts ─────────────────────────────────────────────────────────────────

  unreadOfOthers() {
    const readSeq = this.conversations.find(this.opened)?.read_seq ?? 0;
    const mine = this.person.user_id;
    return [...this.messages.values()].filter((message) => message.seq > readSeq && message.sender !== mine);
  }

  showNews() {
    this.news.hidden = !this.online || this.opened === null || this.unreadOfOthers().length === 0;
  }

  /** The person has seen the messages. */
  async read(quiet) {
    const seq = Math.max(...this.messages.keys());
    const channel = this.opened;
    // A click is a press and a focus: the second one has nothing to add.
    const asked = `${channel}/${seq}`;
    if (!this.online || this.unreadOfOthers().length === 0 || this.reading === asked) return;
    this.reading = asked;
    await this.attemptQuietly(async () => {
      const { read_seq } = await this.caller.post(`/channels/${channel}/read`, { seq }, { quiet, does: t('does_read') });
      const known = this.conversations.find(channel);
      if (known) known.read_seq = Math.max(known.read_seq, read_seq);
      if (!quiet) this.world.done('read');
    });
    this.reading = null;
    settle(() => this.showNews());
    this.refreshList();
  }

  /** Looks at the counts of own messages now, and again while some receivers have received nothing. */
  look(wait = 0) {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => this.attemptQuietly(() => this.lookNow(wait)), wait);
  }

  async lookNow(wait) {
    if (!this.online || this.stopped || document.hidden) return;
    const mine = [...this.messages.values()].filter((one) => one.sender === this.person.user_id && !one.recalled);
    const open = mine.filter(({ ms_id }) => { const counts = this.counts.get(ms_id); return !counts || counts.unreceived + counts.received > 0; });
    if (open.length === 0) return;
    const ids = open.map((one) => one.ms_id).sort((one, other) => (BigInt(one) < BigInt(other) ? -1 : 1)).slice(-COUNTED);
    const { items } = await this.caller.get(`/receipts?ms_ids=${ids.join(',')}`, { quiet: true, does: t('does_receipts') });
    settle(() => items.forEach(({ ms_id, counts }) => this.count(ms_id, counts)));
    const isWaiting = items.some(({ counts }) => counts.unreceived > 0);
    if (isWaiting) this.look(Math.min(LAST_LOOK_MS, Math.max(FIRST_LOOK_MS, wait * 1.6)));
  }

  count(msId, counts) {
    const before = this.counts.get(msId);
    this.counts.set(msId, counts);
    if (before && ['unreceived', 'received', 'read'].every((status) => before[status] === counts[status])) return;
    const article = this.log.querySelector(`[data-ms="${msId}"]`);
    const message = article && this.messages.get(Number(article.dataset.seq));
    if (!message || message.sender !== this.person.user_id) return;
    const old = article.querySelector('.receipts');
    const focused = old?.contains(document.activeElement);
    const now = this.receipts(message);
    if (old) old.replaceWith(now);
    else article.append(now);
    if (focused) now.querySelector('button').focus();
    this.stay();
  }

  /** Receivers of a large group open it: their devices tell the gateway, which reports the receipts in bulk. */
  async crowdReads(message) {
    const page = await this.caller.get(`/messages/${message.ms_id}/receipts?status=unread&limit=${CROWD}`, { quiet: true });
    const receipts = page.items.map((item) => ({ ms_id: message.ms_id, receiver: item.receiver, status: 'read' }));
    if (receipts.length) await this.world.gateway.post('/receipts', receipts, { does: t('does_crowd') });
  }
}
