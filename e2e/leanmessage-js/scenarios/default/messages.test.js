// Section A5: messages, without receipts, wills and patches.
import { area, assert, AV, Event, patience, refused, says, scenario, text } from '../../lib/scenario.js';

area('messages', () => {
  scenario('LM-60 a message has an id and a time of the server, and its text as it was', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const words = 'not JSON: {"a" \u0000 é 漢字 🐭 \\ "';
    const sent = await made.send(new tom.IM.Message(words));
    assert.match(sent.id, /^[A-Za-z0-9_-]{22}$/);
    assert.equal(sent.status, tom.IM.MessageStatus.SENT);
    assert.ok(Math.abs(sent.timestamp - Date.now()) < 60_000);
    const [message, conversation] = await jerry.next(Event.MESSAGE, (m) => m.id === sent.id);
    assert.equal(message.content, words);
    assert.equal(message.from, tom.id);
    assert.equal(message.cid, made.id);
    assert.equal(Number(message.timestamp), Number(sent.timestamp));
    assert.equal(conversation.lastMessage.id, sent.id);
    await made.send(new tom.IM.Message(''));
    await jerry.next(Event.MESSAGE, (m) => m.content === '');
  });

  scenario('LM-60 a message of more than 5 KB is refused', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await made.send(new tom.IM.Message('x'.repeat(4_800)));
    await refused(4109, made.send(new tom.IM.Message('x'.repeat(6_000))));
    await jerry.next(Event.MESSAGE, (m) => m.content.length === 4_800);
  });

  scenario('LM-61 text with attributes', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await made.send(text(tom, 'with more').setAttributes({ mood: 'fine', n: 7, deep: { er: [1, 2] } }));
    const [message] = await jerry.next(Event.MESSAGE, says('with more'));
    assert.equal(message.type, -1);
    assert.deepEqual(message.getAttributes(), { mood: 'fine', n: 7, deep: { er: [1, 2] } });
  });

  scenario('LM-61 images, sound, film, files and places', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const file = AV.File.withURL('cheese.png', 'http://files.example/cheese.png', { width: 20, height: 10 });
    file.id = '5a00000000000000000000f1';
    for (const [kind, type] of [['ImageMessage', -2], ['AudioMessage', -3], ['VideoMessage', -4], ['FileMessage', -6]]) {
      await made.send(new tom.typed[kind](file).setText(kind));
      const [message] = await jerry.next(Event.MESSAGE, (m) => m.type === type);
      assert.ok(message instanceof jerry.typed[kind], kind);
      assert.equal(message.getText(), kind);
      assert.equal(message.getFile().url(), 'http://files.example/cheese.png');
      assert.equal(message.getFile().metaData().width, 20);
      assert.equal(message.getFile().name(), 'cheese.png');
    }
    await made.send(new tom.typed.LocationMessage(new AV.GeoPoint({ latitude: 31.25, longitude: -121.5 })));
    const [message] = await jerry.next(Event.MESSAGE, (m) => m.type === -5);
    assert.equal(message.getLocation().latitude, 31.25);
    assert.equal(message.getLocation().longitude, -121.5);
  });

  scenario('LM-61 an app\'s own types', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const declare = ({ IM }) => {
      class Operation extends IM.TypedMessage {
        constructor(op) {
          super();
          this.op = op;
        }
      }
      IM.messageType(7)(Operation);
      IM.messageField('op')(Operation);
      return Operation;
    };
    const [mine, theirs] = [declare(tom), declare(jerry)];
    tom.realtime.register(mine);
    jerry.realtime.register(theirs);
    await made.send(new mine('dance'));
    const [message] = await jerry.next(Event.MESSAGE, (m) => m.type === 7);
    assert.ok(message instanceof theirs);
    assert.equal(message.op, 'dance');
  });

  scenario('LM-62 binary messages', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    await made.send(new tom.IM.BinaryMessage(bytes.buffer));
    const [message] = await jerry.next(Event.MESSAGE, (m) => m instanceof jerry.IM.BinaryMessage);
    assert.deepEqual(new Uint8Array(message.buffer), bytes);
    const [stored] = await jerrys.queryMessages();
    assert.deepEqual(new Uint8Array(stored.buffer), bytes);
  });

  scenario('LM-63 LM-66 what is stored is heard once, on every device', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const tablet = await world.open('jerry');
    const words = Array.from({ length: 30 }, (_, i) => `number ${i}`);
    for (const w of words) await made.send(text(tom, w));
    for (const device of [jerry, tablet]) {
      for (const w of words) await device.next(Event.MESSAGE, says(w));
    }
    await made.send(text(tom, 'the end'));
    for (const device of [jerry, tablet]) {
      await device.next(Event.MESSAGE, says('the end'));
      assert.equal(new Set(device.all(Event.MESSAGE).map(([m]) => m.id)).size, words.length + 1);
      assert.equal(device.all(Event.MESSAGE).length, words.length + 1);
    }
    const history = await jerrys.queryMessages({ limit: 100 });
    assert.deepEqual(history.map((m) => m.text), [...words, 'the end']);
  });

  scenario('LM-64 LM-76 a transient message reaches who is there, and is not stored', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry', 'mary']);
    jerry.im.on(Event.MESSAGE, () => {});
    const typing = new tom.IM.TextMessage('typing…');
    const sent = await made.send(typing, { transient: true });
    assert.ok(sent.id);
    const [message] = await jerry.next(Event.MESSAGE, says('typing…'));
    assert.equal(message.from, tom.id);
    await made.send(text(tom, 'a stored one'));
    await jerry.next(Event.MESSAGE, says('a stored one'));
    assert.deepEqual((await jerrys.queryMessages()).map((m) => m.text), ['a stored one']);
    const late = await world.open('jerry');
    const [[conversation]] = await late.next(Event.UNREAD_MESSAGES_COUNT_UPDATE);
    assert.equal(conversation.unreadMessagesCount, 1);
  }, { fleeting: true });

  scenario('LM-65 all members and the history have one order', async (world) => {
    const { devices, rooms } = await world.chat(['tom', 'jerry', 'mary']);
    const [tom, jerry, mary] = devices;
    const count = 15;
    const talk = async (device, room) => {
      for (let i = 0; i < count; i++) await room.send(text(device, `${device.id} ${i}`));
    };
    await Promise.all([talk(tom, rooms[0]), talk(jerry, rooms[1])]);
    await rooms[0].send(text(tom, 'the end'));
    await mary.next(Event.MESSAGE, says('the end'));
    const history = (await rooms[2].queryMessages({ limit: 100 })).map((m) => m.text);
    assert.equal(history.length, 2 * count + 1);
    const inOrder = (device) => {
      const got = device.heard.filter((h) => h.event === Event.MESSAGE && !h.recovered).map((h) => h.args[0]);
      // Version 4 parses messages side by side, so a burst is not reported in the order in which it came.
      if (world.sdk.name === 'JS4') got.sort((a, b) => a.timestamp - b.timestamp || (a.id < b.id ? -1 : 1));
      return got.map((m) => m.text);
    };
    const marys = inOrder(mary);
    assert.deepEqual(marys, history.filter((w) => marys.includes(w)));
    await jerry.next(Event.MESSAGE, says('the end'));
    const jerrys = inOrder(jerry);
    assert.deepEqual(jerrys, history.filter((w) => jerrys.includes(w)));
    if (!process.env.KILL) assert.equal(marys.length, history.length);
    for (const who of [tom, jerry]) {
      const own = history.filter((w) => w.startsWith(who.id));
      assert.deepEqual(own, Array.from({ length: count }, (_, i) => `${who.id} ${i}`));
    }
  });

  scenario('LM-77 a message that is sent again is stored once', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const message = text(tom, 'once');
    const token = message.id;
    const first = await made.send(message);
    const { id, timestamp } = first;
    message.id = token; // as it is after a send without an answer
    const again = await made.send(message);
    assert.equal(again.id, id);
    assert.equal(Number(again.timestamp), Number(timestamp));
    await made.send(text(tom, 'a mark'));
    await jerry.next(Event.MESSAGE, says('a mark'));
    assert.equal(jerry.all(Event.MESSAGE, says('once')).length, 1);
    assert.deepEqual((await jerrys.queryMessages()).map((m) => m.text), ['once', 'a mark']);
  });

  scenario('LM-77 a send whose answer was lost, sent again after the reconnect, is stored once', async (world) => {
    const link = await world.link(0);
    const tom = await world.open('tom', { at: { link, node: 0 } });
    const jerry = await world.open('jerry', { at: { node: 1 } });
    const made = await tom.im.createConversation({ members: [jerry.id], unique: false });
    const message = text(tom, 'once');
    const sending = made.send(message).catch((error) => error);
    setImmediate(() => link.cut());
    await tom.next(Event.RECONNECT, undefined, Math.max(patience, 30_000));
    if (process.env.KILL) await sending; // sends again by itself
    else if (message.status !== tom.IM.MessageStatus.SENT) await Promise.race([sending, made.send(message)]);
    await made.send(text(tom, 'a mark'));
    await jerry.next(Event.MESSAGE, says('a mark'));
    const jerrys = await jerry.im.getConversation(made.id);
    assert.deepEqual((await jerrys.queryMessages()).map((m) => m.text), ['once', 'a mark']);
    assert.equal(jerry.all(Event.MESSAGE, says('once')).length, 1);
  });

  scenario('LM-78 content for push is taken, and counts into the size', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await made.send(text(tom, 'with push'), { pushData: { alert: 'You have a message', badge: 'Increment', _profile: 'dev' } });
    const [message] = await jerry.next(Event.MESSAGE, says('with push'));
    assert.equal(message.content.alert, undefined);
    await refused(4109, made.send(text(tom, 'too much'), { pushData: { alert: 'x'.repeat(6_000) } }));
  });

  scenario('LM-79 a sender\'s other devices have what it sends, and it has no echo', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const tablet = await world.open('tom');
    await made.send(text(tom, 'to all of mine'));
    const [message, conversation] = await tablet.next(Event.MESSAGE, says('to all of mine'));
    assert.equal(message.from, tom.id);
    assert.equal(conversation.unreadMessagesCount, 0);
    await jerry.next(Event.MESSAGE, says('to all of mine'));
    const there = await tablet.im.getConversation(made.id);
    await there.send(text(tablet, 'back'));
    await tom.next(Event.MESSAGE, says('back'));
    assert.deepEqual(tom.all(Event.MESSAGE, says('to all of mine')), []);
  });

  scenario('LM-71 mentions of some, and of all', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry', 'mary']);
    await made.send(text(tom, 'you').setMentionList([jerry.id]));
    const [mine] = await jerry.next(Event.MESSAGE, says('you'));
    assert.equal(mine.mentioned, true);
    assert.deepEqual(mine.getMentionList(), [jerry.id]);
    assert.equal(jerrys.unreadMessagesMentioned, true);
    const [hers] = await mary.next(Event.MESSAGE, says('you'));
    assert.equal(hers.mentioned, false);
    await made.send(text(tom, 'everybody').mentionAll());
    const [all] = await mary.next(Event.MESSAGE, says('everybody'));
    assert.equal(all.mentioned, true);
    assert.equal(all.mentionedAll, true);
    await jerry.next(Event.MESSAGE, says('everybody'));
    const history = await jerrys.queryMessages();
    assert.deepEqual(history.map((m) => [m.text, m.mentioned]), [['you', true], ['everybody', true]]);
  });
}, { lasting: true });
