package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/golden"
)

func TestLayoutOfTheLogStore(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{})
	defer closeStores(t, s)
	for _, shard := range []uint32{1, 0x01020304} {
		g, err := s.Group(shard)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(
			g.StoreLogs([]*raft.Log{
				{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: []byte("conf"), AppendedAt: time.Unix(1700000000, 0)},
				{Index: 2, Term: 300, Data: []byte("data"), Extensions: []byte("ext")},
				{Index: 3, Term: 300, Type: raft.LogNoop},
			}),
			g.SetUint64([]byte("CurrentTerm"), 300),
			vote(g, 300, "n1"),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	it, err := s.log.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for it.First(); it.Valid(); it.Next() {
		fmt.Fprintf(&rows, "%x = %x\n", it.Key(), it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "layout", rows.String())
}

func TestLayoutOfASnapshot(t *testing.T) {
	var lines strings.Builder
	for rest := stream(1, 3, 2); len(rest) > 0; rest = rest[min(len(rest), 32):] {
		fmt.Fprintf(&lines, "%x\n", rest[:min(len(rest), 32)])
	}
	golden.Check(t, "snapshot", lines.String())
}

// FuzzEntry reads an entry from whatever is on the disk.
func FuzzEntry(f *testing.F) {
	for _, l := range []*raft.Log{entry(1, 1), {Term: 300, Type: raft.LogNoop}, {Extensions: []byte("ext"), AppendedAt: time.Unix(1, 2)}} {
		f.Add(append(appendEntryHead(nil, l), l.Data...))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var l raft.Log
		if err := decodeEntry(7, value, &l); err != nil {
			if !errors.Is(err, errEntry) {
				t.Errorf("decodeEntry(%x) = %v, want %v", value, err, errEntry)
			}
			return
		}
		var again raft.Log
		if err := decodeEntry(7, append(appendEntryHead(nil, &l), l.Data...), &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, again); diff != "" {
			t.Errorf("read, written and read (-first +second):\n%s", diff)
		}
	})
}

// FuzzVote reads a vote from whatever is on the disk.
func FuzzVote(f *testing.F) {
	f.Add([]byte{voteForm, 0, 0, 0, 0, 0, 0, 0, 9, 'n', '1'})
	f.Add([]byte{voteForm})
	f.Fuzz(func(t *testing.T, value []byte) {
		inner := raft.NewInmemStore()
		if err := inner.Set([]byte(voteName), value); err != nil {
			t.Fatal(err)
		}
		if _, _, err := GuardVotes(inner).vote(); err != nil && !errors.Is(err, errVote) {
			t.Errorf("vote() of %x = %v, want %v", value, err, errVote)
		}
	})
}

// FuzzStream receives whatever a node may send as a snapshot, in parts of any
// size. What is accepted must be rows in order, within the range.
func FuzzStream(f *testing.F) {
	f.Add(stream(1, 3, 2), 7)
	f.Add(stream(1, 0, 2), 1)
	f.Add(stream(2, 3, 2)[:50], 1000)
	f.Fuzz(func(t *testing.T, b []byte, part int) {
		part = max(1, part)
		var last []byte
		d := newDecoder(streamHead{Index: 3, Term: 2, Range: toyRange(1)}, func(key, _ []byte) error {
			if last != nil && bytes.Compare(key, last) <= 0 || !toyRange(1).contains(key) {
				t.Errorf("row %x after %x", key, last)
			}
			last = append([]byte{}, key...)
			return nil
		})
		for len(b) > 0 {
			n := min(part, len(b))
			if err := d.write(b[:n]); err != nil {
				if !errors.Is(err, errStream) {
					t.Errorf("write = %v, want %v", err, errStream)
				}
				return
			}
			b = b[n:]
		}
		_ = d.close()
	})
}
