// Uses the page of the demo with Chromium, as visitors do: two people side by side.
//
//   CONSOLE_HOME=.cache/console node tests/console/tryit.mjs < plan.json
//
// The plan is { base, sessions: [{ lang, scheme, width }], pictures }. Each session tells the same story. With `pictures`, a
// folder, it leaves pictures there. It prints { problems, seen, sample_text } as one line of JSON: `seen` counts the steps,
// and `sample_text` is the message whose samples in curl, JavaScript and Java were run.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { axe, launch, plan } from './chromium.mjs';

const run = promisify(execFile);
const problems = [];
const seen = {};
let sampleText = null;
const INJECTED = '<img src=x onerror="window.injected=1"><script>window.injected=1</script>';
// Only a failing test waits for it.
const LONG_MS = Number(process.env.TRYIT_WAIT_MS ?? 120_000);
/** How long a person holds a button down. */
const HELD_MS = 300;
if (plan.pictures) mkdirSync(plan.pictures, { recursive: true });

async function tell(session) {
  const zh = session.lang === 'zh';
  const context = await browser.newContext({
    locale: zh ? 'zh-CN' : 'en-GB',
    timezoneId: 'Asia/Shanghai',
    colorScheme: session.scheme,
    viewport: { width: session.width, height: 1000 },
  });
  context.setDefaultTimeout(LONG_MS);
  const page = await context.newPage();
  const at = `${session.lang} ${session.scheme} ${session.width}`;
  const wrong = (what) => problems.push(`${at}: ${what}`);
  /** A part of the story. One that fails does not hide what the next ones find. */
  const part = async (name, act) => {
    try {
      await act();
      seen[name] = (seen[name] ?? 0) + 1;
    } catch (error) {
      wrong(`${name}: ${error.stack}`);
      if (plan.pictures) await page.screenshot({ path: join(plan.pictures, `failed-${name}.png`), fullPage: true, caret: 'initial', animations: 'allow' });
    }
  };
  page.on('pageerror', (error) => wrong(`an error of the script: ${error.message}`));
  page.on('console', (message) => { if (message.type() === 'error') wrong(`the browser says: ${message.text()} ${message.location().url}`); });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${plan.base}/`)) wrong(`a request to ${request.url()}`);
  });
  let loads = 0;
  page.on('load', () => { loads += 1; });

  const look = async (name) => {
    if (await page.evaluate(() => window.injected !== undefined)) wrong(`${name}: a script that a user injected ran`);
    if (await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)) {
      wrong(`${name}: it is wider than the window`);
    }
    // The policy of the page lets no script in: axe comes by the protocol of the debugger, which is outside of it.
    const found = await page.evaluate(`${axe}; axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })`);
    for (const one of found.violations) {
      wrong(`${name}: axe: ${one.id}: ${one.help}: ${one.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | ')}`);
    }
    if (!plan.pictures) return;
    const file = join(plan.pictures, `tryit-${name}-${session.lang}-${session.scheme}-${session.width}.png`);
    // To hide the caret, or to stop animations, a style would be put into the page, which its policy refuses.
    await page.screenshot({ path: file, fullPage: true, caret: 'initial', animations: 'allow' });
  };

  await page.goto(`${plan.base}/`);
  await until(page, () => document.querySelectorAll('.pane[data-live]').length === 2);
  if (!(await page.evaluate(() => document.documentElement.lang)).startsWith(session.lang)) wrong('another language');
  const left = new Side(page, 0);
  const right = new Side(page, 1);
  await look('begin');
  await left.begin();
  await right.begin();

  const first = `${zh ? '早上好' : 'Good morning'} ${at}`;
  await part('live', async () => {
    await left.say(first);
    await right.message(first).waitFor();
    await left.counts(first, { received: 1 });
  });
  await part('read', async () => {
    await right.log.click({ position: { x: 3, y: 3 } });
    await left.counts(first, { read: 1 });
  });
  await part('injected', async () => {
    await left.say(INJECTED);
    await right.message('window.injected=1"><script>').last().waitFor();
  });
  await part('composer', async () => {
    await left.open(0);
    await left.pane.locator('.menu:visible button').first().click();
    await left.text.press('Enter');
    await right.last().locator('img.emoji').waitFor();
    await left.open(1);
    await left.pane.locator('.menu:visible button').first().click();
    await left.text.press('Enter');
    await right.last().locator('.chip.mention').waitFor();
    await right.message(first).locator('.acts button').first().click();
    const answer = `${zh ? '好的' : 'Fine'} ${at}`;
    await right.say(answer);
    await left.message(answer).locator('blockquote', { hasText: first }).waitFor();
  });
  await part('types', () => types({ page, left, right, at, wrong }));
  await part('card', async () => {
    await left.add('add_card');
    // A person holds a button for a moment, and the unread message that this reads ends its notice meanwhile.
    await right.of('card').locator('.card button').first().click({ delay: HELD_MS });
    const decided = zh ? '已同意' : 'agreed';
    await left.of('card').locator('.card .title', { hasText: decided }).waitFor();
    await right.of('card').locator('.card .title', { hasText: decided }).waitFor();
    if ((await left.of('card').locator('.card button').count()) > 0) wrong('the card still has buttons');
    await look('types');
  });
  await part('call', async () => {
    await left.add('add_call');
    await right.pane.locator('.phone .primary').click({ delay: HELD_MS });
    for (const side of [left, right]) {
      await until(page, (video) => video.videoWidth === 320 && video.currentTime > 0, await side.pane.locator('.phone video').elementHandle());
    }
    await look('call');
    await left.pane.locator('.phone .danger').click();
    for (const side of [left, right]) {
      await side.of('call').waitFor();
      await side.pane.locator('.phone').waitFor({ state: 'hidden' });
    }
    // One who goes away declines what rings.
    await left.add('add_call');
    await right.pane.locator('.phone').waitFor();
    await right.pane.locator('.toggle').click();
    await left.pane.locator('.phone').waitFor({ state: 'hidden' });
    await right.pane.locator('.notice').waitFor();
    await right.pane.locator('.toggle').click();
    await right.pane.locator('.notice').waitFor({ state: 'hidden' });
  });
  await part('forward', async () => {
    await left.message(first).locator('.acts button').nth(1).click();
    await left.pane.locator('dialog[open] .rows button', { hasText: 'Apollo' }).click();
    await right.conversation('Apollo').click();
    await right.log.locator('.copy', { hasText: first }).last().waitFor();
    await right.direct().click();
    await right.message(first).waitFor();
  });
  await part('recall', async () => {
    const mistake = `${zh ? '发错了' : 'A mistake'} ${at}`;
    await left.say(mistake);
    await right.message(mistake).waitFor();
    await left.message(mistake).locator('.acts button').nth(2).click();
    await right.message(mistake).waitFor({ state: 'detached' });
  });
  await part('offline', () => offline({ left, right, look, wrong, words: (n) => `${zh ? '离线时' : 'While away'} ${n} ${at}` }));
  await part('crowd', () => crowd({ left, look, words: `${zh ? '大家好' : 'Hello all'} ${at}` }));
  await part('samples', async () => {
    await left.direct().click();
    // The conversation is open: what follows is the newest call.
    await left.message(first).waitFor();
    const text = `${zh ? "引号 ' 和 \\" : "A quote ' and \\"} "双" ${at}`;
    await left.say(text);
    await left.message(text).waitFor();
    const samples = {};
    for (const form of ['curl', 'javascript', 'java']) {
      await page.locator(`[data-form=${form}]`).click();
      samples[form] = await page.locator(`pre[data-sample=${form}] code`).textContent();
    }
    if (sampleText === null) {
      sampleText = text;
      await repeat(samples, wrong);
    }
    await page.locator('.check input').check();
    await look('calls');
  });
  await part('third', async () => {
    await page.locator('#add').click();
    await until(page, () => document.querySelectorAll('.pane[data-live]').length === 3);
    await look('three');
    if (loads > 1) wrong('the page was loaded again');
  });
  // The same gateway leads to the console, as a support person and as an operator.
  await part('console', async () => {
    for (const who of ['desk', 'ops']) {
      await page.goto(`${plan.base}/${who}/console/search`);
      await page.fill('#reason', at);
      await page.click('button.primary');
      await page.waitForSelector('.case');
    }
  });
  await context.close();
}

