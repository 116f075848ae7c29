// What a person writes and sends: text, emojis, mentions, replies, files, and each other type of content.
import { clientId } from './api.js';
import { button, h, menu } from './dom.js';
import * as media from './media.js';
import { t } from './texts.js';

const FILE_MAX_BYTES = 16 * 1024 * 1024;
const ESCALATE = [{ after_s: 10, priority: 'urgent' }];

export class Composer {
  constructor(pane) {
    this.pane = pane;
    this.mentions = new Map();
    this.text = h('textarea', {
      rows: 2, placeholder: t('placeholder'), 'aria-label': t('write', pane.person.name),
      onkeydown: (event) => this.key(event), onpaste: (event) => this.paste(event),
    });
    this.priority = h('select', { 'aria-label': t('priority') },
      ['normal', 'urgent', 'escalate'].map((value) => h('option', { value }, t(value))));
    this.file = h('input', { type: 'file', class: 'file', tabIndex: -1, 'aria-label': t('choose_file', pane.person.name), onchange: () => this.chosen() });
    this.quoted = h('div', { class: 'quoted', hidden: true });
    this.members = h('div', { class: 'menu', role: 'group', 'aria-label': t('mention') });
    this.fields = h('fieldset', {}, this.quoted, this.text, h('div', { class: 'row' },
      this.emojis(), this.mention(), this.more(), this.priority, this.file,
      h('button', { type: 'submit', class: 'primary' }, t('send'))));
    this.form = h('form', { class: 'composer', onsubmit: (event) => { event.preventDefault(); this.sendText(); } }, this.fields);
  }

  enable(on) {
    this.fields.disabled = !on;
  }

  clear() {
    this.mentions.clear();
    this.text.value = '';
    this.reply(null);
  }

  reply(message) {
    this.replyTo = message;
    this.quoted.hidden = !message;
    if (!message) return;
    this.quoted.replaceChildren(h('span', {}, t('reply_to', message.sender_name)), ' ', button(t('cancel'), () => this.reply(null), { class: 'small' }));
    this.text.focus();
  }

  insert(words) {
    const { selectionStart: from, selectionEnd: to } = this.text;
    this.text.setRangeText(words, from, to, 'end');
    this.text.focus();
  }

  emojis() {
    const opener = h('button', { type: 'button', 'aria-label': t('emoji') }, '☺');
    const panel = h('div', { class: 'menu', role: 'group', 'aria-label': t('emoji') }, [...this.pane.world.emojis].map(([id, address]) =>
      h('button', { type: 'button', 'aria-label': id, onclick: () => this.insert(`[:${id}:]`) },
        address.startsWith('/emoji/') ? h('img', { class: 'emoji', src: address, alt: '' }) : id)));
    return menu(opener, panel);
  }

  mention() {
    const opener = h('button', { type: 'button', 'aria-label': t('mention'), onclick: () => this.pane.attempt(() => this.listMembers()) }, '@');
    return menu(opener, this.members);
  }

  async listMembers() {
    const members = await this.pane.members();
    const pick = (name, id) => button(name, () => {
      this.mentions.set(`@${name}`, id);
      this.insert(`@${name} `);
    });
    const others = members.filter((member) => member.user_id !== this.pane.person.user_id);
    this.members.replaceChildren(...others.map((member) => pick(member.name, member.user_id)), pick(t('mention_all'), 'all'));
  }

  more() {
    const opener = h('button', { type: 'button', 'aria-label': t('more') }, '+');
    const kinds = [
      ['add_file', () => this.file.click()],
      ['add_picture', async () => this.upload('picture', { blob: await media.picture(this.pane.person.name) }, t('picture_name'))],
      ['add_voice', () => { const { blob, duration_ms } = media.sound(); return this.upload('voice', { blob, duration_ms }, 'chime.wav'); }],
      media.canFilm ? ['add_video', async () => this.upload('video', await media.film(this.pane.person.name), 'film.webm')] : null,
      ['add_call', () => this.pane.phone.start(this.pane.opened)],
      ['add_card', () => this.send('card', this.card())],
      ['add_place', () => this.send('location', { latitude: 31.2304, longitude: 121.4737, name: t('place_name'), address: t('place_address') })],
      ['add_link', () => this.send('link', { url: 'https://oa.example/leave/771', title: t('link_title'), text: t('link_text') })],
      ['add_markdown', () => this.send('markdown', { text: t('markdown_text') })],
    ].filter(Boolean);
    const panel = h('div', { class: 'menu tall', role: 'group', 'aria-label': t('more') },
      kinds.map(([key, act]) => button(t(key), () => this.pane.attempt(act), { data: { add: key } })));
    return menu(opener, panel);
  }

  card() {
    return {
      title: t('card_title'), fields: [{ name: t('card_field'), value: '1' }],
      buttons: [{ id: 'agree', text: t('card_agree'), style: 'primary' }, { id: 'refuse', text: t('card_refuse'), style: 'danger' }],
    };
  }

  key(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.sendText();
  }

  paste(event) {
    const [file] = event.clipboardData.files;
    if (!file) return;
    event.preventDefault();
    this.pane.attempt(() => this.sendFile(file));
  }

  chosen() {
    const [file] = this.file.files;
    if (file) this.pane.attempt(() => this.sendFile(file)).finally(() => { this.file.value = ''; });
  }

  sendFile(file) {
    if (file.size > FILE_MAX_BYTES) throw new Error(t('file_too_large'));
    const [kind] = file.type.split('/');
    const type = { image: 'picture', video: 'video' }[kind] ?? 'file';
    // A drawing that is no bitmap is a file like others.
    return this.upload(file.type === 'image/svg+xml' ? 'file' : type, { blob: file }, file.name);
  }

  /** Uploads the bytes, and sends a message that holds them. */
  async upload(type, { blob, ...content }, name) {
    const path = `/files?name=${encodeURIComponent(name)}`;
    const stored = await this.pane.caller.call('POST', path, { blob, file: name, does: t('does_upload') });
    await this.send(type, { file_id: stored.file_id, ...content });
  }

  sendText() {
    const text = this.text.value;
    if (text.trim() === '') return;
    const body = this.body('text', { text }, text);
    // The next message can be written while this one is sent.
    this.clear();
    this.pane.attempt(async () => {
      try {
        await this.pane.post(body);
      } catch (error) {
        if (this.text.value === '') this.text.value = text;
        throw error;
      }
    });
  }

  send(type, content) {
    return this.pane.post(this.body(type, content, ''));
  }

  body(type, content, text) {
    const body = { client_id: clientId(), type, content };
    const named = [...this.mentions].filter(([words]) => text.includes(words)).map(([, id]) => id);
    if (named.includes('all')) body.mentions = 'all';
    else if (named.length) body.mentions = [...new Set(named)];
    if (this.replyTo && text) body.reply_to = this.replyTo.ms_id;
    if (this.priority.value !== 'normal') body.priority = 'urgent';
    if (this.priority.value === 'escalate') body.escalate = ESCALATE;
    return body;
  }
}
