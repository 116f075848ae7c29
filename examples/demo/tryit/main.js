// The page: people side by side, the calls below them, and what to try.
import { Caller } from './api.js';
import { Calls } from './calls.js';
import { h } from './dom.js';
import { Pane } from './pane.js';
import { number, t, zh } from './texts.js';

/** Each person has a stream of events, and a browser keeps six connections to an address. */
const MOST = 3;
/** A gateway that is silent for two minutes counts as gone. */
const HEARTBEAT_MS = 30_000;
const STEPS = ['send', 'read', 'offline', 'card', 'call', 'crowd', 'calls'];

class World {
  constructor(settings, emojis) {
    this.people = settings.people;
    this.crowd = settings.crowd.channel_id;
    this.emojis = new Map(emojis.map(({ emoji_id, address }) => [emoji_id, address]));
    this.gateway = new Caller({ as: 'gateway', name: t('gateway'), roles: 'gateway', prefix: 'gateway' });
    this.panes = [];
    this.active = null;
    this.box = document.getElementById('panes');
    this.add = document.getElementById('add');
    this.add.addEventListener('click', () => this.open(this.free()[0]));
    document.addEventListener('visibilitychange', () => this.panes.forEach((pane) => { pane.listen(); pane.look(); pane.refreshList(); }));
    setInterval(() => this.gateway.put('/presence', { gateway: 'demo', users: [] }, { quiet: true, does: t('does_presence') }).catch(() => {}), HEARTBEAT_MS);
  }

  find(id) {
    return this.people.find((person) => person.user_id === id);
  }

  free() {
    return this.people.filter((person) => !this.panes.some((pane) => pane.person === person));
  }

  async open(person, channelId, after) {
    const pane = new Pane(person, this);
    if (after) {
      this.panes[this.panes.indexOf(after)] = pane;
      after.element.before(pane.element);
      after.stop();
      if (!after.online) await this.connection(after.person.user_id, true);
    } else {
      this.panes.push(pane);
      this.box.append(pane.element);
    }
    this.changed();
    await pane.start(channelId);
    // The others see that this person is online.
    this.refreshLists();
  }

  replace(pane, id) {
    this.open(this.find(id), pane.opened, pane);
  }

  remove(pane) {
    this.panes = this.panes.filter((one) => one !== pane);
    pane.stop();
    if (!pane.online) this.connection(pane.person.user_id, true);
    this.changed();
    this.add.focus();
  }

  /** The people that each side can show, and the address of the page. */
  changed() {
    for (const pane of this.panes) {
      const shown = this.people.filter((person) => person === pane.person || this.free().includes(person));
      pane.select.replaceChildren(...shown.map((person) => h('option', { value: person.user_id, selected: person === pane.person }, person.name)));
      pane.close.hidden = this.panes.length < 3;
    }
    this.add.parentElement.hidden = this.panes.length >= MOST || this.free().length === 0;
    const params = new URLSearchParams(location.search);
    params.set('people', this.panes.map((pane) => pane.person.user_id).join(','));
    history.replaceState(null, '', `?${params}`);
    params.set('lang', zh ? 'en' : 'zh');
    document.getElementById('language').href = `?${params}`;
  }

  /** The person who uses the page now sees what arrives. */
  activate(pane) {
    this.active = pane;
    pane.read(false);
  }

  refreshLists() {
    this.panes.forEach((pane) => pane.refreshList());
  }

  async connection(id, online) {
    await fetch(`connections/${encodeURIComponent(id)}`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(online) });
  }

  done(step) {
    document.querySelector(`[data-step=${step}]`)?.classList.add('done');
  }
}

function dress(settings) {
  document.documentElement.lang = zh ? 'zh-CN' : 'en';
  document.title = t('title');
  for (const element of document.querySelectorAll('[data-text]')) element.textContent = t(element.dataset.text);
  const params = new URLSearchParams(location.search);
  params.set('lang', zh ? 'en' : 'zh');
  const outside = { target: '_blank', rel: 'noopener' };
  document.getElementById('links').append(
    h('a', { href: 'desk/console/', ...outside }, t('link_console')), h('a', { href: 'ops/console/', ...outside }, t('link_ops')),
    h('a', { href: `${settings.service}/docs`, ...outside }, t('link_docs')), h('a', { id: 'language', href: `?${params}`, lang: zh ? 'en' : 'zh-CN' }, t('other_language')));
  document.getElementById('steps').append(...STEPS.map((step) => h('li', { data: { step } }, t(`step_${step}`, number(settings.crowd.members)))));
}

const settings = await (await fetch('settings.json')).json();
dress(settings);
const section = document.getElementById('calls');
new Calls(section, settings.service);
const { items: emojis } = await Caller.person(settings.people[0]).get('/emojis', { quiet: true });
const world = new World(settings, emojis);
section.addEventListener('click', () => world.done('calls'));
const asked = (new URLSearchParams(location.search).get('people') ?? '').split(',').map((id) => world.find(id)).filter(Boolean);
const people = [...new Set(asked)].slice(0, MOST);
for (const person of world.people) if (people.length < 2 && !people.includes(person)) people.push(person);
await Promise.all(people.map((person) => world.open(person, settings.direct)));
