package leanmessage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// direct sends a message: one to be stored, a transient one, or a will. A refusal
// is an ack too, with a code.
func direct(ctx context.Context, c *client, in *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error)) {
	m := in.GetDirectMessage()
	if e := (sending{c}).checkDirect(m); e != nil {
		done(refusedAck(e), nil)
		return
	}
	switch {
	case m.GetWill():
		sending{c}.leaveWill(ctx, m, done)
	case m.GetTransient():
		sending{c}.signal(ctx, in, done)
	default:
		sending{c}.sendStored(ctx, m, done)
	}
}

// sending is a session that sends messages, and changes them.
type sending struct{ *client }

// checkDirect says what is wrong with a message before anything is asked.
func (c sending) checkDirect(m *leanpb.DirectCommand) *Error {
	if wire.ValidID(string(storedID(m.GetCid()))) != nil {
		return errorf(CodeInvalidTarget, "the conversation's id is none")
	}
	size := len(m.GetMsg()) + len(m.GetBinaryMsg()) + len(m.GetPushData())
	for _, p := range m.GetMentionPids() {
		size += len(p)
	}
	if most := c.tenant().settings.Limit.MessageBytes; size > most {
		return errorf(CodeFrameTooLong, "the message has %d bytes, want at most %d", size, most)
	}
	return nil
}

// content is a message's body and content type.
func content(m *leanpb.DirectCommand) (body []byte, contentType string) {
	if m.BinaryMsg != nil {
		return m.GetBinaryMsg(), ask.BinaryContent
	}
	return []byte(m.GetMsg()), ""
}

// mentioned are the users that a message mentions, without what is no user's id.
func mentioned(pids []string) []wire.UserID {
	var users []wire.UserID
	for _, p := range pids {
		if wire.ValidID(p) == nil {
			users = append(users, wire.UserID(p))
		}
	}
	return users
}

// sendStored sends a message to be stored.
func (c sending) sendStored(ctx context.Context, m *leanpb.DirectCommand, done func(*leanpb.GenericCommand, error)) {
	h := state.Header{App: c.app, Actor: c.user, Origin: c.origin(ctx), Token: state.Token{Random: resendToken(c.user, m.GetDt())}}
	cid := storedID(m.GetCid())
	send := &state.SendMessage{
		Conversation: services(c).within(cid), Mentions: mentioned(m.GetMentionPids()), MentionAll: m.GetMentionAll(), Receipt: m.GetR(),
	}
	send.Body, send.ContentType = content(m)
	answer := func(r state.Result, err error) {
		if e := messageError(m, r, err); e != nil {
			done(refusedAck(e), nil)
			return
		}
		c.feed.own(send.Conversation, r.Offset)
		done(ack(r.MessageID, r.Timestamp), nil)
	}
	c.host().Submit(h, send, func(r state.Result, err error) {
		if s := services(c); err == nil && s.mayBe(r.Refusal) {
			s.send(h, cid, send, r, answer)
			return
		}
		answer(r, err)
	})
}

// resendToken recognises a message that a client sends again. Without a dt it
// cannot be: the token is of this try alone.
func resendToken(user wire.UserID, dt string) string {
	if dt == "" {
		return rand.Text()
	}
	sum := sha256.Sum256([]byte(string(user) + "\x00" + dt))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// priorityHigh is the priority of messages that are told also to who is slow to
// read. A transient message has no receipts: there it is their mark that says so.
const priorityHigh = 1

// signal sends a message that is told to who is there, and forgotten.
func (c sending) signal(ctx context.Context, in *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error)) {
	m := in.GetDirectMessage()
	one := &state.Message{
		ID: newMessageID(), Imported: true, From: c.user, Timestamp: c.host().Millis(),
		Mentions: mentioned(m.GetMentionPids()), MentionAll: m.GetMentionAll(), Receipt: in.GetPriority() == priorityHigh,
	}
	one.Body, one.ContentType = content(m)
	c.host().Signal(door.Signal{
		App: c.app, Conversation: storedID(m.GetCid()), From: c.user, Origin: c.origin(ctx), Message: one,
	}, func(err error) {
		switch e := messageError(m, state.Result{}, err); {
		case !c.understands(bitTransientAck):
			done(nil, nil)
		case e != nil:
			done(refusedAck(e), nil)
		default:
			done(ack(one.ID, one.Timestamp), nil)
		}
	})
}

