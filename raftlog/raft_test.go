package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// TestRaft runs three nodes of the real raft on these stores. One is cut off
// until the log it lacks is gone, then catches up with a snapshot; then all
// lose their power at once and come back with everything that was acknowledged.
func TestRaft(t *testing.T) {
	c := newCluster(t)
	c.startAll()
	c.propose(1, 40)
	c.stop("n3")
	c.propose(41, 80)
	for _, n := range c.nodes {
		if n.raft != nil {
			if err := n.raft.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.start("n3")
	c.await(80)
	if installs := c.nodes["n3"].toy.stores.Metrics().Installs; installs == 0 {
		t.Error("n3 caught up without a snapshot: the test tests nothing")
	}
	c.propose(81, 90)
	c.await(90)
	c.losePower()
	c.startAll()
	c.propose(91, 100)
	c.await(100)
	c.checkSame()
	for name := range c.nodes {
		c.stop(name)
	}
}

// cluster is a group of three, on disks and a network in memory.
type cluster struct {
	t     *testing.T
	nodes map[string]*member
}

// member is a node: its disk outlives its raft.
type member struct {
	name  string
	disk  *vfs.MemFS
	toy   *toy
	fsm   *toyFSM
	raft  *raft.Raft
	trans *sizedTransport
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, nodes: map[string]*member{}}
	for _, name := range []string{"n1", "n2", "n3"} {
		c.nodes[name] = &member{name: name, disk: vfs.NewCrashableMem()}
	}
	return c
}

func (c *cluster) startAll() {
	for name := range c.nodes {
		c.start(name)
	}
}

func (c *cluster) start(name string) {
	n := c.nodes[name]
	n.toy = mustOpenToy(c.t, openStores(c.t, n.disk, Options{}), 1)
	n.fsm = newToyFSM(n.toy)
	_, inner := raft.NewInmemTransport(raft.ServerAddress(name))
	n.trans = &sizedTransport{InmemTransport: inner}
	var servers []raft.Server
	for other, o := range c.nodes {
		servers = append(servers, raft.Server{ID: raft.ServerID(other), Address: raft.ServerAddress(other)})
		if o.raft != nil {
			o.trans.Connect(raft.ServerAddress(name), n.trans.InmemTransport)
			n.trans.Connect(raft.ServerAddress(other), o.trans.InmemTransport)
		}
	}
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(name)
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = 200*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond
	conf.CommitTimeout = 5 * time.Millisecond
	conf.NoSnapshotRestoreOnStart, conf.NoLegacyTelemetry = true, true
	conf.TrailingLogs = 8
	conf.Logger = hclog.NewNullLogger()
	started, err := raft.HasExistingState(n.toy.group, n.toy.group, n.toy.snaps)
	if err == nil && !started {
		err = raft.BootstrapCluster(conf, n.toy.group, n.toy.group, n.toy.snaps, n.trans, raft.Configuration{Servers: servers})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if n.raft, err = raft.NewRaft(conf, n.fsm, n.toy.group, n.toy.group, n.toy.snaps, n.trans); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) stop(name string) {
	n := c.nodes[name]
	n.trans.DisconnectAll()
	for _, o := range c.nodes {
		if o != n && o.raft != nil {
			o.trans.Disconnect(raft.ServerAddress(name))
		}
	}
	if err := n.raft.Shutdown().Error(); err != nil {
		c.t.Error(err)
	}
	n.raft = nil
	closeStores(c.t, n.toy.stores)
}

// losePower leaves each node what is on its disk now.
func (c *cluster) losePower() {
	left := map[string]*vfs.MemFS{}
	for name, n := range c.nodes {
		n.trans.DisconnectAll()
		left[name] = n.disk.CrashClone(vfs.CrashCloneCfg{})
	}
	for name, n := range c.nodes {
		c.stop(name)
		n.disk = left[name]
	}
}

// propose has commands first to last acknowledged, by whoever leads.
func (c *cluster) propose(first, last int) {
	deadline := time.Now().Add(30 * time.Second)
	for i := first; i <= last; {
		for _, n := range c.nodes {
			if n.raft != nil && i <= last && n.raft.Apply(fmt.Append(nil, i), time.Second).Error() == nil {
				i++
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("command %d is not acknowledged", i)
		}
	}
}

// await waits until every node has applied a command.
func (c *cluster) await(command int) {
	for name, n := range c.nodes {
		select {
		case <-n.fsm.reached(fmt.Sprint(command)):
		case <-time.After(30 * time.Second):
			c.t.Fatalf("%s has not applied command %d", name, command)
		}
	}
}

func (c *cluster) checkSame() {
	var first map[string]string
	for name, n := range c.nodes {
		rows, err := n.toy.rows()
		if err != nil {
			c.t.Fatal(err)
		}
		delete(rows, string(toyRecordKey(1)))
		if first == nil {
			first = rows
		}
		if diff := cmp.Diff(first, rows); diff != "" {
			c.t.Errorf("%s differs:\n%s", name, diff)
		}
	}
	seen := map[string]bool{}
	for _, command := range first {
		seen[command] = true
	}
	for i := 1; i <= 100; i++ {
		if !seen[fmt.Sprint(i)] {
			c.t.Errorf("command %d was acknowledged and is lost", i)
		}
	}
}

// sizedTransport says how large a snapshot is, which our stream does not know
// and raft's own transports want to.
type sizedTransport struct{ *raft.InmemTransport }

func (s *sizedTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	all, err := io.ReadAll(data)
	if err != nil {
		return err
	}
	req.Size = int64(len(all))
	return s.InmemTransport.InstallSnapshot(id, target, req, resp, bytes.NewReader(all))
}

// toyFSM is the toy as a raft.BatchingFSM.
type toyFSM struct {
	toy *toy
	mu  struct {
		sync.Mutex
		applied map[string]bool
		waiting map[string]chan struct{}
	}
}

func newToyFSM(y *toy) *toyFSM {
	f := &toyFSM{toy: y}
	f.mu.applied, f.mu.waiting = map[string]bool{}, map[string]chan struct{}{}
	f.note()
	return f
}

// reached returns a channel that is closed when a command is in the state.
func (f *toyFSM) reached(command string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := f.mu.waiting[command]
	if ch == nil {
		ch = make(chan struct{})
		f.mu.waiting[command] = ch
		if f.mu.applied[command] {
			close(ch)
		}
	}
	return ch
}

// note looks at what is in the state now.
func (f *toyFSM) note() {
	rows, err := f.toy.rows()
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, command := range rows {
		if f.mu.applied[command] {
			continue
		}
		f.mu.applied[command] = true
		if ch := f.mu.waiting[command]; ch != nil {
			close(ch)
		}
	}
}

func (f *toyFSM) Apply(*raft.Log) any { panic("raft applies in batches") }

func (f *toyFSM) ApplyBatch(logs []*raft.Log) []any {
	meta, _, err := f.toy.snaps.readMeta(newest)
	for _, l := range logs {
		if err != nil || l.Index <= meta.Index {
			continue
		}
		meta.Index, meta.Term = l.Index, l.Term
		if l.Type == raft.LogConfiguration {
			meta.Configuration, meta.ConfigurationIndex = raft.DecodeConfiguration(l.Data), l.Index
			err = f.toy.put(meta, nil)
		} else {
			err = f.toy.put(meta, l.Data)
		}
	}
	if err != nil {
		panic(err)
	}
	f.note()
	return make([]any, len(logs))
}

func (f *toyFSM) Snapshot() (raft.FSMSnapshot, error) { return f, nil }

func (f *toyFSM) Persist(raft.SnapshotSink) error { return nil }

func (f *toyFSM) Release() {}

func (f *toyFSM) Restore(rc io.ReadCloser) error {
	for {
		if installer, ok := rc.(Installer); ok {
			err := installer.Install()
			f.note()
			return err
		}
		wrapper, ok := rc.(raft.ReadCloserWrapper)
		if !ok {
			return errors.New("no installer inside")
		}
		rc = wrapper.WrappedReadCloser()
	}
}
