// What the scripts beside it share: the plan that they get on standard input, and Chromium.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const home = createRequire(join(process.env.CONSOLE_HOME, 'package.json'));
const { chromium } = home('playwright-core');

export const plan = JSON.parse(readFileSync(0, 'utf8'));

/** The source of axe-core, which finds what people with disabilities cannot use. */
export const axe = readFileSync(home.resolve('axe-core/axe.min.js'), 'utf8');

/** Starts Chromium without requests of its own. */
export function launch(...args) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', ...args],
    timeout: 120_000,
  });
}
