package leanmessage

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// TestAppendDirect compares the encoding by hand with the generated one.
func TestAppendDirect(t *testing.T) {
	for name, c := range map[string]struct {
		m      state.Message
		preset state.Preset
		flags  directFlags
		want   *leanpb.DirectCommand
	}{
		"text": {
			m:      state.Message{ID: "m1", From: "ann", Timestamp: 1_600_000_000_000, Body: []byte(`{"_lctype":-1}`)},
			preset: state.PresetBasic,
			want: &leanpb.DirectCommand{
				Msg: new(`{"_lctype":-1}`), FromPeerId: new("ann"), Timestamp: new(int64(1_600_000_000_000)),
				Cid: new("c1"), Id: new("m1"), ConvType: proto.Int32(1),
			},
		},
		"LM060: an empty body": {
			m: state.Message{ID: "m1"}, preset: state.PresetRoom, flags: directFlags{transient: true},
			want: &leanpb.DirectCommand{
				Msg: new(""), FromPeerId: new(""), Timestamp: new(int64(0)), Cid: new("c1"), Id: new("m1"),
				Transient: new(true), ConvType: proto.Int32(2),
			},
		},
		"LM062: bytes": {
			m:      state.Message{ID: "m1", From: "ann", Body: []byte{0, 0xff}, ContentType: ask.BinaryContent, Edited: 7},
			preset: state.PresetTemporary,
			want: &leanpb.DirectCommand{
				BinaryMsg: []byte{0, 0xff}, FromPeerId: new("ann"), Timestamp: new(int64(0)), Cid: new("_tmp:c1"), Id: new("m1"),
				PatchTimestamp: new(int64(7)), ConvType: proto.Int32(4),
			},
		},
		"LM071: mentions, and replayed": {
			m:      state.Message{ID: "m1", From: "ann", Body: []byte("x"), Mentions: []wire.UserID{"ben", "eve"}, MentionAll: true},
			preset: state.PresetBasic, flags: directFlags{offline: true, hasMore: true},
			want: &leanpb.DirectCommand{
				Msg: new("x"), FromPeerId: new("ann"), Timestamp: new(int64(0)), Cid: new("c1"), Id: new("m1"),
				Offline: new(true), HasMore: new(true), MentionPids: []string{"ben", "eve"}, MentionAll: new(true), ConvType: proto.Int32(1),
			},
		},
		"LM072: recalled": {
			m:      state.Message{ID: "m1", From: "ann", Recalled: true, ContentType: ask.BinaryContent, Edited: 9},
			preset: state.PresetBasic,
			want: &leanpb.DirectCommand{
				Msg: new(`{"_lctype":-127}`), FromPeerId: new("ann"), Timestamp: new(int64(0)), Cid: new("c1"), Id: new("m1"),
				PatchTimestamp: new(int64(9)), ConvType: proto.Int32(1),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := &leanpb.DirectCommand{}
			if err := proto.Unmarshal(encodeDirect(&c.m, shownID("c1", c.preset), c.preset, c.flags), got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestIDsOfTemporaryConversations(t *testing.T) {
	if got := storedID("_tmp:c1"); got != "c1" || !isTemporary("_tmp:c1") || isTemporary("c1") {
		t.Errorf("_tmp:c1 is stored as %q", got)
	}
	if got := storedID("c1"); got != "c1" {
		t.Errorf("c1 is stored as %q", got)
	}
}
