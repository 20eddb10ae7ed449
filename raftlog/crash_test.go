package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

// TestPowerLoss pulls the plug after every append, apply, snapshot, truncation,
// vote and install: what was acknowledged must be there when the stores are
// opened again, and the log must lead on from the state.
func TestPowerLoss(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			if err := losePower(seed, faults{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestPowerLossIsNoticed plants faults that TestPowerLoss must notice.
func TestPowerLossIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults faults
		seeds  uint64 // within how many it must be noticed
	}{
		{"commits are not synced", faults{noSync: true}, 1},
		{"flushes do nothing", faults{noFlush: true}, 4},
		{"old entries are deleted when raft asks", faults{unclampedDelete: true}, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := range c.seeds {
				if err := losePower(seed, c.faults); err != nil {
					t.Logf("noticed with seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("not noticed with %d seeds", c.seeds)
		})
	}
}

// plug is a node with one shard, and a model of what it has promised.
type plug struct {
	*toy
	rng    *rand.Rand
	disk   *vfs.MemFS
	faults faults

	first, last uint64 // of the log
	log         map[uint64]*raft.Log
	state       map[string]string // without the record
	reached     uint64            // what the state has applied
	durable     uint64            // what it must not fall behind: an install
	term        uint64
	voteTerm    uint64
	vote        string
}

func losePower(seed uint64, m faults) (err error) {
	p := &plug{
		rng: rand.New(rand.NewPCG(seed, 1)), disk: vfs.NewCrashableMem(), faults: m,
		log: map[uint64]*raft.Log{}, state: map[string]string{}, term: 1,
	}
	if p.toy, err = p.open(p.disk); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stores.Close()) }()
	steps := map[int]func() error{
		0: p.appendSome, 1: p.appendSome, 2: p.applySome, 3: p.applySome, 4: p.snapshotNow,
		5: p.contradict, 6: p.voteForSomebody, 7: p.installNewer,
	}
	for step := range 30 {
		kind := p.rng.IntN(len(steps))
		if err := steps[kind](); err != nil {
			return fmt.Errorf("step %d, kind %d: %w", step, kind, err)
		}
		if err := p.cut(step%5 == 4); err != nil {
			return fmt.Errorf("power cut after step %d, kind %d: %w", step, kind, err)
		}
	}
	return nil
}

func (p *plug) open(disk vfs.FS) (*toy, error) {
	s, err := Open("d", disk, Options{MemTableBytes: 256 << 10, faults: p.faults, Fatal: func(error) {}})
	if err != nil {
		return nil, err
	}
	y, err := openToy(s, 1)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return y, nil
}

func (p *plug) appendSome() error {
	var logs []*raft.Log
	for range 1 + p.rng.IntN(4) {
		l := entry(p.last+uint64(len(logs))+1, p.term)
		if p.rng.IntN(3) == 0 {
			l = &raft.Log{Index: l.Index, Term: l.Term, Type: raft.LogNoop}
		}
		logs = append(logs, l)
	}
	for _, l := range logs {
		p.log[l.Index] = l
	}
	if p.first == 0 {
		p.first = logs[0].Index
	}
	p.last = logs[len(logs)-1].Index
	return p.group.StoreLogs(logs)
}

func (p *plug) applySome() error {
	upto := p.reached + uint64(p.rng.IntN(4))
	upto = min(upto, p.last)
	for i := p.reached + 1; i <= upto; i++ {
		if l := p.log[i]; l.Type == raft.LogCommand {
			p.state[string(toyRowKey(1, i))] = string(l.Data)
			p.reached = i
		}
	}
	return p.apply(upto)
}

// snapshotNow takes a snapshot where raft would: at what it has applied, which
// includes the noops that the state never hears of.
func (p *plug) snapshotNow() error {
	if p.reached == 0 || p.first == 0 {
		return nil
	}
	index := p.reached
	for index < p.last && p.log[index+1].Type == raft.LogNoop {
		index++
	}
	trailing := uint64(p.rng.IntN(3))
	if p.last <= trailing {
		return nil
	}
	if err := p.snapshot(index, p.term, min(index, p.last-trailing)); err != nil {
		return err
	}
	return p.adoptSpan()
}

// contradict replaces the end of the log, as a new leader does.
func (p *plug) contradict() error {
	from := p.reached + 1
	for from < p.first {
		from++
	}
	if p.last < from {
		return nil
	}
	from += uint64(p.rng.IntN(int(p.last-from) + 1))
	if err := p.group.DeleteRange(from, p.last); err != nil {
		return err
	}
	p.term++
	if err := p.adoptSpan(); err != nil {
		return err
	}
	if p.last == 0 {
		p.last = p.reached
		if floor := p.group.mu.floor.index; p.last != floor { // nothing else may follow
			p.last = floor
		}
	}
	return p.appendSome()
}

func (p *plug) voteForSomebody() error {
	p.term++
	p.voteTerm, p.vote = p.term, fmt.Sprintf("n%d", p.rng.IntN(3))
	return errors.Join(
		p.group.SetUint64([]byte("LastVoteTerm"), p.voteTerm),
		p.group.Set([]byte("LastVoteCand"), []byte(p.vote)),
	)
}

func (p *plug) installNewer() error {
	if p.rng.IntN(2) == 0 {
		return nil
	}
	p.term++
	index := p.reached + 1 + uint64(p.rng.IntN(8))
	if err := p.install(index, p.term); err != nil {
		return err
	}
	if p.rng.IntN(2) == 0 { // or the plug is pulled before raft clears the log
		first, _ := p.group.FirstIndex()
		if err := p.group.DeleteRange(first, p.last); err != nil {
			return err
		}
	}
	p.state, p.reached, p.durable = map[string]string{}, index, index
	for i := uint64(1); i <= index; i++ {
		p.state[string(toyRowKey(1, i))] = string(entry(i, p.term).Data)
	}
	p.first, p.last = 0, index
	if err := p.cut(false); err != nil {
		return err
	}
	if have, _ := p.group.LastIndex(); have > 0 {
		if err := p.group.DeleteRange(0, have); err != nil {
			return err
		}
	}
	return nil
}

// adoptSpan takes over what the log kept, after checking that it is no less
// than what was promised.
func (p *plug) adoptSpan() error {
	first, _ := p.group.FirstIndex()
	last, _ := p.group.LastIndex()
	if last != 0 && (first > p.reached+1 || last > p.last) {
		return fmt.Errorf("the log has %d to %d, with a state at %d", first, last, p.reached)
	}
	p.first, p.last = first, max(last, p.reached)
	if last == 0 {
		p.first = 0
	}
	return nil
}

// cut looks at what would be left after a power cut now, and goes on with that
// if asked to.
func (p *plug) cut(goOn bool) error {
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[p.rng.IntN(3)], RNG: p.rng}
	disk := p.disk.CrashClone(cfg)
	left, err := p.open(disk)
	if err != nil {
		return err
	}
	if err := p.check(left); err != nil {
		return errors.Join(err, left.stores.Close())
	}
	if !goOn {
		return left.stores.Close()
	}
	err = p.stores.Close()
	p.toy, p.disk = left, disk
	if first, _ := left.group.FirstIndex(); p.first != 0 && first != 0 {
		p.first = first // deletions that were not synced
	}
	return err
}

