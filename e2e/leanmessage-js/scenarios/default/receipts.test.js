// LM-67 to LM-69: receipts.
import { area, assert, Event, says, scenario, text, until } from '../../lib/scenario.js';

area('receipts', () => {
  scenario('LM-67 LM-68 a receipt of delivery', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    tom.listen(made);
    const sent = await made.send(text(tom, 'got it?'), { receipt: true });
    await jerry.next(Event.MESSAGE, says('got it?'));
    await tom.next(Event.LAST_DELIVERED_AT_UPDATE);
    assert.ok(made.lastDeliveredAt >= sent.timestamp);
    assert.equal(sent.status, tom.IM.MessageStatus.DELIVERED);
    assert.ok(sent.deliveredAt >= sent.timestamp);
    assert.equal(made.lastReadAt ?? null, null);
  }, { fleeting: true });

  scenario('LM-67 LM-68 a receipt of reading', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    tom.listen(made);
    const first = await made.send(text(tom, 'read it?'), { receipt: true });
    const second = await made.send(text(tom, 'and this?'), { receipt: true });
    await jerry.next(Event.MESSAGE, says('and this?'));
    await jerrys.read();
    await tom.next(Event.LAST_READ_AT_UPDATE, () => made.lastReadAt >= second.timestamp);
    assert.ok(made.lastReadAt > first.timestamp);
    const [stored] = await made.queryMessages();
    assert.ok(stored.deliveredAt instanceof Date);
  }, { fleeting: true });

  scenario('LM-68 both marks can be asked for', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const sent = await made.send(text(tom, 'well?'), { receipt: true });
    await jerry.next(Event.MESSAGE, says('well?'));
    await jerrys.read();
    const tablet = await world.open('tom');
    const there = await tablet.im.getConversation(made.id);
    await until('it is delivered and read', async () => {
      await there.fetchReceiptTimestamps();
      return there.lastDeliveredAt >= sent.timestamp && there.lastReadAt >= sent.timestamp;
    });
  }, { fleeting: true });

  scenario('LM-67 without asking there is none', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    tom.listen(made);
    await made.send(text(tom, 'no receipt'));
    await jerry.next(Event.MESSAGE, says('no receipt'));
    const sent = await made.send(text(tom, 'receipt'), { receipt: true });
    await jerry.next(Event.MESSAGE, says('receipt'));
    await tom.next(Event.LAST_DELIVERED_AT_UPDATE, () => made.lastDeliveredAt >= sent.timestamp);
    assert.equal(tom.all(Event.LAST_DELIVERED_AT_UPDATE).length, 1);
  }, { fleeting: true });

  scenario('LM-67 with a third member there is none', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry', 'mary']);
    tom.listen(made);
    await made.send(text(tom, 'anyone?'), { receipt: true });
    await jerry.next(Event.MESSAGE, says('anyone?'));
    await mary.next(Event.MESSAGE, says('anyone?'));
    await jerrys.read();
    // Jerry's ack and read come within a second each; a pair's receipts pass by meanwhile.
    const pair = await tom.im.createConversation({ members: [jerry.id], unique: false });
    const watched = tom.listen(pair);
    await watched.send(text(tom, 'just us'), { receipt: true });
    const [, jerrysPair] = await jerry.next(Event.MESSAGE, says('just us'));
    await tom.next(Event.LAST_DELIVERED_AT_UPDATE);
    await jerrysPair.read();
    await tom.next(Event.LAST_READ_AT_UPDATE);
    assert.equal(tom.all(Event.LAST_DELIVERED_AT_UPDATE).length, 1);
    assert.equal(tom.all(Event.LAST_READ_AT_UPDATE).length, 1);
  }, { fleeting: true });

  scenario('LM-69 who is in the mode of old, with offline messages pushed, sends no read receipts', async (world) => {
    const tom = await world.open('tom');
    const jerry = await world.open('jerry', { at: { pushOfflineMessages: true } });
    const made = await tom.im.createConversation({ members: [jerry.id], unique: false });
    tom.listen(made);
    await made.send(text(tom, 'old mode'), { receipt: true });
    await jerry.next(Event.MESSAGE, says('old mode'));
    await tom.next(Event.LAST_DELIVERED_AT_UPDATE);
    assert.deepEqual(tom.all(Event.LAST_READ_AT_UPDATE), []);
  }, { sdks: ['JS4'] });
});
