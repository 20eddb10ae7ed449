package leanmessage

import (
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// messageCommands are the commands about messages.
func messageCommands() map[op]command {
	return map[op]command{
		{cmd: leanpb.CommandType_direct}:                  {start: direct},
		{cmd: leanpb.CommandType_ack}:                     {start: acknowledge},
		{cmd: leanpb.CommandType_read}:                    {start: read},
		{cmd: leanpb.CommandType_logs}:                    {handle: logs, large: true},
		{leanpb.CommandType_logs, leanpb.OpType_open}:     {handle: logs, large: true}, // so say some clients
		{leanpb.CommandType_patch, leanpb.OpType_modify}:  {handle: modify},
		{leanpb.CommandType_conv, leanpb.OpType_max_read}: {handle: maxRead},
	}
}

// messageEntries are the pushes about messages.
func messageEntries() map[state.EntryKind]translator {
	return map[state.EntryKind]translator{
		state.EntryEdited:   pushPatch,
		state.EntryRecalled: pushPatch,

		state.EntryRoomEntered: roomChanged,
		state.EntryRoomLeft:    roomChanged,
	}
}

// messageCodes is what refusals are for commands about messages.
//
//nolint:gochecknoglobals // a lookup table
var messageCodes = codes{
	state.NotFound: CodeInvalidTarget, state.NotMember: CodeInvalidTarget, state.Gone: CodeInvalidTarget, state.Invalid: CodeInvalidTarget,
	state.Forbidden: CodeConvNotAllowed, state.Muted: CodeSilenced, state.MutedForNow: CodeConvBlacklisted, state.Banned: CodeConvBlacklisted,
	state.Blocked: CodeConvBlacklisted, state.Limit: CodeFrameTooLong, state.Backlogged: CodeSendQuotaExceeded,
}

// encodedBatch is what this door has made of a batch, for all its sessions: the
// pushes of entries but for whom they are to.
type encodedBatch map[wire.Offset][]byte

// sharedPush returns the part of an entry's push that all sessions share. It
// makes it once for a batch.
func sharedPush(b *tail.Batch, e *state.Entry, encode func() []byte) []byte {
	all, ok := b.Lean.(encodedBatch)
	if !ok {
		all = make(encodedBatch, len(b.Entries))
		b.Lean = all
	}
	body := all[e.Offset]
	if body == nil {
		body = encode()
		all[e.Offset] = body
	}
	return body
}

// pushMessage tells of a message, if it is for this session.
func pushMessage(c *client, b *tail.Batch, e *state.Entry, preset state.Preset) (outgoing, bool) {
	if e.Message == nil || e.Origin.Session == door.NoEcho && e.Message.From == c.user {
		return outgoing{}, false
	}
	body := sharedPush(b, e, func() []byte {
		m, cid, ok := shownMessage(b.Log.Conversation, preset, e.Message)
		if !ok {
			return nil
		}
		one := encodeDirect(m, cid, preset, directFlags{})
		return appendDirectPush(make([]byte, 0, len(one)+24), one, c.host().Millis())
	})
	return outgoing{head: c.peer, body: body}, body != nil
}

// transientPushes says what a session is pushed of a transient message.
func (c *client) transientPushes(t *tail.Transient) []outgoing {
	if c.causeOf(t.Origin) != 0 || t.Message == nil {
		return nil
	}
	body, ok := t.Lean.([]byte)
	if !ok {
		preset := c.presetOf(t.Log.Conversation)
		m, cid, ok := shownMessage(t.Log.Conversation, preset, t.Message)
		if !ok {
			return nil
		}
		one := encodeDirect(m, cid, preset, directFlags{transient: true})
		body = appendDirectPush(make([]byte, 0, len(one)+24), one, c.host().Millis())
		t.Lean = body
	}
	return []outgoing{{head: c.peer, body: body}}
}

// urgentQueues is how many times more than other pushes may wait for a client
// before urgent ones are dropped, too.
const urgentQueues = 4

// isCrowded tells whether more than so many times the usual bound waits.
func isCrowded(s *socket, times int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.q.unsent > times*s.door.opts.MaxQueueBytes
}
