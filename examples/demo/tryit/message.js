// One message as its receiver sees it: every type of content, a quote, forwarded copies.
import { h, button } from './dom.js';
import { t, time, number } from './texts.js';

/** Addresses that this page may load: files of the service, and what the demo serves. */
const isOurs = (address) => /^\/emoji\/[a-z]+\.svg$/.test(address);
const isWeb = (address) => /^https?:\/\//.test(address);

/** The text with emojis as pictures. `emojis`: id → address. */
export function words(text, emojis) {
  const parts = text.split(/\[:([a-z0-9_-]{1,64}):\]/i);
  return parts.map((part, n) => {
    if (n % 2 === 0) return part;
    const address = emojis.get(part);
    if (address === undefined) return `[:${part}:]`;
    if (!isOurs(address)) return h('span', { class: 'chip' }, `:${part}:`);
    return h('img', { class: 'emoji', src: address, alt: `[:${part}:]`, title: part });
  });
}

const size = (bytes) => (bytes < 10_000 ? `${number(bytes)} B` : `${number(Math.round(bytes / 1000))} kB`);

/** An address in a message. One that is not on the web is shown as text: it is a key of another portal. */
function address(url, text) {
  return isWeb(url) ? h('a', { href: url, rel: 'noreferrer noopener', target: '_blank' }, text) : h('span', {}, text);
}

function content(type, value, context) {
  const { caller, emojis } = context;
  const source = (form) => caller.url(`/files/${value.file_id}/content${form ? `?form=${form}` : ''}`);
  switch (type) {
    case 'text':
      return h('p', { class: 'words' }, words(value.text, emojis));
    case 'markdown':
      return h('div', { class: 'markdown' }, markdown(value.text));
    case 'picture': {
      if (!value.file_id) return h('p', {}, '🖼 ', address(value.url, value.name ?? value.url), ' ', h('span', { class: 'soft' }, t('elsewhere')));
      const { width, height } = value;
      return h('img', { class: 'picture', src: source(''), alt: value.name ?? '', width, height, loading: 'lazy', onload: context.grown });
    }
    case 'file': {
      const name = `${value.name ?? '?'} (${size(value.size ?? 0)})`;
      if (!value.file_id) return h('p', {}, '📄 ', address(value.url, name), ' ', h('span', { class: 'soft' }, t('elsewhere')));
      return h('p', {}, '📄 ', h('a', { href: source(''), download: value.name ?? '' }, name));
    }
    case 'voice': {
      const label = t('voice_of', Math.round(value.duration_ms / 1000));
      if (!value.file_id) return h('p', {}, '🎤 ', label);
      return h('audio', { controls: true, preload: 'none', src: source(''), 'aria-label': label });
    }
    case 'video':
      if (!value.file_id) return h('p', {}, '🎬 ', address(value.url, value.name ?? value.url));
      return h('video', { controls: true, preload: 'metadata', src: source(''), 'aria-label': t('video_of'), onloadedmetadata: context.grown });
    case 'location': {
      const degrees = `${value.latitude.toFixed(4)}, ${value.longitude.toFixed(4)}`;
      return h('p', {}, '📍 ', h('strong', {}, value.name ?? degrees), h('br'), h('span', { class: 'soft' }, [value.address, degrees].filter(Boolean).join(' · ')));
    }
    case 'link':
      return h('p', { class: 'link' }, '🔗 ', address(value.url, value.title), value.text ? [h('br'), h('span', { class: 'soft' }, value.text)] : null);
    case 'card':
      return card(value, context);
    case 'call':
      return h('p', {}, context.preview, ' ', h('span', { class: 'soft' }, t(`outcome_${value.outcome}`)));
    case 'forward':
      return h('div', { class: 'copies' }, h('p', { class: 'soft' }, t('forwarded')), value.messages.map((copy) =>
        h('div', { class: 'copy' }, h('p', { class: 'head' }, h('span', { class: 'person' }, copy.sender_name), ' ', h('time', { dateTime: copy.server_time }, time(copy.server_time))),
          content(copy.type, copy.content, { ...context, press: null }))));
    default:
      // A type that this page does not know: the preview is ready to show.
      return h('p', {}, context.preview ?? type);
  }
}

/** Headings, lists and bold words; everything else as it is. */
function markdown(text) {
  return text.split('\n').map((line) => {
    const heading = /^#{1,6} (.*)$/.exec(line);
    const item = /^[-*] (.*)$/.exec(line);
    const parts = (heading?.[1] ?? item?.[1] ?? line).split(/\*\*(.+?)\*\*/);
    const inner = parts.map((part, n) => (n % 2 ? h('strong', {}, part) : part));
    return h('p', { class: heading ? 'title' : item ? 'item' : '' }, item ? '• ' : null, inner);
  });
}

function card(value, { press }) {
  const style = (wish) => ({ primary: 'primary', danger: 'danger' }[wish] ?? '');
  return h('div', { class: 'card' },
    h('p', { class: 'title' }, value.title),
    h('dl', {}, (value.fields ?? []).map((field) => [h('dt', {}, field.name), h('dd', {}, field.value)])),
    h('div', { class: 'actions' }, (value.buttons ?? []).map((one) =>
      button(one.text, () => press?.(one), { class: `small ${style(one.style)}`, disabled: !press }))));
}

/** What a message answers. */
export function quote({ sender_name, preview, recalled }) {
  return h('blockquote', {}, h('span', { class: 'person' }, sender_name), ' ', recalled ? t('recalled') : preview ?? '');
}

/** The inside of a message. */
export function inside(message, context) {
  if (message.recalled) return [h('p', { class: 'soft' }, t('recalled'))];
  const mentions = [].concat(message.mentions ?? []);
  const isForMe = mentions.includes('all') || mentions.includes(context.caller.as);
  return [
    message.reply_to ? quote(message.reply_to) : null,
    content(message.type, message.content, { ...context, preview: message.preview }),
    isForMe ? h('span', { class: 'chip mention' }, t('mentioned')) : null,
    message.reply_count ? h('span', { class: 'chip' }, t('replies', message.reply_count)) : null,
  ].filter(Boolean);
}
