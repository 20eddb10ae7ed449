// What a Realtime of either version wants, in a page or in Node.
import { socketPath } from '../lib/scenario.js';

/** To reach one node, or if it is steady any node that lives, that one first. */
export function options(world, node, { steady = false } = {}) {
  const { id: appId, key: appKey } = world.app;
  const all = [...world.nodes.slice(node), ...world.nodes.slice(0, node)];
  const urls = all.map(({ http }) => http.replace('http', 'ws') + socketPath);
  if (world.sdk.name === 'JS4') {
    return { appId, appKey, server: all[0].secure, RTMServers: steady ? urls : urls[0] };
  }
  return { appId, appKey, server: steady ? `http://${all[0].front}` : all[0].http };
}
