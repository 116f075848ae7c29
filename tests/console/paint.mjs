// Opens a page again and again with Chromium, and tells when it is painted.
//
//   CONSOLE_HOME=.cache/console node tests/console/paint.mjs < plan.json
//
// The plan is { base, user, roles, reason, addresses }: addresses below the console, which begins a case first. Each is
// opened in a new tab with an empty cache. It prints one line of JSON: [{ address, ms, bytes, rows }], with the time from
// the start of the navigation to the first contentful paint, the bytes of all that the page loaded, and its entries.
import { launch, plan } from './chromium.mjs';

const browser = await launch();
const context = await browser.newContext({
  locale: 'zh-CN',
  viewport: { width: 1280, height: 860 },
  extraHTTPHeaders: { 'x-user-id': plan.user, 'x-user-roles': plan.roles },
});
context.setDefaultTimeout(120_000);
const first = await context.newPage();
await first.goto(`${plan.base}/console/search`);
await first.fill('#reason', plan.reason);
await first.click('button.primary');
await first.waitForSelector('.case');

const paints = [];
for (const address of plan.addresses) {
  const page = await context.newPage();
  const network = await context.newCDPSession(page);
  await network.send('Network.setCacheDisabled', { cacheDisabled: true });
  const loads = [];
  page.on('response', (response) => loads.push(response.body().then((body) => body.length)));
  const response = await page.goto(`${plan.base}/console/${address}`);
  if (response.status() !== 200) throw new Error(`${address}: ${response.status()}`);
  const painted = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
  const ms = await (await page.waitForFunction(painted)).jsonValue();
  const rows = await page.locator('main [data-row]').count();
  const bytes = (await Promise.all(loads)).reduce((sum, length) => sum + length, 0);
  paints.push({ address, ms, bytes, rows });
  await page.close();
}
await browser.close();
console.log(JSON.stringify(paints));
