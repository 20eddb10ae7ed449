// The page, the SDK's browser builds and the chat, for the nodes to serve.
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

const here = import.meta.dirname;
const modules = path.join(here, '../node_modules');
const page = (sdk) => `<!doctype html><meta charset="utf-8"><title>chat</title>
<script src="${sdk}.js"></script>
<script type="module">
  import { Chat } from './chat.js';
  window.chat = new Chat(window.AV);
</script>`;

const builds = {
  JS5: path.join(modules, 'leancloud-realtime/dist/im-browser.js'),
  JS4: path.join(modules, 'leancloud-realtime-4/dist/realtime.browser.js'),
};

/** Writes the files into a directory. */
export async function writePages(directory) {
  await mkdir(directory, { recursive: true });
  await copyFile(path.join(here, 'chat.js'), path.join(directory, 'chat.js'));
  for (const [sdk, build] of Object.entries(builds)) {
    await copyFile(build, path.join(directory, `${sdk}.js`));
    await writeFile(path.join(directory, `${sdk}.html`), page(sdk));
  }
}

/** Where a node serves an SDK's page. */
export const pageOf = (node, sdk) => `${node.http}/web/${sdk.name}.html`;
