package shard_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// list is a machine that keeps a list of strings. A command is "token text";
// one whose token is there already changes nothing and gets the first answer.
type list struct {
	mu     sync.Mutex
	record state.Record
	items  []string
	seqs   map[string]wire.Seq
	stamps []int64
	delay  time.Duration // of an Apply, of the bubble's clock
	block  chan struct{} // while not nil, Apply waits for it to be closed
	broken string        // a command that this version does not know
}

func newList() *list { return &list{seqs: make(map[string]wire.Seq)} }

func (l *list) Apply(entries []state.LogEntry) ([][]state.Result, error) {
	l.wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	results := make([][]state.Result, len(entries))
	for i, e := range entries {
		if e.Index <= l.record.Applied {
			continue
		}
		if e.Configuration {
			l.record.Configuration, l.record.ConfigurationIndex = e.Data, e.Index
		} else {
			stamp, cmds, err := state.DecodeEntry(e.Data)
			if err != nil {
				return nil, err
			}
			l.record.Stamp = max(l.record.Stamp, stamp)
			l.stamps = append(l.stamps, stamp)
			for _, cmd := range cmds {
				result, err := l.command(string(cmd))
				if err != nil {
					return nil, err
				}
				results[i] = append(results[i], result)
			}
		}
		l.record.Applied, l.record.Term = e.Index, e.Term
		l.record.Chain = chain(l.record.Chain, e)
	}
	return results, nil
}

func (l *list) wait() {
	l.mu.Lock()
	delay, block := l.delay, l.block
	l.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	if block != nil {
		<-block
	}
}

func (l *list) command(cmd string) (state.Result, error) {
	if l.broken != "" && cmd == l.broken {
		return state.Result{}, fmt.Errorf("unknown command %q", cmd)
	}
	token, _, _ := strings.Cut(cmd, " ")
	if seq, ok := l.seqs[token]; ok {
		return state.Result{Seq: seq, Again: true}, nil
	}
	l.items = append(l.items, cmd)
	l.seqs[token] = wire.Seq(len(l.items))
	return state.Result{Seq: wire.Seq(len(l.items))}, nil
}

func chain(before uint64, e state.LogEntry) uint64 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.BigEndian, before)
	_ = binary.Write(h, binary.BigEndian, e.Index)
	_, _ = h.Write(e.Data)
	return h.Sum64()
}

func (l *list) Record() state.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record
}

func (l *list) Settle() error { return nil }
func (l *list) Reload() error { return nil }

func (l *list) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.items...)
}

// dump and load are the list's rows as a snapshot carries them.
func (l *list) dump() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := state.AppendRecord(nil, l.record)
	b := binary.AppendUvarint(nil, uint64(len(head)))
	b = append(b, head...)
	return append(b, strings.Join(l.items, "\n")...)
}

func (l *list) load(b []byte) error {
	size, n := binary.Uvarint(b)
	record, err := state.DecodeRecord(b[n : n+int(size)])
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record, l.items, l.seqs = record, nil, make(map[string]wire.Seq)
	for item := range strings.SplitSeq(string(b[n+int(size):]), "\n") {
		l.items = append(l.items, item)
		token, _, _ := strings.Cut(item, " ")
		l.seqs[token] = wire.Seq(len(l.items))
	}
	return nil
}

// log is raft's log in memory, monotonic as ours is.
type log struct{ *raft.InmemStore }

func (log) IsMonotonic() bool { return true }

// snapshots is a snapshot store that holds no data: the list is the snapshot.
type snapshots struct {
	list *list

	mu       sync.Mutex
	received map[string][]byte
	installs int
}

func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, _ raft.Configuration, _ uint64, _ raft.Transport) (raft.SnapshotSink, error) { //nolint:revive // raft's interface
	return &sink{store: s, id: fmt.Sprintf("received-%d-%d", term, index)}, nil
}

