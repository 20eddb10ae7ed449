// Starts a cluster, makes an app and runs a command that finds both in its
// environment.
//
//   node with-cluster.js [KEY=VALUE…] -- COMMAND ARG…
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { Cluster } from './lib/cluster.js';

const split = process.argv.indexOf('--');
const settings = Object.fromEntries(process.argv.slice(2, split).map((word) => word.split('=')));
const [command, ...args] = process.argv.slice(split + 1);
const binary = process.env.QUORATE_BIN ?? path.join(import.meta.dirname, '../../bin/quorate');

const cluster = await Cluster.start(binary);
let code = 1;
try {
  const app = await cluster.makeApp('scenarios', settings);
  const child = spawn(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      ...cluster.env(app),
      QUORATE_NODES: cluster.nodes.map((node) => node.http).join(','),
      QUORATE_APP: app.id,
      QUORATE_KEY: app.key,
    },
  });
  [code] = await once(child, 'exit');
} finally {
  await cluster.stop();
}
process.exit(code ?? 1);