// leaveWill leaves the message that is sent when the user is lost. The last one
// that he leaves is it. The user's shard, which keeps it, does not know where he
// may speak, and nobody could tell him once it is sent: so the conversation's is
// asked first, while later wills wait for their turn.
func (c sending) leaveWill(ctx context.Context, m *leanpb.DirectCommand, done func(*leanpb.GenericCommand, error)) {
	before, left := c.will, make(chan struct{})
	c.will = left
	will := &state.SetWill{
		User: c.user, Session: c.name, Node: c.host().Place(), Conversation: storedID(m.GetCid()),
		ID: newMessageID(), Mentions: mentioned(m.GetMentionPids()), MentionAll: m.GetMentionAll(),
	}
	will.Body, will.ContentType = content(m)
	c.run(func(context.Context) {
		defer c.socket.mend(done)
		defer close(left)
		r, err := c.setWill(ctx, before, will)
		if e := messageError(m, r, err); e != nil {
			done(refusedAck(e), nil)
			return
		}
		c.change(func(s *session) { s.hasWill = true })
		done(ack(will.ID, r.Timestamp), nil)
	})
}

// setWill leaves a will after the one before, if the user may say it now.
func (c sending) setWill(ctx context.Context, before <-chan struct{}, will *state.SetWill) (state.Result, error) {
	if before != nil {
		select {
		case <-before:
		case <-ctx.Done():
			return state.Result{}, ctx.Err()
		}
	}
	_, err := c.host().Ask(ctx, c.app, c.user, string(will.Conversation), &ask.Request{Speak: &ask.Speak{Conversation: will.Conversation}})
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		return state.Result{Refusal: refused.Refusal, Text: refused.Text}, nil
	}
	if err != nil {
		return state.Result{}, err
	}
	if ctx.Err() != nil { // a will must not outlive the logout of who left it
		return state.Result{}, ctx.Err()
	}
	return c.host().Change(ctx, c.header(ctx), will)
}

// newMessageID makes an id for a message that has no place in a log.
func newMessageID() wire.MessageID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return wire.MessageID(base64.RawURLEncoding.EncodeToString(b[:]))
}

// messageError is why a message was not sent; nil: it was.
func messageError(m *leanpb.DirectCommand, r state.Result, err error) *Error {
	var e *Error
	switch {
	case err != nil:
		e = messageCodes.failed(err)
	case r.Refusal != state.None:
		e = messageCodes.refused(r.Refusal, r.Text)
	default:
		return nil
	}
	if e.Code == CodeInvalidTarget && isTemporary(m.GetCid()) && r.Refusal != state.NotMember && wire.CodeOf(err) != wire.CodeNotMember {
		e.Code = CodeTempConvExpired
	}
	return e
}

// ack says that a message was taken.
func ack(id wire.MessageID, millis int64) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_ack.Enum(), AckMessage: &leanpb.AckCommand{Uid: new(string(id)), T: new(millis)},
	}
}

// refusedAck says why it was not.
func refusedAck(e *Error) *leanpb.GenericCommand {
	m := &leanpb.AckCommand{Code: new(int32(e.Code)), Reason: new(e.reason()), AppCode: e.AppCode}
	if e.AppMsg != "" {
		m.AppMsg = new(e.AppMsg)
	}
	return &leanpb.GenericCommand{Cmd: leanpb.CommandType_ack.Enum(), AckMessage: m}
}