func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	if meta := s.meta(); meta.Index > 0 {
		return []*raft.SnapshotMeta{meta}, nil
	}
	return nil, nil
}

func (s *snapshots) meta() *raft.SnapshotMeta {
	at := s.list.Record()
	meta := &raft.SnapshotMeta{Version: 1, ID: "live", Index: at.Applied, Term: at.Term, ConfigurationIndex: at.ConfigurationIndex}
	if len(at.Configuration) > 0 {
		meta.Configuration = raft.DecodeConfiguration(at.Configuration)
	}
	return meta
}

func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta := s.meta()
	if id == "live" {
		rows := s.list.dump()
		meta.Size = int64(len(rows))
		return meta, io.NopCloser(bytes.NewReader(rows)), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, ok := s.received[id]
	if !ok {
		return nil, nil, errors.New("no such snapshot")
	}
	return meta, &received{store: s, rows: rows}, nil
}

type sink struct {
	store *snapshots
	id    string
	rows  bytes.Buffer
}

func (s *sink) Write(b []byte) (int, error) { return s.rows.Write(b) }
func (s *sink) ID() string                  { return s.id }
func (s *sink) Cancel() error               { return nil }

func (s *sink) Close() error {
	if s.rows.Len() == 0 {
		return nil
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.received = map[string][]byte{s.id: s.rows.Bytes()}
	return nil
}

type received struct {
	store *snapshots
	rows  []byte
}

func (r *received) Read([]byte) (int, error) { return 0, io.EOF }
func (r *received) Close() error             { return nil }

func (r *received) Install() error {
	r.store.mu.Lock()
	r.store.installs++
	r.store.mu.Unlock()
	return r.store.list.load(r.rows)
}

// link is a node's end of the network. What is not pipelined takes a delay to
// get to the other side; after, if set, runs when an answer has arrived.
type link struct {
	*raft.InmemTransport

	mu    sync.Mutex
	delay time.Duration
	after func(to raft.ServerID, args *raft.AppendEntriesRequest)
}

func (l *link) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	l.mu.Lock()
	delay, after := l.delay, l.after
	l.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	cutCommit(args)
	if err := l.InmemTransport.AppendEntries(id, target, args, resp); err != nil {
		return err
	}
	if after != nil {
		after(id, args)
	}
	return nil
}

// AppendEntriesPipeline is raft's, with the guard of cutCommit.
func (l *link) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := l.InmemTransport.AppendEntriesPipeline(id, target)
	return guardedPipeline{p}, err
}

type guardedPipeline struct{ raft.AppendPipeline }

func (p guardedPipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	cutCommit(args)
	return p.AppendPipeline.AppendEntries(args, resp)
}

// cutCommit is the guard of package raftnet, which raft's own transport lacks:
// without it raft commits whatever a deposed leader still has at the index that
// its successor has committed, compared or not.
func cutCommit(args *raft.AppendEntriesRequest) {
	args.LeaderCommitIndex = min(args.LeaderCommitIndex, args.PrevLogEntry+uint64(len(args.Entries)))
}

func (l *link) onAnswer(f func(to raft.ServerID, args *raft.AppendEntriesRequest)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after = f
}

// node is one replica with what it stands on.
type node struct {
	id        wire.NodeID
	list      *list
	log       log
	stable    *raft.InmemStore
	snapshots *snapshots
	link      *link
	opts      shard.Options
	replica   *shard.Replica

	mu    sync.Mutex
	fatal []error
	told  []shard.Leadership
}

func (n *node) open(t *testing.T, voters []wire.NodeID) {
	t.Helper()
	opts := n.opts
	opts.Fatal = func(err error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.fatal = append(n.fatal, err)
	}
	opts.LeaderChanged = func(l shard.Leadership) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.told = append(n.told, l)
	}
	var err error
	n.replica, err = shard.Open(
		shard.Place{Shard: 7, Node: n.id, Voters: voters},
		shard.Stores{Log: n.log, Stable: n.stable, Snapshots: n.snapshots},
		n.list, n.link, opts)
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) failures() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]error(nil), n.fatal...)
}

