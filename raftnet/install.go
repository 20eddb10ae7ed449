package raftnet

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

// A snapshot goes as an announcement, which the other side accepts, and then as
// chunks with numbers, of which at most window are not yet taken by the other
// side's raft. What is lost is sent again from there on. The last chunk says
// that it is, so the sender need not know the size.
const (
	chunkBytes = 64 << 10
	window     = 8
)

// departure is a snapshot on its way to another node.
type departure struct {
	t    *Transport
	to   wire.NodeID
	id   uint64
	args *raft.InstallSnapshotRequest
	data io.Reader

	answered chan error
	moved    chan struct{} // progress changed; one hint is enough
	progress struct {
		sync.Mutex
		taken   uint64    // the next that raft there will take; 0 before the announcement was accepted
		arrived uint64    // the next that is missing there
		heard   time.Time // the last sign of life
		moved   time.Time // the last time that either grew
	}

	sent  uint64              // chunks sent at least once
	ended bool                // the last of them is the snapshot's last
	kept  [window]chunkBuffer // chunk n at n % window, until it is taken
}

type chunkBuffer struct {
	data  []byte
	state chunkState
}

// InstallSnapshot sends a snapshot and waits until it is installed.
func (t *Transport) InstallSnapshot(_ raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader,
) error {
	t.sawTerm(args.Term)
	d := &departure{
		t: t, to: wire.NodeID(target), args: args, data: data,
		answered: make(chan error, 1), // whoever takes the request must not wait for us
		moved:    make(chan struct{}, 1),
	}
	d.progress.heard = time.Now()
	d.progress.moved = d.progress.heard
	id, ok := t.pending.add(&request{
		to: d.to, answer: kindInstallAnswer, taken: d.note,
		decode: func(body []byte) (err error) {
			*resp = raft.InstallSnapshotResponse{}
			resp.Term, resp.Success, err = decodeYesNo(body)
			return err
		},
		done: func(err error) { d.answered <- err },
	})
	if !ok {
		return ErrClosed
	}
	d.id = id
	err := d.run()
	switch {
	case errors.Is(err, errAnswered):
		return <-d.answered
	case t.pending.take(id) == nil:
		return <-d.answered // it is being answered now
	}
	d.send(chunk{number: d.sent + 1, state: chunkAbort})
	return fmt.Errorf("send snapshot at %d to %s: %w", args.LastLogIndex, d.to, err)
}

// errAnswered ends run when the answer has come.
var errAnswered = errors.New("raftnet: answered")

func (d *departure) note(taken, arrived uint64) {
	d.progress.Lock()
	d.progress.heard = time.Now()
	if taken > d.progress.taken || arrived > d.progress.arrived {
		d.progress.moved = d.progress.heard
	}
	d.progress.taken = max(d.progress.taken, taken)
	d.progress.arrived = max(d.progress.arrived, arrived)
	d.progress.Unlock()
	select {
	case d.moved <- struct{}{}:
	default:
	}
}

// taken returns the next chunk that raft there will take.
func (d *departure) taken() uint64 {
	d.progress.Lock()
	defer d.progress.Unlock()
	return d.progress.taken
}

// run sends until the answer has come or there is no hope of one.
func (d *departure) run() error {
	d.announce()
	tick := time.NewTicker(d.t.opts.Round / 9)
	defer tick.Stop()
	for {
		if err := d.advance(); err != nil {
			return err
		}
		select {
		case err := <-d.answered:
			d.answered <- err
			return errAnswered
		case <-d.moved:
		case now := <-tick.C:
			if err := d.repeat(now); err != nil {
				return err
			}
		}
	}
}

func (d *departure) announce() {
	_ = d.t.send(d.to, appendInstall(appendHead(nil, kindInstall, d.id), d.args), Now)
}

// advance sends new chunks as far as the window reaches.
func (d *departure) advance() error {
	taken := d.taken()
	for taken > 0 && !d.ended && d.sent+1 < taken+window {
		d.sent++
		k := &d.kept[d.sent%window]
		if k.data == nil {
			k.data = make([]byte, chunkBytes)
		}
		n, err := io.ReadFull(d.data, k.data[:chunkBytes])
		k.data, k.state = k.data[:n], chunkMore
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			k.state, d.ended = chunkLast, true
		case err != nil:
			return fmt.Errorf("read snapshot: %w", err)
		}
		d.send(chunk{number: d.sent, state: k.state, data: k.data})
	}
	return nil
}

// repeat sends again what seems to be lost; if nothing does, but the other side
// is silent, a chunk that it has, to hear that it lives.
func (d *departure) repeat(now time.Time) error {
	d.progress.Lock()
	taken, arrived := d.progress.taken, d.progress.arrived
	silent, stuck := now.Sub(d.progress.heard), now.Sub(d.progress.moved)
	d.progress.Unlock()
	round := d.t.opts.Round
	switch {
	case silent >= d.t.opts.InstallIdle:
		return fmt.Errorf("%w for %v", ErrNoAnswer, silent)
	case d.t.term.Load() > d.args.Term:
		return ErrStale
	case taken > 0 && arrived <= d.sent && stuck >= round/9:
		for n := arrived; n <= d.sent; n++ {
			d.t.counters.repeated.Add(1)
			k := d.kept[n%window]
			d.send(chunk{number: n, state: k.state, data: k.data})
		}
	case taken > 0 && silent >= round/3 && arrived > 1:
		d.send(chunk{number: arrived - 1})
	case taken == 0 && silent >= round/3:
		d.t.counters.repeated.Add(1)
		d.announce()
	}
	return nil
}

func (d *departure) send(c chunk) {
	b := make([]byte, 0, headBytes+len(c.data)+16)
	_ = d.t.send(d.to, appendChunk(appendHead(b, kindChunk, d.id), c), Now)
}

// chunkTaken tells a departure how far it has come.
func (t *Transport) chunkTaken(from wire.NodeID, id uint64, body []byte) error {
	taken, arrived, err := decodeTaken(body)
	if err != nil {
		return err
	}
	if r := t.pending.get(id, from); r != nil && r.taken != nil {
		r.taken(taken, arrived)
		return nil
	}
	t.counters.late.Add(1)
	return nil
}
