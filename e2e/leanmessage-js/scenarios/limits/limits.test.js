// An app as it is when it is new: every switch off, every bound as LeanCloud has it.
import { area, assert, ConversationMemberRole, Event, refused, says, scenario, text } from '../../lib/scenario.js';

area('an app that is new', () => {
  scenario('LM-72 LM-73 editing and recalling are off', async (world) => {
    const { devices: [tom], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const sent = await made.send(text(tom, 'for good'));
    await refused(4406, made.update(sent, text(tom, 'or not')));
    await refused(4407, made.recall(sent));
  });

  scenario('LM-44 LM-45 roles are off', async (world) => {
    const { devices: [, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await refused(4325, made.updateMemberRole(jerry.id, ConversationMemberRole.MANAGER));
    await assert.rejects(made.muteMembers([jerry.id]), (error) => typeof error.code === 'number');
  });

  scenario('LM-46 blacklists are off', async (world) => {
    const { devices: [, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await refused(4544, made.blockMembers([jerry.id]));
  });

  scenario('LM-101 a signature that nobody wants is not looked at', async (world) => {
    const nonsense = () => ({ signature: 'signature', timestamp: 1, nonce: 'nonce' });
    const tom = await world.open('tom', { signatureFactory: nonsense, conversationSignatureFactory: nonsense });
    const made = await tom.im.createConversation({ members: [world.id('jerry')] });
    await made.add([world.id('mary')]);
  });

  scenario('LM-13 who asks for more than 20 is answered for 20', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const many = Array.from({ length: 25 }, (_, i) => world.id(`m${i}`));
    assert.deepEqual(await tom.im.ping([jerry.id, ...many]), [jerry.id]);
    assert.deepEqual(await tom.im.ping([...many, jerry.id]), []);
  });

  scenario('LM-63 more than 60 messages in a minute are refused, and none is lost silently', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    let sent = 0;
    let refusal;
    const nodes = process.env.KILL ? world.nodes.length : 1; // each counts for itself, and who loses his goes on at another
    while (!refusal && sent < 60 * nodes + 10) {
      await made.send(text(tom, `number ${sent}`)).then(() => sent++, (error) => (refusal = error));
    }
    assert.equal(refusal?.code, 4116);
    assert.ok(sent >= 60 && sent <= 60 * nodes, `${sent} were taken`);
    await jerry.next(Event.MESSAGE, says(`number ${sent - 1}`));
    assert.equal((await jerrys.queryMessages({ limit: 100 })).length, Math.min(sent, 100));
  });

  scenario('LM-21 LM-40 501 members are too many', async (world) => {
    const tom = await world.open('tom');
    const others = (n, from = 0) => Array.from({ length: n }, (_, i) => `${i + from}-${tom.id}`);
    // A command is 5 KB at most, so they come in parts.
    const made = await tom.im.createConversation({ members: others(100), unique: false });
    for (let i = 100; i < 499; i += 100) await made.add(others(Math.min(100, 499 - i), i));
    assert.equal(await made.count(), 500);
    await refused(4304, made.add(['one-too-many']).then(({ failures }) => failures.length && Promise.reject(failures[0])));
    assert.equal(await made.count(), 500);
  });
});
