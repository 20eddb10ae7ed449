package leanmessage

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire/leanpb"
)

// FuzzCommands gives a session whatever clients may send, two commands after
// another. The door answers or closes the socket; it never panics, and never
// answers one i twice.
func FuzzCommands(f *testing.F) {
	seed := func(m *leanpb.GenericCommand) []byte {
		b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	d := New(nil, Options{})
	for o := range d.commands {
		m := &leanpb.GenericCommand{Cmd: o.cmd.Enum(), I: new(int32(1))}
		if o.op != 0 {
			m.Op = o.op.Enum()
		}
		f.Add(seed(m), []byte{})
		m.ConvMessage = &leanpb.ConvCommand{M: []string{"tom", "jerry"}, Attr: &leanpb.JsonObjectMessage{Data: new(`{"name":"x"}`)}}
		m.DirectMessage = &leanpb.DirectCommand{Cid: new("5a0000000000000000000000"), Msg: new("x")}
		m.LogsMessage = &leanpb.LogsCommand{Cid: new("5a0000000000000000000000"), L: new(int32(5))}
		m.PatchMessage = &leanpb.PatchCommand{Patches: []*leanpb.PatchItem{{Cid: new("5a0000000000000000000000"), Mid: new("m")}}}
		f.Add(seed(m), []byte{0x08, 0x0e, 0x28, 0x02})
	}
	f.Add([]byte{}, []byte{0x08, 0x00, 0x10, 0x01})
	w := newWorld(f, Options{}, "roles=on", "blacklist=on", "edit=on", "recall=on")
	f.Fuzz(func(t *testing.T, one, two []byte) {
		p := w.dialOf(t, transport.LeanProtobuf3)
		p.last = 1 << 20
		p.open("tom")
		want := map[int32]int{}
		for _, b := range [][]byte{one, two} {
			in := &leanpb.GenericCommand{}
			if len(b) <= transport.LeanCommandBytes && (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(b, in) == nil && in.I != nil {
				want[in.GetI()]++
			}
			select {
			case p.conn.in <- b:
			case <-p.conn.ended:
			}
		}
		p.drain(want)
		p.conn.cut()
		select {
		case <-p.served:
		case <-time.After(patience):
			panic("the door does not end a socket that is lost")
		}
		if w.door.faults.Swap(0) > 0 {
			t.Fatal("a command has panicked")
		}
	})
}

// drain reads until an echo or the end, and counts the replies.
func (p *peer) drain(want map[int32]int) {
	p.t.Helper()
	const last = -7
	echo, _ := proto.Marshal(&leanpb.GenericCommand{Cmd: leanpb.CommandType_echo.Enum(), I: new(int32(last))})
	select {
	case p.conn.in <- echo:
	case <-p.conn.ended:
	}
	for {
		select {
		case b := <-p.conn.out:
			m := &leanpb.GenericCommand{}
			if err := proto.Unmarshal(b, m); err != nil {
				p.t.Fatalf("the door writes %x: %v", b, err)
			}
			if m.I == nil {
				continue
			}
			if m.GetI() == last && want[last] == 0 {
				return
			}
			if want[m.GetI()]--; want[m.GetI()] < 0 {
				p.t.Fatalf("an answer to nothing, or a second one: %v", m)
			}
		case <-p.conn.ended:
			return
		case <-time.After(patience):
			panic("the door does not answer an echo")
		}
	}
}
