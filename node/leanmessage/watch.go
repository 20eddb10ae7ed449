package leanmessage

import (
	"context"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// checkPause is between two questions about a session that got no answer.
const checkPause = 500 * time.Millisecond

// kicked ends a session that was logged out by its app.
func kicked(c *client, _ *tail.Batch, e *state.Entry) []outgoing {
	now := c.now()
	switch {
	case e.Device != "" && e.Device != now.device:
	case e.Device == "" && e.Until <= now.validAfter: // before the session opened
	default:
		c.run(func(context.Context) { watch{c}.expel(CodeKickedByApp, e.Reason) })
	}
	return nil
}

// tagTaken ends a session whose tag a later login has. A client that comes back
// before its old socket was found dead is not told of itself.
func tagTaken(c *client, _ *tail.Batch, e *state.Entry) []outgoing {
	if c.tag == "" || e.Tag != c.tag {
		return nil
	}
	c.run(func(ctx context.Context) {
		// It may be the session's own login, of which the answer is still on its way.
		if now := c.now(); e.Login > now.login {
			watch{c}.check(ctx)
		}
	})
	return nil
}

// watch is a session that looks after itself.
type watch struct{ *client }

// doubt has it look whether it may still be, and holds its tag.
func (c watch) doubt() { c.run(c.check) }

// lostTag ends a session whose tag is a device's now.
func (c watch) lostTag(device string) {
	if own := c.now().device; device != "" && device == own {
		c.finish(false)
		return
	}
	c.expel(CodeSessionConflict, Reason(CodeSessionConflict))
}

// expel ends a session and tells its client why. The socket stays, for others.
func (c watch) expel(code int, reason string) {
	m := c.pushOf(leanpb.CommandType_session, leanpb.OpType_closed)
	m.SessionMessage = &leanpb.SessionCommand{Code: new(int32(code)), Reason: new(reason)}
	c.out.sendLast(c.socket, pushed(m))
	c.finish(false)
}

// check asks the user's shard whether the session may still be and holds its
// tag, until there is an answer or the session ends.
func (c watch) check(ctx context.Context) {
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
		held, err := heldBy(one, c.client)
		cancel()
		if err == nil {
			c.judge(ctx, held)
			return
		}
		_ = clock.Sleep(ctx, checkPause) // the loop ends with ctx
	}
}

func (c watch) judge(ctx context.Context, held *state.Sessions) {
	now := c.now()
	if held.ValidAfter > now.validAfter {
		c.expel(CodeKickedByApp, "")
		return
	}
	if c.tag == "" {
		return
	}
	holder, ok := ask.Holder(held, c.tag)
	switch {
	case !ok:
		// This node was taken for dead, and its sessions for lost: it takes the tag
		// back, from nobody.
		if err := takeTag(ctx, c.client, credentials{tag: c.tag, device: now.device, reconnect: true}); err != nil {
			c.expel(CodeSessionConflict, Reason(CodeSessionConflict))
		}
	case holder.Session != c.name:
		c.lostTag(holder.Device)
	}
}