/** Every type of content is shown on the other side, with the bytes that were sent. */
async function types({ page, left, right, at, wrong }) {
  await left.add('add_picture');
  await until(page, (image) => image.naturalWidth === 640, await right.of('picture').locator('img.picture').elementHandle());
  const buffer = Buffer.from(`a file of ${at}`);
  await left.pane.locator('input[type=file]').setInputFiles({ name: '<img src>.txt', mimeType: 'text/plain', buffer });
  const link = right.of('file').locator('a[download]');
  const bytes = await page.evaluate(async (address) => (await fetch(address)).text(), await link.getAttribute('href'));
  if (bytes !== String(buffer)) wrong(`the file is ${bytes}`);
  await left.add('add_voice');
  const sound = await right.of('voice').locator('audio').elementHandle();
  await sound.evaluate((audio) => { audio.preload = 'metadata'; audio.load(); });
  await until(page, (audio) => audio.duration > 1, sound);
  await left.add('add_video');
  await until(page, (video) => video.videoWidth === 320, await right.of('video').locator('video').elementHandle());
  await left.add('add_place');
  await right.of('location').waitFor();
  await left.add('add_link');
  await right.of('link').locator('a').waitFor();
  await left.add('add_markdown');
  await right.of('markdown').locator('strong').waitFor();
}

/** Messages wait while a person has no connection, and all of them come when there is one again. */
async function offline({ left, right, look, wrong, words }) {
  await right.pane.locator('.toggle').click();
  await right.pane.locator('.notice').waitFor();
  const missed = [1, 2, 3].map(words);
  for (const text of missed) {
    await left.say(text);
    await left.message(text).waitFor();
  }
  await left.counts(missed[2], { unreceived: 1 });
  if ((await right.message(missed[0]).count()) > 0) wrong('a message came to a side that is offline');
  await look('offline');
  await right.pane.locator('.toggle').click();
  for (const text of missed) await right.message(text).waitFor();
  const order = await right.log.locator('article').evaluateAll((all) => all.map((one) => Number(one.dataset.seq)));
  if (order.some((seq, n) => n > 0 && seq !== order[n - 1] + 1)) wrong(`the right side has ${order}`);
  await left.counts(missed[2], { received: 1 });
}

