package leanmessage

import (
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// receipts tells a sender who wants to know how far another member has got and
// read his messages: of each that was delivered, and of the last one that was
// read.
func (c progress) receipts(m tail.Cursor) []outgoing {
	var out []outgoing
	var read *state.Asked
	for i := range m.Asked {
		one := &m.Asked[i]
		switch {
		case one.From != c.user:
		case !one.Read:
			out = append(out, c.receipt(m, one))
		case read == nil || one.Seq > read.Seq:
			read = one
		}
	}
	if read != nil {
		out = append(out, c.receipt(m, read))
	}
	return out
}

// receipt is a push of one. What was delivered has no "read" at all: clients look
// whether it is there.
func (c progress) receipt(m tail.Cursor, one *state.Asked) outgoing {
	push := c.pushOf(leanpb.CommandType_rcp, 0)
	push.RcpMessage = &leanpb.RcpCommand{
		Id: new(string(one.ID)), Cid: new(shownID(m.Log.Conversation, c.presetOf(m.Log.Conversation))),
		From: new(string(m.User)), T: new(m.DeliveredStamp),
	}
	if one.Read {
		push.RcpMessage.T, push.RcpMessage.Read = new(m.ReadStamp), new(true)
	}
	return pushed(push)
}
