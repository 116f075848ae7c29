// Looks at pages of the console with Chromium, as people see them.
//
//   CONSOLE_HOME=.cache/console node tests/console/browse.mjs < plan.json
//
// The plan has sessions: { base, sessions: [{ user, roles, lang, scheme, width, reason, visits }], pictures }. A visit has
// a `name`, an `address` below the console, the `status`, texts that the page `wants` and `lacks`, `keys` to press, and
// `steps`: see `step`. With `clock`, time passes when a step says so. `tolerates` is the beginning of an expected error.
// Without an address it goes on where the visit before it has ended. `stays`: the address after it. `takes`: an element
// whose text is in `took` of the result. `secrets` of the plan must be in no address, no request but a form, and no
// `Referer`.
// With `pictures`, a folder, each visit leaves a picture there. It prints { problems, seen, took } as one line of JSON.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { axe, launch, plan } from './chromium.mjs';

const problems = [];
const seen = {};
const took = {};
if (plan.pictures) mkdirSync(plan.pictures, { recursive: true });

const browser = await launch();

for (const session of plan.sessions) {
  const headers = {};
  if (session.user) headers['x-user-id'] = session.user;
  if (session.roles) headers['x-user-roles'] = session.roles;
  const context = await browser.newContext({
    locale: session.lang === 'zh' ? 'zh-CN' : 'en-GB',
    timezoneId: 'Asia/Shanghai',
    colorScheme: session.scheme ?? 'light',
    viewport: { width: session.width ?? 1280, height: 860 },
    extraHTTPHeaders: headers,
  });
  context.setDefaultTimeout(120_000);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const page = await context.newPage();
  let visit;
  const wrong = (what) => problems.push(`${session.lang} ${session.scheme} ${session.width} ${visit?.name}: ${what}`);
  page.on('pageerror', (error) => wrong(`an error of the script: ${error.message}`));
  page.on('console', (message) => {
    // The browser reports a document that is no 2xx as an error, too.
    const expected = (visit?.status || visit?.tolerates) && message.text().includes('Failed to load resource');
    if (message.type() === 'error' && !expected) wrong(`the browser says: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(plan.base) && !url.startsWith('data:')) wrong(`a request to ${url}`);
    for (const secret of plan.secrets ?? []) {
      if (url.split('#')[0].includes(secret)) wrong(`an address with the secret: ${url}`);
      if (request.headers().referer?.includes(secret)) wrong(`a Referer with the secret, to ${url}`);
    }
  });
  if (session.reason) {
    visit = { name: 'reason' };
    await page.goto(`${plan.base}/console/search`);
    await look(page, session, wrong, visit);
    await page.fill('#reason', session.reason);
    await page.click('button.primary');
    await page.waitForSelector('.case');
    if (!page.url().startsWith(`${plan.base}/console/search`)) wrong(`the reason leads to ${page.url()}`);
  }
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  if (session.visits.some((one) => one.clock)) await page.clock.install();
  for (visit of session.visits) {
    if (visit.address) {
      const response = await page.goto(`${plan.base}/console/${visit.address}`);
      if (response.status() !== (visit.status ?? 200)) wrong(`status ${response.status()}`);
      const bytes = (await response.body()).length;
      if (bytes > 100_000) wrong(`${bytes} bytes`);
    }
    for (const key of visit.keys ?? []) await page.keyboard.press(key);
    for (const one of visit.steps ?? []) {
      await step(context, page, requests, one).catch((error) => wrong(`${JSON.stringify(one)}: ${error.message}`));
    }
    if (visit.leads) {
      await page.waitForURL((url) => url.href.includes(visit.leads));
    }
    if (visit.focus && !(await page.evaluate((css) => document.activeElement?.matches(css), visit.focus))) {
      wrong(`${visit.focus} has no focus`);
    }
    await look(page, session, wrong, visit);
    if (visit.takes) took[visit.name] = await page.textContent(visit.takes);
    if (visit.stays && page.url() !== `${plan.base}/console/${visit.stays}`) wrong(`the address is ${page.url()}`);
    for (const secret of plan.secrets ?? []) {
      if (page.url().includes(secret)) wrong(`the address keeps the secret: ${page.url()}`);
      const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, history.state]));
      if (kept.includes(secret)) wrong('a script can read the secret');
    }
  }
  await context.close();
}
await browser.close();
console.log(JSON.stringify({ problems, seen, took }));

// One step of a visit: what a person does, what happens meanwhile, or what is to be seen then.
async function step(context, page, requests, one) {
  // Only a click that `loads` another page waits for it.
  if (one.click) await Promise.all([one.loads && page.waitForEvent('load'), page.click(one.click)]);
  if (one.focus) await page.focus(one.focus);
  if (one.fill) await page.fill(one.fill[0], one.fill[1]);
  if (one.choose) await page.selectOption(one.choose[0], one.choose[1]);
  if (one.press) await page.keyboard.press(one.press);
  if (one.call) {
    const [method, path, data] = one.call;
    const answer = await context.request.fetch(`${plan.base}/api/v1${path}`, { method, data });
    if (!answer.ok()) throw new Error(`${answer.status()} ${await answer.text()}`);
  }
  if ('offline' in one) await context.setOffline(one.offline);
  if (one.run) await page.clock.runFor(one.run);
  // Time passes, and nothing is asked for.
  if (one.quiet) {
    const before = requests.length;
    await page.clock.runFor(one.quiet);
    const asked = requests.slice(before);
    if (asked.length > 0) throw new Error(`asked for ${asked}`);
  }
  if (one.mark) await page.evaluate(() => { window.marked = true; });
  // The same document as when it was marked.
  if (one.same && !(await page.evaluate(() => window.marked))) throw new Error('the page was loaded anew');
  if (one.sees) await page.waitForSelector(one.sees, { state: 'attached', timeout: 60_000 });
  if (one.copied) {
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    if (!copied.includes(one.copied)) throw new Error(`copied ${copied}`);
  }
  if (one.lacks && (await page.$(one.lacks))) throw new Error(`has ${one.lacks}`);
  if (one.focused && !(await page.evaluate((css) => document.activeElement?.matches(css), one.focused))) {
    throw new Error(`${one.focused} has no focus`);
  }
}

async function look(page, session, wrong, visit) {
  // A step can end at the first part of another page, before the script of that page has run.
  await page.waitForLoadState();
  const text = await page.evaluate(() => document.body.innerText);
  for (const wanted of visit.wants ?? []) if (!text.includes(wanted)) wrong(`lacks ${wanted}\n${text.slice(0, 1500)}`);
  for (const lacked of visit.lacks ?? []) if (text.includes(lacked)) wrong(`shows ${lacked}`);
  for (const css of visit.has ?? []) if (!(await page.$(css))) wrong(`has no ${css}`);
  if (await page.evaluate(() => window.injected !== undefined)) wrong('a script that a user injected ran');
  if (await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)) {
    wrong('it is wider than the window');
  }
  // Times are of the reader's zone, which is 8 hours ahead of UTC. The title has UTC.
  const times = await page.evaluate(() => [...document.querySelectorAll('time')].map((one) => [one.dateTime, one.title, one.textContent]));
  for (const [exact, title, shown] of times) {
    const there = new Date(Date.parse(exact) + 8 * 3_600_000).toISOString().slice(11, 19);
    if (!exact.endsWith('Z') || title !== exact || !shown.includes(there)) wrong(`the time ${exact} is shown as ${shown}, with ${title}`);
  }
  const lang = await page.evaluate(() => document.documentElement.lang);
  if (!lang.startsWith(session.lang)) wrong(`its language is ${lang}`);
  // The policy of the page lets no script in: axe comes by the protocol of the debugger, which is outside of it.
  const found = await page.evaluate(`${axe}; axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })`);
  for (const one of found.violations) {
    wrong(`axe: ${one.id}: ${one.help}: ${one.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | ')}`);
  }
  seen[visit.name] = (seen[visit.name] ?? 0) + 1;
  if (plan.pictures) {
    const name = `${visit.name}-${session.lang}-${session.scheme}-${session.width}.png`;
    // To hide the caret, or to stop animations, a style would be put into the page, which its policy refuses.
    await page.screenshot({ path: join(plan.pictures, name), fullPage: true, caret: 'initial', animations: 'allow' });
  }
}
