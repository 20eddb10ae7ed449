// What an app does about lost connections: it calls again, and after a reconnect
// it reads what it missed. Only for runs in which nodes are killed; elsewhere a
// lost connection is a failure.

const clientCalls = ['createConversation', 'getConversation', 'getConversations', 'ping', '_executeQuery'];
const conversationCalls = [
  'send', 'update', 'recall', 'count', 'queryMessages', 'fetchReceiptTimestamps', 'save', 'fetch', 'mute', 'unmute',
  'add', 'remove', 'muteMembers', 'unmuteMembers', 'queryMutedMembers', 'blockMembers', 'unblockMembers',
  'queryBlockedMembers', 'getAllMemberInfo', 'updateMemberRole',
];

// Refusals that pass by themselves while a shard has no leader.
const passing = new Set([4200, 4300, 4301, 4310, 4311]);

/** A plugin that makes a device's calls again until they are answered. */
export function steadfast(device, patience) {
  const conversations = new Set();
  let last; // the device's client
  return {
    name: 'steadfast',
    onConversationCreate(conversation) {
      conversations.add(conversation);
      for (const name of conversationCalls) again(conversation, name, patience, () => last);
    },
    onIMClientCreate(client) {
      last = client;
      for (const name of clientCalls) again(client, name, patience, () => client);
      client.on('reconnect', () => {
        for (const conversation of conversations) catchUp(device, client, conversation).catch(() => {});
      });
    },
  };
}

/**
 * Makes a call again while it fails without an answer. The SDKs let a call wait
 * for its time to end when the connection is lost, so if they are told whose
 * connection it is, they need not.
 */
export async function insist(call, patience, client) {
  const until = Date.now() + patience;
  for (;;) {
    try {
      return await (client ? unlessLost(call, client) : call());
    } catch (error) {
      const answered = typeof error.code === 'number' && !passing.has(error.code);
      const ours = error instanceof TypeError || error.name === 'AssertionError';
      if (answered || ours || Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}

function unlessLost(call, client) {
  return new Promise((resolve, reject) => {
    const lost = () => reject(new Error('the connection is lost'));
    client.once('disconnect', lost);
    call()
      .then(resolve, reject)
      .finally(() => client.off('disconnect', lost));
  });
}

function again(object, name, patience, client) {
  const call = object[name];
  if (typeof call !== 'function') return;
  Object.defineProperty(object, name, {
    value: (...args) => insist(async () => call.apply(object, args), patience, client()),
    writable: true,
    configurable: true,
    enumerable: false,
  });
}

/** Reads a conversation's newest messages; the device hears those that are new to it. */
async function catchUp(device, client, conversation) {
  if (conversation.transient || conversation.system) return;
  const messages = await conversation.queryMessages({ limit: 100 });
  for (const message of messages) {
    const known = device.heard.some((h) => h.event === 'message' && h.args[0].id === message.id);
    if (!known && message.from !== client.id) device.hear({ event: 'message', args: [message, conversation], recovered: true });
  }
}