func (p *plug) check(left *toy) error {
	if err := p.checkLog(left); err != nil {
		return err
	}
	meta, _, err := left.snaps.readMeta(newest)
	if err != nil {
		return err
	}
	if meta.Index < p.durable || meta.Index > p.reached {
		return fmt.Errorf("the state has reached %d, want %d to %d", meta.Index, p.durable, p.reached)
	}
	want := maps.Clone(p.state)
	maps.DeleteFunc(want, func(key, _ string) bool { return binary.BigEndian.Uint64([]byte(key)[3:]) > meta.Index })
	if err := checkRows(left, want); err != nil {
		return fmt.Errorf("before the replay: %w", err)
	}
	if err := left.apply(p.reached); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if err := checkRows(left, p.state); err != nil {
		return fmt.Errorf("after the replay: %w", err)
	}
	term, err1 := left.group.GetUint64([]byte("LastVoteTerm"))
	vote, err2 := left.group.Get([]byte("LastVoteCand"))
	if term != p.voteTerm || string(vote) != p.vote || err1 != nil || err2 != nil {
		return fmt.Errorf("the vote is %q in %d (%w, %w), want %q in %d", vote, term, err1, err2, p.vote, p.voteTerm)
	}
	return nil
}

func (p *plug) checkLog(left *toy) error {
	if p.first == 0 {
		return nil
	}
	last, _ := left.group.LastIndex()
	if last != p.last {
		return fmt.Errorf("the last entry is %d, want %d", last, p.last)
	}
	for i := p.first; i <= p.last; i++ {
		var l raft.Log
		if err := left.group.GetLog(i, &l); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if diff := cmp.Diff(*p.log[i], l); diff != "" {
			return fmt.Errorf("entry %d (-want +got):\n%s", i, diff)
		}
	}
	return nil
}

func checkRows(y *toy, want map[string]string) error {
	got, err := y.rows()
	if err != nil {
		return err
	}
	delete(got, string(toyRecordKey(y.shard)))
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("the state (-want +got):\n%s", diff)
	}
	return nil
}
