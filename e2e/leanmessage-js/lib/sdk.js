// The two published versions of the SDK, behind what differs between them.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const initTypedMessages = require('leancloud-realtime-plugin-typed-messages');
const AV = require('leancloud-storage');

// The plugin makes files of it, and it does nothing before it has an app.
AV.init({ appId: 'files-are-elsewhere', appKey: 'files', serverURL: 'http://127.0.0.1:1' });

const path5 = require.resolve('leancloud-realtime');
const IM4 = require('leancloud-realtime-4');

/** A copy of version 5 of its own: one copy makes one Realtime for an app. */
function load5() {
  delete require.cache[path5];
  const copy = require(path5);
  delete require.cache[path5];
  return copy;
}

export const { Event, ErrorCode, MessagePriority, MessageQueryDirection, MessageStatus, ConversationMemberRole } = load5();
export { AV };

export const versions = {
  JS5: {
    name: 'JS5',
    load: load5,
    // The URL with its scheme is used as it stands.
    server: (http) => http,
  },
  JS4: {
    name: 'JS4',
    load: () => IM4,
    // A host, and always https; only the socket may be without TLS.
    server: (_, secure) => secure,
  },
};

const plugins = new WeakMap();

/** The typed-messages plugin for a copy of the SDK. */
export function typedMessages(IM) {
  if (!plugins.has(IM)) plugins.set(IM, initTypedMessages(AV, IM));
  return plugins.get(IM);
}
