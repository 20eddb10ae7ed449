// Runs the scenarios against a cluster of its own. Directories of scenarios run
// one after another, each with an app of its own.
//
//   node run.js [NAME…]        only files whose path contains a NAME
//   KILL=1 node run.js         while nodes are killed and started again
//   ONLY='LM-22' node run.js   only scenarios of that name (a regular expression)
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Cluster, tormented } from './lib/cluster.js';
import { phases } from './phases.js';

const here = import.meta.dirname;
const names = process.argv.slice(2);
const binary = process.env.QUORATE_BIN ?? path.join(here, '../../bin/quorate');

function files(directory) {
  return readdirSync(path.join(here, 'scenarios', directory))
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => path.join(here, 'scenarios', directory, file))
    .filter((file) => names.length === 0 || names.some((name) => file.includes(name)));
}

async function runFiles(env, chosen, together) {
  const args = ['--test', '--test-force-exit', `--test-concurrency=${together}`, '--test-reporter=spec'];
  if (process.env.ONLY) args.push(`--test-name-pattern=${process.env.ONLY}`);
  const child = spawn(process.execPath, [...args, ...chosen], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
  const [code] = await once(child, 'exit');
  return code === 0;
}

const began = Date.now();
const cluster = await Cluster.start(binary);
let failed = 0;
try {
  for (const { directory, settings, together = 4, kill = true, wants } of phases) {
    const chosen = files(directory);
    if (chosen.length === 0 || (process.env.KILL && !kill)) continue;
    if (wants && !existsSync(wants)) {
      console.log(`\n== ${directory}: left out, there is no ${wants}`);
      continue;
    }
    console.log(`\n== ${directory}`);
    const app = await cluster.makeApp(directory, settings);
    const stop = process.env.KILL ? tormented(cluster, 10_000) : async () => 0;
    if (!(await runFiles(cluster.env(app), chosen, together))) failed++;
    const kills = await stop();
    if (kills) console.log(`# nodes were killed ${kills} times`);
  }
} finally {
  await cluster.stop();
}
console.log(`\n${failed ? 'FAILED' : 'ok'} in ${Math.round((Date.now() - began) / 1000)} s`);
process.exit(failed ? 1 : 0);
