// Has two people call each other with Chromium: through the API of the service, and through its TURN server.
//
//   CONSOLE_HOME=.cache/console node tests/console/call.mjs < plan.json
//
// The plan has { base, channel, caller, called, member, outside }: the user who calls, the one who accepts, one who is called and
// does not accept, and one who is no member. It prints as one line of JSON what each of them has seen.
import { launch, plan } from './chromium.mjs';

const WAIT_MS = 120_000;

const browser = await launch('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream');

// What runs in each page: the stream of events, and the part of a portal that makes a call.
function portal() {
  const heard = [];
  const post = async (path, body) => {
    const answer = await fetch(`/api/v1${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    return { status: answer.status, body: answer.status === 204 ? null : await answer.json() };
  };
  const until = async (look) => {
    for (;;) {
      const found = await look();
      if (found) return found;
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  let call = null;
  let peer = null;
  let other = null;
  const early = [];
  // Signals are handed on in the order in which the service gets them: each waits for the one before.
  let sending = Promise.resolve();
  const send = (data) => (sending = sending.then(() => post(`/calls/${call}/signal`, { to: other, data })));

  const on = async ({ from, data }) => {
    if (!peer) return early.push({ from, data });
    if (data.description) {
      await peer.setRemoteDescription(data.description);
      if (data.description.type === 'offer') {
        await peer.setLocalDescription();
        await send({ description: peer.localDescription });
      }
    } else {
      await peer.addIceCandidate(data.candidate);
    }
  };
  // One after another: a candidate must not overtake the description before it.
  let order = Promise.resolve();
  const source = new EventSource('/api/v1/events?calls=true');
  const listening = new Promise((done) => source.addEventListener('hello', done));
  for (const kind of ['call.ringing', 'call.accepted', 'call.ended', 'message.created']) {
    source.addEventListener(kind, (event) => heard.push({ kind, data: JSON.parse(event.data).data }));
  }
  source.addEventListener('call.signal', (event) => {
    const told = JSON.parse(event.data);
    heard.push({ kind: 'call.signal' });
    order = order.then(() => on(told));
  });

  const connect = async (iceServers) => {
    const made = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
    made.onicecandidate = ({ candidate }) => { if (candidate) send({ candidate }); };
    made.ontrack = ({ streams }) => {
      const video = document.createElement('video');
      Object.assign(video, { muted: true, autoplay: true, srcObject: streams[0] });
      document.body.append(video);
      window.shown = new Promise((done) => video.requestVideoFrameCallback?.((_, frame) => done({ width: frame.width, height: frame.height })));
    };
    const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
    stream.getTracks().forEach((track) => made.addTrack(track, stream));
    peer = made;
    early.splice(0).forEach((told) => { order = order.then(() => on(told)); });
  };

  Object.assign(window, {
    heard,
    listening,
    post,
    ring: async (channel, to) => {
      const begun = await post('/calls', { channel_id: channel, media: 'video' });
      [call, other] = [begun.body.call_id, to];
      await until(() => heard.some(({ kind }) => kind === 'call.accepted'));
      await connect(begun.body.ice_servers);
      await peer.setLocalDescription();
      await send({ description: peer.localDescription });
      return call;
    },
    accept: async () => {
      const ringing = await until(() => heard.find(({ kind }) => kind === 'call.ringing'));
      [call, other] = [ringing.data.call_id, ringing.data.caller];
      const joined = await post(`/calls/${call}/accept`, null);
      await connect(joined.body.ice_servers);
    },
    seen: async () => {
      const decoded = async () => {
        const stats = [...(await peer.getStats()).values()];
        return stats.find(({ type, kind, framesDecoded }) => type === 'inbound-rtp' && kind === 'video' && framesDecoded > 0);
      };
      const frames = (await until(decoded)).framesDecoded;
      // Frames can come before a pair is nominated.
      const connected = async () => {
        const stats = await peer.getStats();
        const pair = [...stats.values()].find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
        return pair && stats.get(pair.localCandidateId);
      };
      return { frames, picture: await window.shown, local: (await until(connected)).candidateType };
    },
    leave: () => post(`/calls/${call}/end`, null),
    left: () => until(() => heard.find(({ kind, data }) => kind === 'message.created' && data.type === 'call')),
  });
}

const pages = {};
for (const who of ['caller', 'called', 'member', 'outside']) {
  const context = await browser.newContext({ extraHTTPHeaders: { 'x-user-id': plan[who] }, permissions: ['camera', 'microphone'] });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  // Any page of the same origin: it is only a place for the script.
  await page.goto(`${plan.base}/healthz`);
  await page.evaluate(portal);
  await page.evaluate(() => window.listening);
  pages[who] = page;
}
const { caller, called, member, outside } = pages;
const accepting = called.evaluate(() => window.accept());
const call = await caller.evaluate(({ channel, to }) => window.ring(channel, to), { channel: plan.channel, to: plan.called });
await accepting;
const result = { call };
result.caller = await caller.evaluate(() => window.seen());
result.called = await called.evaluate(() => window.seen());
const attempt = { to: plan.caller, data: { description: { type: 'offer', sdp: 'x' } } };
const tried = ([path, body]) => window.post(path, body).then(({ status }) => status);
result.member_signals = await member.evaluate(tried, [`/calls/${call}/signal`, attempt]);
result.outside_signals = await outside.evaluate(tried, [`/calls/${call}/signal`, attempt]);
result.outside_accepts = await outside.evaluate(tried, [`/calls/${call}/accept`, null]);
await called.evaluate(() => window.leave());
result.message = (await caller.evaluate(() => window.left())).data.content;
// After it has heard of the message, a page has heard of all before it.
await member.evaluate(() => window.left());
for (const who of ['member', 'outside']) {
  result[`${who}_heard`] = await pages[who].evaluate(() => window.heard.map(({ kind }) => kind));
}
await browser.close();
process.stdout.write(`${JSON.stringify(result)}\n`);
