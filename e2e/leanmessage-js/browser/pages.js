// Serves the page, the SDK's browser builds and the chat to a browser.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';

const here = import.meta.dirname;
const modules = path.join(here, '../node_modules');
const page = (sdk) => `<!doctype html><meta charset="utf-8"><title>chat</title>
<script src="/${sdk}.js"></script>
<script type="module">
  import { Chat } from '/chat.js';
  window.chat = new Chat(window.AV);
</script>`;

const files = {
  '/JS5.js': path.join(modules, 'leancloud-realtime/dist/im-browser.js'),
  '/JS4.js': path.join(modules, 'leancloud-realtime-4/dist/realtime.browser.js'),
  '/chat.js': path.join(here, 'chat.js'),
};

/** Starts the server; its base URL. */
export async function servePages() {
  const server = http.createServer(async (request, response) => {
    const sdk = /^\/(JS[45])\.html$/.exec(request.url)?.[1];
    if (sdk) {
      response.setHeader('Content-Type', 'text/html').end(page(sdk));
    } else if (files[request.url]) {
      response.setHeader('Content-Type', 'text/javascript').end(await readFile(files[request.url]));
    } else {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, base: `http://127.0.0.1:${server.address().port}` };
}
