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
				Msg: proto.String(`{"_lctype":-1}`), FromPeerId: proto.String("ann"), Timestamp: proto.Int64(1_600_000_000_000),
				Cid: proto.String("c1"), Id: proto.String("m1"), ConvType: proto.Int32(1),
			},
		},
		"LM060: an empty body": {
			m: state.Message{ID: "m1"}, preset: state.PresetRoom, flags: directFlags{transient: true},
			want: &leanpb.DirectCommand{
				Msg: proto.String(""), FromPeerId: proto.String(""), Timestamp: proto.Int64(0), Cid: proto.String("c1"), Id: proto.String("m1"),
				Transient: new(true), ConvType: proto.Int32(2),
			},
		},
		"LM062: bytes": {
			m:      state.Message{ID: "m1", From: "ann", Body: []byte{0, 0xff}, ContentType: ask.BinaryContent, Edited: 7},
			preset: state.PresetTemporary,
			want: &leanpb.DirectCommand{
				BinaryMsg: []byte{0, 0xff}, FromPeerId: proto.String("ann"), Timestamp: proto.Int64(0), Cid: proto.String("_tmp:c1"), Id: proto.String("m1"),
				PatchTimestamp: proto.Int64(7), ConvType: proto.Int32(4),
			},
		},
		"LM071: mentions, and replayed": {
			m:      state.Message{ID: "m1", From: "ann", Body: []byte("x"), Mentions: []wire.UserID{"ben", "eve"}, MentionAll: true},
			preset: state.PresetBasic, flags: directFlags{offline: true, hasMore: true},
			want: &leanpb.DirectCommand{
				Msg: proto.String("x"), FromPeerId: proto.String("ann"), Timestamp: proto.Int64(0), Cid: proto.String("c1"), Id: proto.String("m1"),
				Offline: proto.Bool(true), HasMore: proto.Bool(true), MentionPids: []string{"ben", "eve"}, MentionAll: proto.Bool(true), ConvType: proto.Int32(1),
			},
		},
		"LM072: recalled": {
			m:      state.Message{ID: "m1", From: "ann", Recalled: true, ContentType: ask.BinaryContent, Edited: 9},
			preset: state.PresetBasic,
			want: &leanpb.DirectCommand{
				Msg: proto.String(`{"_lctype":-127}`), FromPeerId: proto.String("ann"), Timestamp: proto.Int64(0), Cid: proto.String("c1"), Id: proto.String("m1"),
				PatchTimestamp: proto.Int64(9), ConvType: proto.Int32(1),
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
