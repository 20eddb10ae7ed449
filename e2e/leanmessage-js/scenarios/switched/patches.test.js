// LM-72 to LM-75: messages that are edited and recalled.
import { area, assert, Event, refused, says, scenario, text } from '../../lib/scenario.js';

area('patches', () => {
  scenario('LM-73 an edited message', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const tablet = await world.open('tom');
    await made.send(text(tom, 'before'));
    const sent = await made.send(text(tom, 'teh word'));
    await jerry.next(Event.MESSAGE, says('teh word'));
    const edited = await made.update(sent, text(tom, 'the word'));
    assert.equal(edited.id, sent.id);
    for (const device of [jerry, tablet]) {
      const [message, where, reason] = await device.next(Event.MESSAGE_UPDATE, (m) => m.id === sent.id);
      assert.equal(message.text, 'the word');
      assert.equal(message.from, tom.id);
      assert.equal(Number(message.timestamp), Number(sent.timestamp));
      assert.ok(message.updatedAt > message.timestamp);
      assert.equal(where.id, made.id);
      assert.equal(reason, undefined);
    }
    assert.equal(jerrys.lastMessage.text, 'the word');
    assert.equal(jerrys.unreadMessagesCount, 2);
    const history = await jerrys.queryMessages();
    assert.deepEqual(history.map((m) => m.text), ['before', 'the word']);
    assert.ok(history[1].updatedAt > history[1].timestamp);
    assert.deepEqual(tom.all(Event.MESSAGE_UPDATE), []);
  });

  scenario('LM-72 a recalled message', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const sent = await made.send(text(tom, 'a slip'));
    await jerry.next(Event.MESSAGE, says('a slip'));
    const recalled = await made.recall(sent);
    assert.ok(recalled instanceof tom.IM.RecalledMessage);
    const [message] = await jerry.next(Event.MESSAGE_RECALL, (m) => m.id === sent.id);
    assert.ok(message instanceof jerry.IM.RecalledMessage);
    assert.equal(message.type, -127);
    const [stored] = await jerrys.queryMessages();
    assert.equal(stored.id, sent.id);
    assert.equal(stored.type, -127);
    assert.equal(stored.text, undefined);
    assert.equal(Number(stored.timestamp), Number(sent.timestamp));
  });

  scenario('LM-72 LM-73 only who sent it, and only what is there', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const sent = await made.send(text(tom, 'mine'));
    await jerry.next(Event.MESSAGE, says('mine'));
    const pointer = { id: sent.id, timestamp: sent.timestamp };
    await refused(4403, jerrys.update(pointer, text(jerry, 'yours')));
    await refused(4403, jerrys.recall(pointer));
    await refused(4404, made.recall({ id: 'AAAAAAAAAAAAAAAAAAAAAA', timestamp: sent.timestamp }));
    await refused(4404, made.update({ id: sent.id, timestamp: Number(sent.timestamp) - 1 }, text(tom, 'when?')));
    assert.deepEqual((await jerrys.queryMessages()).map((m) => m.text), ['mine']);
  });

  scenario('LM-73 a pointer from the history will do, and mentions change too', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await made.send(text(tom, 'to nobody'));
    await jerry.next(Event.MESSAGE, says('to nobody'));
    const [stored] = await made.queryMessages();
    await made.update({ id: stored.id, timestamp: stored.timestamp }, text(tom, 'to jerry').setMentionList([jerry.id]));
    const [message] = await jerry.next(Event.MESSAGE_UPDATE);
    assert.equal(message.mentioned, true);
    assert.deepEqual(message.getMentionList(), [jerry.id]);
  });

  scenario('LM-75 a device that was away catches up', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const first = await made.send(text(tom, 'first'));
    const second = await made.send(text(tom, 'second'));
    await jerry.next(Event.MESSAGE, says('second'));
    jerry.realtime.pause();
    await jerry.next(Event.OFFLINE);
    await made.update(first, text(tom, 'first, edited'));
    await made.recall(second);
    jerry.realtime.resume();
    const [edited] = await jerry.next(Event.MESSAGE_UPDATE, (m) => m.id === first.id);
    assert.equal(edited.text, 'first, edited');
    await jerry.next(Event.MESSAGE_RECALL, (m) => m.id === second.id);
  });

  scenario('LM-73 LM-62 a binary message is edited', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const sent = await made.send(new tom.IM.BinaryMessage(Uint8Array.of(1, 2, 3).buffer));
    await jerry.next(Event.MESSAGE, (m) => m.id === sent.id);
    await made.update(sent, new tom.IM.BinaryMessage(Uint8Array.of(4, 5).buffer));
    await jerry.next(Event.MESSAGE_UPDATE, (m) => m.id === sent.id);
    const [stored] = await made.queryMessages();
    assert.deepEqual([...new Uint8Array(stored.buffer)], [4, 5]);
  });

  scenario('LM-74 LM-105 the server recalls and edits anybody\'s', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const sent = await made.send(text(tom, 'rude'));
    await jerry.next(Event.MESSAGE, says('rude'));
    const path = `/1.2/rtm/conversations/${made.id}/messages/${sent.id}`;
    const at = Number(sent.timestamp);
    await world.rest('PUT', path, { from_client: tom.id, timestamp: at, message: JSON.stringify({ _lctype: -1, _lctext: 'polite' }) });
    const [edited] = await jerry.next(Event.MESSAGE_UPDATE, (m) => m.id === sent.id);
    assert.equal(edited.text, 'polite');
    await world.rest('PUT', `${path}/recall`, { from_client: tom.id, timestamp: at });
    await jerry.next(Event.MESSAGE_RECALL, (m) => m.id === sent.id);
  });
}, { lasting: true });
