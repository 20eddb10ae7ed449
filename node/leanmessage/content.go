package leanmessage

import (
	"encoding/base64"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// shownID is a conversation's id as clients know it.
func shownID(id wire.ConversationID, preset state.Preset) string {
	if service, isThread := state.ServiceOf(id); isThread {
		return string(service)
	}
	return leandoc.ShownID(id, preset)
}

// storedID is the id of what clients call cid. It may be no valid id: what stands
// behind services has no cid.
func storedID(cid string) wire.ConversationID {
	id, _ := leandoc.StoredID(cid)
	if _, isThread := state.ServiceOf(id); isThread || id == state.BroadcastLog {
		return ""
	}
	return id
}

// isTemporary tells whether a cid is that of a temporary conversation.
func isTemporary(cid string) bool { return strings.HasPrefix(cid, leandoc.TemporaryPrefix) }

// isBinary tells whether a message is shown as bytes.
func isBinary(m *state.Message) bool { return m.ContentType == ask.BinaryContent && !m.Recalled }

// textOf is what is shown of a message that is no bytes.
func textOf(m *state.Message) string {
	if m.Recalled {
		return ask.RecalledBody
	}
	return string(m.Body)
}

// directFlags are what a push of a message says beside the message.
type directFlags struct {
	transient bool
	offline   bool // the message is replayed
	hasMore   bool // and others will be
}

// directBytes is about what a message takes beside its body and its conversation.
const directBytes = 64

// encodeDirect is a DirectCommand: what leanpb would make, without making one,
// since a message is encoded for each conversation and sent to many sessions.
func encodeDirect(m *state.Message, cid string, preset state.Preset, flags directFlags) []byte {
	b := make([]byte, 0, directBytes+len(m.Body)+len(cid))
	if isBinary(m) {
		b = protowire.AppendTag(b, 19, protowire.BytesType)
		b = protowire.AppendBytes(b, m.Body)
	} else {
		b = appendText(b, 1, textOf(m))
	}
	b = appendText(b, 3, string(m.From))
	b = appendNumber(b, 4, uint64(m.Timestamp))
	b = appendFlag(b, 5, flags.offline)
	b = appendFlag(b, 6, flags.hasMore)
	b = appendText(b, 11, cid)
	b = appendText(b, 12, string(m.ID))
	b = appendFlag(b, 13, flags.transient)
	if m.Edited != 0 {
		b = appendNumber(b, 18, uint64(m.Edited))
	}
	for _, user := range m.Mentions {
		b = appendText(b, 20, string(user))
	}
	b = appendFlag(b, 21, m.MentionAll)
	return appendNumber(b, 22, uint64(shownKind(preset)))
}

// appendDirectPush appends all of a push of a message but whom it is to: its
// session's head says that.
func appendDirectPush(b []byte, direct []byte, serverTime int64) []byte {
	b = appendNumber(b, 1, uint64(leanpb.CommandType_direct))
	b = appendNumber(b, 8, serviceConversations)
	b = appendNumber(b, 9, uint64(serverTime))
	return protowire.AppendBytes(protowire.AppendTag(b, 104, protowire.BytesType), direct)
}

// appendPeer appends whom a push is to.
func appendPeer(b []byte, user wire.UserID) []byte { return appendText(b, 4, string(user)) }

func appendText(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendNumber(b []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

// appendFlag appends a flag that is set. One that is not is absent.
func appendFlag(b []byte, field protowire.Number, set bool) []byte {
	if !set {
		return b
	}
	return appendNumber(b, field, 1)
}

// logItem is a message of the history.
func logItem(m *ask.Message, preset state.Preset) *leanpb.LogItem {
	item := &leanpb.LogItem{
		From: new(string(m.From)), Timestamp: new(m.Timestamp), MsgId: new(string(m.ID)),
		MentionPids: names(m.Mentions), ConvType: new(int32(shownKind(preset))),
	}
	if isBinary(m.Message) {
		item.Data, item.Bin = new(base64.StdEncoding.EncodeToString(m.Body)), new(true)
	} else {
		item.Data = new(textOf(m.Message))
	}
	if m.MentionAll {
		item.MentionAll = new(true)
	}
	item.AckAt, item.ReadAt, item.PatchTimestamp = known(m.AckAt), known(m.ReadAt), known(m.Edited)
	return item
}

// known is a time that is absent unless it is known.
func known(millis int64) *int64 {
	if millis == 0 {
		return nil
	}
	return &millis
}

// names are users as the dialect writes them.
func names(users []wire.UserID) []string {
	if len(users) == 0 {
		return nil
	}
	out := make([]string, len(users))
	for i, u := range users {
		out[i] = string(u)
	}
	return out
}

// patchItem is a message as it was changed.
func patchItem(m *state.Message, cid string) *leanpb.PatchItem {
	item := &leanpb.PatchItem{
		Cid: new(cid), Mid: new(string(m.ID)), Timestamp: new(m.Timestamp), From: new(string(m.From)),
		PatchTimestamp: new(m.Edited), Recall: new(m.Recalled), MentionAll: new(m.MentionAll), MentionPids: names(m.Mentions),
	}
	if isBinary(m) {
		item.BinaryMsg = m.Body
	} else {
		item.Data = new(textOf(m))
	}
	return item
}

// unreadTuple is what is not read of a conversation, with its newest message.
func unreadTuple(s *ask.State, most int) *leanpb.UnreadTuple {
	n := int32(min(s.Unread, uint64(most)))
	tuple := &leanpb.UnreadTuple{
		Cid: new(shownID(s.Conversation, s.Preset)), Unread: &n,
		Mentioned: new(s.Mentioned && n > 0), ConvType: new(int32(shownKind(s.Preset))),
	}
	m := s.Newest
	if m == nil {
		return tuple
	}
	tuple.Mid, tuple.Timestamp, tuple.From = new(string(m.ID)), new(m.Timestamp), new(string(m.From))
	tuple.PatchTimestamp = known(m.Edited)
	if isBinary(m) {
		tuple.BinaryMsg = m.Body
	} else {
		tuple.Data = new(textOf(m))
	}
	return tuple
}
