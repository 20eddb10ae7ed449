// LM-80 to LM-82: history.
import { area, assert, Event, MessageQueryDirection, refused, scenario, text } from '../../lib/scenario.js';

const { NEW_TO_OLD, OLD_TO_NEW } = MessageQueryDirection;

/** A conversation of ten messages, 0 to 9. */
async function talk(world, count = 10) {
  const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
  const sent = [];
  for (let i = 0; i < count; i++) sent.push(await made.send(text(tom, String(i))));
  const at = (i) => ({ startTime: sent[i].timestamp, startMessageId: sent[i].id });
  const to = (i) => ({ endTime: sent[i].timestamp, endMessageId: sent[i].id });
  const query = async (options) => (await jerrys.queryMessages(options)).map((m) => m.text).join(' ');
  return { tom, jerry, made, jerrys, sent, at, to, query };
}

area('history', () => {
  scenario('LM-80 all messages are stored', async (world) => {
    const { tom, sent, jerrys } = await talk(world, 3);
    const history = await jerrys.queryMessages();
    assert.deepEqual(history.map((m) => m.id), sent.map((m) => m.id));
    assert.deepEqual(history.map((m) => Number(m.timestamp)), sent.map((m) => Number(m.timestamp)));
    assert.ok(history.every((m) => m.from === tom.id && m.cid === jerrys.id));
  });

  scenario('LM-80 LM-82 pages, older and newer', async (world) => {
    const { at, query } = await talk(world);
    assert.equal(await query({ limit: 3 }), '7 8 9');
    assert.equal(await query({ limit: 3, ...at(7) }), '4 5 6');
    assert.equal(await query({ limit: 20, ...at(2) }), '0 1');
    assert.equal(await query({ limit: 3, direction: OLD_TO_NEW }), '0 1 2');
    assert.equal(await query({ limit: 3, direction: OLD_TO_NEW, ...at(2) }), '3 4 5');
    assert.equal(await query({ limit: 20, direction: OLD_TO_NEW, ...at(7) }), '8 9');
    assert.equal(await query({ limit: 3, direction: NEW_TO_OLD, ...at(9) }), '6 7 8');
    assert.equal(await query({ limit: 0 }), '');
  });

  scenario('LM-82 intervals, with open and closed ends', async (world) => {
    const { at, to, query } = await talk(world);
    assert.equal(await query({ ...at(2), ...to(6), direction: OLD_TO_NEW }), '3 4 5');
    assert.equal(await query({ ...at(2), ...to(6), startClosed: true, direction: OLD_TO_NEW }), '2 3 4 5');
    assert.equal(await query({ ...at(2), ...to(6), endClosed: true, direction: OLD_TO_NEW }), '3 4 5 6');
    assert.equal(await query({ ...at(2), ...to(6), startClosed: true, endClosed: true, direction: OLD_TO_NEW }), '2 3 4 5 6');
    assert.equal(await query({ ...at(6), ...to(2) }), '3 4 5');
    assert.equal(await query({ ...at(6), ...to(2), startClosed: true, endClosed: true }), '2 3 4 5 6');
    assert.equal(await query({ ...at(8), ...to(1), limit: 2 }), '6 7');
    assert.equal(await query({ ...at(1), ...to(8), limit: 2, direction: OLD_TO_NEW }), '2 3');
  });

  scenario('LM-82 by time alone', async (world) => {
    const { tom, made, jerrys } = await talk(world, 3);
    const before = new Date((await jerrys.queryMessages()).at(-1).timestamp.getTime() + 1);
    await new Promise((resolve) => setTimeout(resolve, 5)); // the next has a later millisecond than `before`
    await made.send(text(tom, 'late'));
    const older = await jerrys.queryMessages({ startTime: before });
    assert.deepEqual(older.map((m) => m.text), ['0', '1', '2']);
    const newer = await jerrys.queryMessages({ startTime: before, direction: OLD_TO_NEW });
    assert.deepEqual(newer.map((m) => m.text), ['late']);
  });

  scenario('LM-80 LM-82 the iterator goes through all of it', async (world) => {
    const { jerrys, sent } = await talk(world, 13);
    const pager = jerrys.createMessagesIterator({ limit: 5 });
    const pages = [];
    for (let page = await pager.next(); ; page = await pager.next()) {
      pages.unshift(page.value.map((m) => m.text));
      if (page.done) break;
    }
    assert.deepEqual(pages.map((p) => p.length), [3, 5, 5]);
    assert.deepEqual(pages.flat(), sent.map((_, i) => String(i)));
  });

  scenario('LM-82 messages of one millisecond are neither lost nor repeated', async (world) => {
    const { devices: [tom], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    for (let k = 0; k < 4; k++) {
      await Promise.all(Array.from({ length: 10 }, (_, i) => made.send(text(tom, `${k}/${i}`))));
    }
    const pager = jerrys.createMessagesIterator({ limit: 7 });
    const all = [];
    for (let page = await pager.next(); ; page = await pager.next()) {
      all.unshift(...page.value.map((m) => m.text));
      if (page.done) break;
    }
    assert.equal(all.length, 40);
    assert.equal(new Set(all).size, 40);
  });

  scenario('LM-82 by type', async (world) => {
    const { devices: [tom], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    for (let i = 0; i < 3; i++) {
      await made.send(text(tom, `text ${i}`));
      await made.send(new tom.IM.Message(`plain ${i}`));
      await made.send(new tom.IM.Message(JSON.stringify({ _lctype: 3, n: i })));
    }
    const texts = await jerrys.queryMessages({ type: -1 });
    assert.deepEqual(texts.map((m) => m.text), ['text 0', 'text 1', 'text 2']);
    const own = await jerrys.queryMessages({ type: 3, limit: 2 });
    assert.equal(own.length, 2);
    assert.deepEqual(await jerrys.queryMessages({ type: 9 }), []);
  });

  scenario('LM-82 a page has 20 messages unless it wants more, and 100 at most', async (world) => {
    const { devices: [tom], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    for (let i = 0; i < 105; i += 15) {
      await Promise.all(Array.from({ length: 15 }, (_, k) => made.send(text(tom, `${i + k}`))));
    }
    assert.equal((await jerrys.queryMessages()).length, 20);
    assert.equal((await jerrys.queryMessages({ limit: 100 })).length, 100);
  });

  scenario('LM-81 only members read the history', async (world) => {
    const { made, jerrys } = await talk(world, 2);
    const mary = await world.open('mary');
    const seen = await mary.im.getConversation(made.id);
    await refused(4312, seen.queryMessages());
    await jerrys.quit();
    await refused(4312, jerrys.queryMessages());
  });

  scenario('LM-81 anybody reads the history of a chat room', async (world) => {
    const tom = await world.open('tom');
    const room = await tom.im.createChatRoom({ name: 'open' });
    await room.send(text(tom, 'hello'));
    const mary = await world.open('mary');
    const seen = await mary.im.getConversation(room.id);
    assert.deepEqual((await seen.queryMessages()).map((m) => m.text), ['hello']);
    assert.deepEqual(mary.all(Event.MESSAGE), []);
  });

  scenario('LM-80 LM-105 the REST API reads the same', async (world) => {
    const { made, sent } = await talk(world, 5);
    const path = `/1.2/rtm/conversations/${made.id}/messages`;
    const newest = await world.rest('GET', `${path}?limit=2`);
    assert.deepEqual(newest.map((m) => m['msg-id']), [sent[4].id, sent[3].id]);
    const oldest = await world.rest('GET', `${path}?limit=2&reversed=true`);
    assert.deepEqual(oldest.map((m) => m['msg-id']), [sent[0].id, sent[1].id]);
    assert.equal(oldest[0]['conv-id'], made.id);
    assert.equal(oldest[0].timestamp, Number(sent[0].timestamp));
    assert.equal(JSON.parse(oldest[0].data)._lctext, '0');
  });
}, { lasting: true });
