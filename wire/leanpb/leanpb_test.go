package leanpb_test

import (
	"encoding/base64"
	"encoding/hex"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/wire/leanpb"
)

// vectors are frames as the library of the JavaScript clients encodes them.
func vectors() map[string]struct {
	hex  string
	want *leanpb.GenericCommand
} {
	return map[string]struct {
		hex  string
		want *leanpb.GenericCommand
	}{
		"session open": {
			"080010011a086170702d303030312203746f6d2801b20621220d6a732f352e302e302d72632e3828003a02643190018080babbc82e9801bb01",
			&leanpb.GenericCommand{
				Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_open.Enum(), AppId: new("app-0001"), PeerId: new("tom"), I: new(int32(1)),
				SessionMessage: &leanpb.SessionCommand{
					Ua: new("js/5.0.0-rc.8"), R: new(false), DeviceId: new("d1"), LastPatchTime: new(int64(1600000000000)), ConfigBitmap: new(int64(187)),
				},
			},
		},
		"session opened": {
			"080010052203746f6d28014002488180babbc82eb2060b5205544f4b454e5880a305",
			&leanpb.GenericCommand{
				Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_opened.Enum(), PeerId: new("tom"), I: new(int32(1)),
				Service: new(int32(2)), ServerTs: new(int64(1600000000001)),
				SessionMessage: &leanpb.SessionCommand{St: new("TOKEN"), StTtl: new(int32(86400))},
			},
		},
		"echo with a negative i": {
			"080e288180fcffffffffffff01",
			&leanpb.GenericCommand{Cmd: leanpb.CommandType_echo.Enum(), I: new(int32(-65535))},
		},
		"direct": {
			"08022803c2063f0a1d7b225f6c6374797065223a2d312c225f6c6374657874223a226869227d5a18356130303030303030303030303030303030303030303030720178a80100",
			&leanpb.GenericCommand{
				Cmd: leanpb.CommandType_direct.Enum(), I: new(int32(3)),
				DirectMessage: &leanpb.DirectCommand{
					Msg: new(`{"_lctype":-1,"_lctext":"hi"}`), Cid: new("5a0000000000000000000000"), Dt: new("x"), MentionAll: new(false),
				},
			},
		},
		"ack": {
			"08032203746f6d2803ca060b288280babbc82e32024d31",
			&leanpb.GenericCommand{
				Cmd: leanpb.CommandType_ack.Enum(), PeerId: new("tom"), I: new(int32(3)),
				AckMessage: &leanpb.AckCommand{T: new(int64(1600000000002)), Uid: new("M1")},
			},
		},
		"error": {
			"08072203746f6d2803ba061d08b1221218494e56414c49445f4d4553534147494e475f544152474554",
			&leanpb.GenericCommand{
				Cmd: leanpb.CommandType_error.Enum(), PeerId: new("tom"), I: new(int32(3)),
				ErrorMessage: &leanpb.ErrorCommand{Code: new(int32(4401)), Reason: new("INVALID_MESSAGING_TARGET")},
			},
		},
	}
}

func TestClientsFramesDecodeAndEncodeToTheSameBytes(t *testing.T) {
	for name, v := range vectors() {
		t.Run(name, func(t *testing.T) {
			frame, err := hex.DecodeString(v.hex)
			if err != nil {
				t.Fatal(err)
			}
			got := &leanpb.GenericCommand{}
			if err := proto.Unmarshal(frame, got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, v.want) {
				t.Errorf("decoded %v, want %v", got, v.want)
			}
			again, err := proto.MarshalOptions{Deterministic: true}.Marshal(v.want)
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(again) != v.hex {
				t.Errorf("encoded %x, want %s", again, v.hex)
			}
		})
	}
}

func TestEchoInBase64(t *testing.T) {
	frame, err := base64.StdEncoding.DecodeString("CA4ogYD8////////AQ==")
	if err != nil {
		t.Fatal(err)
	}
	got := &leanpb.GenericCommand{}
	if err := proto.Unmarshal(frame, got); err != nil || got.GetI() != -65535 {
		t.Errorf("decoded %v, %v; want the echo with i -65535", got, err)
	}
}

func TestStringsMayHoldAnyBytes(t *testing.T) {
	raw := string([]byte{0xff, 0x00, 0xc3, 0x28, 0x80})
	sent := &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_patch.Enum(), PatchMessage: &leanpb.PatchCommand{Patches: []*leanpb.PatchItem{{Data: &raw}}},
	}
	frame, err := proto.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	got := &leanpb.GenericCommand{}
	if err := proto.Unmarshal(frame, got); err != nil {
		t.Fatal(err)
	}
	if data := got.GetPatchMessage().GetPatches()[0].GetData(); data != raw {
		t.Errorf("decoded %x, want %x", data, raw)
	}
}

func TestAbsentIsNotZero(t *testing.T) {
	got := &leanpb.GenericCommand{}
	if err := proto.Unmarshal([]byte{0x08, 0x0e}, got); err != nil {
		t.Fatal(err)
	}
	if got.I != nil || got.Op != nil || got.Cmd == nil {
		t.Errorf("an echo without i has i %v, op %v, cmd %v", got.I, got.Op, got.Cmd)
	}
	if err := proto.Unmarshal([]byte{0x08, 0x0e, 0x28, 0x00}, got); err != nil {
		t.Fatal(err)
	}
	if got.I == nil || *got.I != 0 {
		t.Errorf("i is %v, want 0", got.I)
	}
}

func TestWhatIsNotKnownIsNoError(t *testing.T) {
	frame := []byte{0x08, 0x7f, 0x10, 0xe7, 0x07} // cmd 127, op 999
	frame = protowire.AppendTag(frame, 500, protowire.BytesType)
	frame = protowire.AppendBytes(frame, []byte("from a newer client"))
	frame = append(frame, 0x28, 0x07) // i 7
	got := &leanpb.GenericCommand{}
	if err := proto.Unmarshal(frame, got); err != nil {
		t.Fatal(err)
	}
	if got.GetI() != 7 {
		t.Errorf("i is %d, want 7", got.GetI())
	}
	again, err := proto.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != len(frame) {
		t.Errorf("%d bytes are left of %d: something was dropped", len(again), len(frame))
	}
}