// group is three nodes.
type group struct {
	t     *testing.T
	nodes []*node
}

// inBubble runs a test of a group of three in a bubble, where time is virtual.
func inBubble(t *testing.T, opts shard.Options, run func(t *testing.T, g *group)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, opts, 3)
		defer g.close()
		run(t, g)
	})
}

func newGroup(t *testing.T, opts shard.Options, size int) *group {
	t.Helper()
	g := &group{t: t}
	var voters []wire.NodeID
	for i := range size {
		id := wire.NodeID(fmt.Sprintf("n%d", i+1))
		_, transport := raft.NewInmemTransport(raft.ServerAddress(id))
		l := newList()
		g.nodes = append(g.nodes, &node{
			id: id, list: l, log: log{raft.NewInmemStore()}, stable: raft.NewInmemStore(),
			snapshots: &snapshots{list: l}, link: &link{InmemTransport: transport}, opts: opts,
		})
		voters = append(voters, id)
	}
	for _, n := range g.nodes {
		g.heal(n)
	}
	for _, n := range g.nodes {
		n.open(t, voters)
	}
	return g
}

func (g *group) close() {
	for _, n := range g.nodes {
		if err := n.replica.Close(); err != nil && !errors.Is(err, shard.ErrClosed) {
			g.t.Error(err)
		}
		_ = n.link.Close()
	}
}

// cut takes a node off the network.
func (g *group) cut(n *node) {
	for _, other := range g.nodes {
		if other != n {
			n.link.Disconnect(raft.ServerAddress(other.id))
			other.link.Disconnect(raft.ServerAddress(n.id))
		}
	}
}

func (g *group) heal(n *node) {
	for _, other := range g.nodes {
		if other != n {
			n.link.Connect(raft.ServerAddress(other.id), other.link.InmemTransport)
			other.link.Connect(raft.ServerAddress(n.id), n.link.InmemTransport)
		}
	}
}

// leader waits for a leader among the nodes but the given ones.
func (g *group) leader(but ...*node) *node {
	g.t.Helper()
	for range 2000 {
		for _, n := range g.nodes {
			if n.replica.Leadership().Ready && !slices.Contains(but, n) {
				return n
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.t.Fatal("no leader for 20s")
	return nil
}

// propose proposes at a node and fails the test if it does not succeed.
func (g *group) propose(n *node, cmd string) state.Result {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	result, err := n.replica.Propose(ctx, 1, []byte(cmd))
	if err != nil {
		g.t.Fatalf("propose %q at %s: %v", cmd, n.id, err)
	}
	return result
}

// settle waits until all nodes have applied the same, and fails if their lists differ.
func (g *group) settle() []string {
	g.t.Helper()
	leader := g.leader()
	for range 3000 {
		index := leader.replica.Applied()
		same := true
		for _, n := range g.nodes {
			same = same && n.replica.Applied() == index
		}
		if same {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	want := leader.list.all()
	for _, n := range g.nodes {
		if got := n.list.all(); strings.Join(got, "\n") != strings.Join(want, "\n") {
			g.t.Fatalf("%s has %d items and %s has %d, or others", n.id, len(got), leader.id, len(want))
		}
		if got := n.replica.Status().Chain; got != leader.replica.Status().Chain {
			g.t.Fatalf("%s has the chain %x, %s %x", n.id, got, leader.id, leader.replica.Status().Chain)
		}
	}
	return want
}

// InstallSnapshot tells the size of what is sent, as our transport does at the end of the stream:
// a snapshot store that streams rows does not know it.
func (l *link) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	rows, err := io.ReadAll(data)
	if err != nil {
		return err
	}
	args.Size = int64(len(rows))
	return l.InmemTransport.InstallSnapshot(id, target, args, resp, bytes.NewReader(rows))
}