/** A large group: all receive an urgent message, get a nudge, and many read. */
async function crowd({ left, look, words }) {
  await left.conversation('Star City').click();
  await left.pane.locator('.composer select').selectOption('urgent');
  await left.say(words);
  await left.message(words).waitFor();
  await left.pane.locator('.composer select').selectOption('normal');
  await left.counts(words, { received: 2003 });
  await left.message(words).locator('.acts button').nth(3).click();
  await left.pane.locator('.note', { hasText: '2,003' }).waitFor();
  await left.message(words).locator('.receipts button').click();
  const dialog = left.pane.locator('dialog[open]');
  await dialog.locator('.rows li').first().waitFor();
  await look('receivers');
  await dialog.locator('.actions button').nth(-2).click();
  await dialog.locator('.tabs button', { hasText: '200' }).waitFor();
  await dialog.locator('.actions .primary').click();
  await left.counts(words, { received: 1803, read: 200 });
}

/** Waits until a function of the page is true. Playwright's own wait evaluates text in the page, which its policy refuses. */
async function until(page, isSo, argument) {
  const deadline = Date.now() + LONG_MS;
  while (!(await page.evaluate(isSo, argument))) {
    if (Date.now() > deadline) throw new Error(`never: ${isSo} of ${JSON.stringify(argument)}`);
    await new Promise((next) => { setTimeout(next, 50); });
  }
}

/** Runs the samples of one send: each repeats it, and the service stores nothing new. */
async function repeat(samples, wrong) {
  const folder = mkdtempSync(join(tmpdir(), 'tryit-'));
  const file = (name, text) => { writeFileSync(join(folder, name), text); return join(folder, name); };
  const commands = [
    ['bash', [file('call.sh', samples.curl)]],
    ['node', [file('call.mjs', samples.javascript)]],
    ['java', ['-Dfile.encoding=UTF-8', file('Call.java', samples.java)]],
  ];
  for (const [program, parameters] of commands) {
    try {
      const { stdout } = await run(program, parameters, { timeout: LONG_MS });
      if (!stdout.includes('"repeated":true')) wrong(`${program} answers ${stdout}`);
    } catch (error) {
      wrong(`${program}: ${error.message} ${error.stdout} ${error.stderr}`);
    }
  }
  rmSync(folder, { recursive: true });
}

/** One person of the page. */
class Side {
  constructor(page, n) {
    this.page = page;
    this.pane = page.locator('.pane').nth(n);
    this.log = this.pane.locator('.log');
    this.text = this.pane.locator('textarea');
  }

  async say(words) {
    await this.text.fill(words);
    await this.text.press('Enter');
  }

  message(words) {
    return this.log.locator('article', { has: this.page.locator('p.words', { hasText: words }) });
  }

  /** The story begins with what earlier ones have left. */
  async begin() {
    this.left = await this.log.locator('article').evaluateAll((all) => all.map((one) => one.dataset.type));
  }

  /** The first message of this type in this story. */
  of(type) {
    return this.log.locator(`article[data-type=${type}]`).nth(this.left.filter((one) => one === type).length);
  }

  last() {
    return this.log.locator('article').last();
  }

  conversation(name) {
    return this.pane.locator('.conversation', { hasText: name });
  }

  /** The conversation with the other person: the only one whose line begins with a mark of presence. */
  direct() {
    return this.pane.locator('.conversation', { has: this.page.locator('.name .presence') }).first();
  }

  /** Opens a menu of the composer: emojis, members, or what else can be sent. */
  open(n) {
    return this.pane.locator('.opens').nth(n).locator('button').first().click();
  }

  async add(key) {
    await this.open(2);
    await this.pane.locator(`[data-add=${key}]`).click();
  }

  /** Waits until the bar of an own message has these receivers, and no others. */
  async counts(words, wanted) {
    const label = await this.message(words).first().evaluate((article) => article.dataset.ms);
    await until(this.page, ([id, parts]) => {
      const shown = [...document.querySelectorAll(`[data-ms="${id}"] .receipts rect`)];
      const all = Object.values(parts).reduce((sum, count) => sum + count, 0);
      return shown.length === 3 && shown.every((rect) =>
        Math.abs(Number(rect.getAttribute('width')) - ((parts[rect.getAttribute('class')] ?? 0) * 1000) / all) < 0.01);
    }, [label, wanted]);
  }
}

const browser = await launch();
for (const session of plan.sessions) {
  try {
    await tell(session);
  } catch (error) {
    problems.push(`${session.lang} ${session.scheme} ${session.width}: ${error.stack}`);
  }
}
await browser.close();
console.log(JSON.stringify({ problems, seen, sample_text: sampleText }));
