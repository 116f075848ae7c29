// A video call of two people. The service says who is called and hands on the signals; the pictures go from side to side.
import { clientId } from './api.js';
import { button, h } from './dom.js';
import { camera } from './media.js';
import { t } from './texts.js';

export class Phone {
  /** `name`: of a user. `attempt`: shows an error. `done`: both sides see each other. */
  constructor({ person, caller, name, attempt, done }) {
    Object.assign(this, { person, caller, name, attempt, done });
    this.element = h('div', { class: 'phone', role: 'group', 'aria-label': t('call'), hidden: true });
    this.clear();
  }

  clear() {
    this.camera?.stop();
    this.peer?.close();
    Object.assign(this, { call: null, other: null, peer: null, camera: null });
    this.connected = new Promise((done) => { this.isConnected = done; });
    // Signals are taken, and handed on, one after another.
    this.taking = this.connected;
    this.sending = Promise.resolve();
    this.element.hidden = true;
    this.element.replaceChildren();
  }

  show(words, ...parts) {
    this.element.replaceChildren(h('p', { role: 'status' }, words), ...parts);
    this.element.hidden = false;
  }

  /** Calls the other person of a channel. */
  async start(channelId) {
    const body = { channel_id: channelId, media: 'video', client_id: clientId() };
    this.call = await this.caller.post('/calls', body, { does: t('does_call') });
    this.show(t('calling'), this.end());
  }

  end() {
    return button(t('hang_up'), () => this.attempt(() => this.hangUp()), { class: 'small danger' });
  }

  ringing(call) {
    if (this.call || call.caller === this.person.user_id) return;
    this.call = call;
    this.show(t('rings', this.name(call.caller)),
      button(t('accept'), () => this.attempt(() => this.accept()), { class: 'small primary' }),
      button(t('decline'), () => this.attempt(() => this.hangUp()), { class: 'small danger' }));
  }

  async accept() {
    const { ice_servers, caller } = await this.caller.post(`/calls/${this.call.call_id}/accept`, undefined, { does: t('does_accept') });
    this.connect(caller, ice_servers);
  }

  /** The other side has accepted: the caller makes the offer. */
  async accepted({ call_id, user_id }) {
    if (call_id !== this.call?.call_id || user_id === this.person.user_id || this.peer) return;
    this.connect(user_id, this.call.ice_servers);
    await this.peer.setLocalDescription();
    this.send({ description: this.peer.localDescription });
  }

  connect(other, iceServers) {
    this.other = other;
    this.peer = new RTCPeerConnection({ iceServers });
    this.peer.onicecandidate = ({ candidate }) => { if (candidate) this.send({ candidate }); };
    const video = h('video', { autoplay: true, muted: true, playsInline: true, 'aria-label': t('picture_of', this.name(other)), onloadeddata: this.done });
    this.peer.ontrack = ({ streams }) => { [video.srcObject] = streams; };
    this.camera = camera(this.person.name);
    for (const track of this.camera.stream.getTracks()) this.peer.addTrack(track, this.camera.stream);
    this.show(t('in_call', this.name(other)), video, this.end());
    this.isConnected();
  }

  send(data) {
    const { call, other } = this;
    const post = () => this.caller.post(`/calls/${call.call_id}/signal`, { to: other, data }, { quiet: true, does: t('does_signal') });
    // A call that has just ended takes no more signals.
    this.sending = this.sending.then(post).catch(() => {});
  }

  signal({ call_id, data }) {
    if (call_id !== this.call?.call_id) return;
    this.taking = this.taking.then(() => this.take(data)).catch(() => {});
  }

  async take({ description, candidate }) {
    if (candidate) return this.peer.addIceCandidate(candidate);
    await this.peer.setRemoteDescription(description);
    if (description.type !== 'offer') return undefined;
    await this.peer.setLocalDescription();
    return this.send({ description: this.peer.localDescription });
  }

  ended({ call_id }) {
    if (call_id === this.call?.call_id) this.clear();
  }

  /** Leaves the call, or declines one that rings, if there is one. */
  async hangUp() {
    if (!this.call) return;
    const { call_id, caller } = this.call;
    const word = caller === this.person.user_id || this.peer ? 'end' : 'decline';
    this.clear();
    await this.caller.post(`/calls/${call_id}/${word}`, undefined, { does: t(`does_${word}`) });
  }
}
