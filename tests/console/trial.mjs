// Does the tasks of support staff with Chromium, by the words on the pages, and counts the clicks.
//
//   CONSOLE_HOME=.cache/console node tests/console/trial.mjs < plan.json
//
// The plan is { base, user, roles, trials: [{ lang, width, tasks: [{ name, steps }] }], pictures }. Each task begins at
// the address of the console, in a new browser. A step is `write: [label, text]`, which types into the field with that
// label, `press: name`, which clicks the button or the link of that name, `saves: name`, which fetches what a
// click would download, or `sees: text`. Typing is no click. It prints { problems, clicks, saved } as one line of JSON.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, plan } from './chromium.mjs';

const problems = [];
const clicks = {};
const saved = {};
if (plan.pictures) mkdirSync(plan.pictures, { recursive: true });

const browser = await launch();

for (const trial of plan.trials) {
  for (const task of trial.tasks) {
    const key = `${task.name}-${trial.lang}`;
    const context = await browser.newContext({
      locale: trial.lang === 'zh' ? 'zh-CN' : 'en-GB',
      timezoneId: 'Asia/Shanghai',
      viewport: { width: trial.width, height: 860 },
      extraHTTPHeaders: { 'x-user-id': plan.user, 'x-user-roles': plan.roles },
    });
    context.setDefaultTimeout(120_000);
    const page = await context.newPage();
    clicks[key] = 0;
    try {
      await page.goto(`${plan.base}/console`);
      for (const one of task.steps) await step(page, key, one);
    } catch (error) {
      const text = await page.evaluate(() => document.body.innerText);
      problems.push(`${key}: ${error.message}\n${page.url()}\n${text.slice(0, 1_500)}`);
    }
    if (plan.pictures) {
      const path = join(plan.pictures, `trial-${key}-${trial.width}.png`);
      await page.screenshot({ path, fullPage: true, caret: 'initial', animations: 'allow' });
    }
    await context.close();
  }
}
await browser.close();
console.log(JSON.stringify({ problems, clicks, saved }));

// What a person can click by this name: the first one on the page, and not in the bar.
function named(page, name) {
  const main = page.locator('main');
  const exact = { name, exact: true };
  return main.getByRole('button', exact).or(main.getByRole('link', exact)).first();
}

async function step(page, key, one) {
  if (one.write) await page.locator('main').getByLabel(one.write[0], { exact: true }).first().fill(one.write[1]);
  if (one.press) {
    clicks[key] += 1;
    // Each of these leads to another page.
    await Promise.all([page.waitForEvent('load'), named(page, one.press).click()]);
  }
  if (one.saves) {
    clicks[key] += 1;
    // Chromium downloads without the headers that stand for the gateway here, so the file is fetched from the same link.
    const link = named(page, one.saves);
    if (!(await link.evaluate((a) => a.hasAttribute('download')))) throw new Error(`${one.saves} does not download`);
    saved[key] = await link.evaluate((a) => fetch(a.href).then((answer) => answer.text()));
  }
  if (one.sees) await page.getByText(one.sees).first().waitFor();
}
