package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/quorate/quorate/wire"
)

// GossipSecret lets a node take part in a cluster's gossip.
type GossipSecret struct {
	ClusterID string   // keeps clusters apart that hear each other
	Keys      []Secret // 32 bytes each: the first encrypts, all decrypt, so that a key can be replaced while all run
}

// GossipOptions tune the gossip. The zero value is ready to use.
type GossipOptions struct {
	// Listen is the host:port to bind, TCP and UDP, when it is not the address
	// that the others use. Port 0 takes a free one.
	Listen string

	// RejoinInterval is how often the seeds that are not seen are asked again,
	// so that two halves that lost each other meet again. Default 10s.
	RejoinInterval time.Duration

	// Logger takes the gossip's log. Default: nothing is logged.
	Logger *slog.Logger
}

func (o GossipOptions) withDefaults(self Presence) GossipOptions {
	if o.Listen == "" {
		o.Listen = self.Addresses.Gossip
	}
	if o.RejoinInterval == 0 {
		o.RejoinInterval = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Memberlist is gossip over UDP and TCP, encrypted, by hashicorp/memberlist.
type Memberlist struct {
	list   *memberlist.Memberlist
	roster *roster
	self   atomic.Pointer[Presence]
	heard  sync.Map // wire.NodeID to the host:port at which its gossip is reached
	seeds  func() []string
	opts   GossipOptions

	stop context.CancelFunc
	once sync.Once
	work sync.WaitGroup
}

var _ Gossip = (*Memberlist)(nil)

// gossipKeyBytes selects AES-256.
const gossipKeyBytes = 32

// OpenMemberlist starts to listen and looks for the others at the seeds, the
// gossip addresses of nodes that may be there; its own may be among them. It
// does not wait to find any, and goes on looking for those it does not see.
func OpenMemberlist(self Presence, secret GossipSecret, seeds func() []string, opts GossipOptions) (*Memberlist, error) {
	opts = opts.withDefaults(self)
	if err := wire.ValidID(string(self.Node)); err != nil {
		return nil, fmt.Errorf("open gossip: the node's id %w", err)
	}
	conf, err := memberlistConfig(&self, secret, opts)
	if err != nil {
		return nil, fmt.Errorf("open gossip: %w", err)
	}
	m := &Memberlist{roster: newRoster(), seeds: seeds, opts: opts}
	m.self.Store(&self)
	conf.Delegate, conf.Events = gossipDelegate{m}, gossipDelegate{m}
	if m.list, err = memberlist.Create(conf); err != nil {
		return nil, fmt.Errorf("open gossip at %s: %w", opts.Listen, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.work.Go(func() { m.runJoin(ctx) })
	return m, nil
}

// memberlistConfig is measured: a node that dies is missed after 2.5 s, and
// the cost of it all is invisible.
func memberlistConfig(self *Presence, secret GossipSecret, opts GossipOptions) (*memberlist.Config, error) {
	if secret.ClusterID == "" || len(secret.Keys) == 0 {
		return nil, errors.New("there is no cluster id or no key: gossip is never in the clear")
	}
	var keys [][]byte
	for _, key := range secret.Keys {
		if len(key) != gossipKeyBytes {
			return nil, fmt.Errorf("a key has %d bytes, want %d", len(key), gossipKeyBytes)
		}
		keys = append(keys, []byte(string(key)))
	}
	keyring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, err
	}
	listenHost, listenPort, err := splitAddress(opts.Listen)
	if err != nil {
		return nil, err
	}
	c := memberlist.DefaultLANConfig()
	c.Name = string(self.Node)
	c.Label = secret.ClusterID
	c.Keyring = keyring
	c.BindAddr, c.BindPort = listenHost, listenPort
	c.AdvertisePort = listenPort
	if self.Addresses.Gossip != opts.Listen && self.Addresses.Gossip != "" {
		if c.AdvertiseAddr, c.AdvertisePort, err = splitAddress(self.Addresses.Gossip); err != nil {
			return nil, err
		}
	}
	c.ProbeInterval, c.ProbeTimeout = 500*time.Millisecond, 250*time.Millisecond
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = 3, 3
	c.TCPTimeout = 2 * time.Second
	c.EnableCompression = false // nothing to gain, and bombs to lose
	c.DeadNodeReclaimTime = 5 * time.Second
	c.Logger = log.New(gossipLog{opts.Logger}, "", 0)
	if _, err := self.encode(); err != nil {
		return nil, err
	}
	return c, nil
}

func splitAddress(address string) (string, int, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("read gossip address %q: %w", address, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("read gossip address %q: %w", address, err)
	}
	if host == "" {
		return "0.0.0.0", int(port), nil
	}
	// memberlist wants an address, not a name.
	resolved, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return "", 0, fmt.Errorf("resolve gossip address %q: %w", address, err)
	}
	return resolved.String(), int(port), nil
}

// Members implements Gossip.
func (m *Memberlist) Members() []Presence { return m.roster.members() }

// Changed implements Gossip.
func (m *Memberlist) Changed() <-chan struct{} { return m.roster.changed() }

// Address returns the host:port at which others reach this node's gossip.
func (m *Memberlist) Address() string {
	address, _ := m.heard.Load(m.self.Load().Node)
	text, _ := address.(string)
	return text
}

// announceTimeout bounds how long Announce waits to have told one node.
const announceTimeout = 2 * time.Second

// Announce implements Gossip.
func (m *Memberlist) Announce(_ context.Context, facts []byte) error {
	next := *m.self.Load()
	next.Facts = slices.Clone(facts)
	if _, err := next.encode(); err != nil {
		return err
	}
	m.self.Store(&next)
	if err := m.list.UpdateNode(announceTimeout); err != nil {
		return fmt.Errorf("announce node %q: %w", next.Node, err)
	}
	return nil
}

// Close says goodbye and stops.
func (m *Memberlist) Close() error {
	var err error
	m.once.Do(func() {
		m.stop()
		m.work.Wait()
		if left := m.list.Leave(announceTimeout); left != nil {
			m.opts.Logger.Debug("left gossip without a goodbye", "error", left)
		}
		err = m.list.Shutdown()
	})
	return err
}

// runJoin looks for seeds that are not seen: soon at first, then every
// RejoinInterval.
func (m *Memberlist) runJoin(ctx context.Context) {
	pause := 200 * time.Millisecond
	for {
		for _, seed := range m.unseen() {
			if ctx.Err() != nil {
				return
			}
			if _, err := m.list.Join([]string{seed}); err != nil {
				m.opts.Logger.Debug("gossip seed not reached", "seed", seed, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause + rand.N(pause/4+1)):
		}
		pause = min(2*pause, m.opts.RejoinInterval)
	}
}

// unseen returns the seeds that are no member's address. It does not ask
// memberlist, whose nodes change under the reader.
func (m *Memberlist) unseen() []string {
	seen := map[string]bool{m.Address(): true}
	for _, p := range m.roster.members() {
		seen[p.Addresses.Gossip] = true
		if address, ok := m.heard.Load(p.Node); ok {
			seen[address.(string)] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(m.seeds()), func(seed string) bool { return seen[seed] || seed == "" })
}

// gossipDelegate is what memberlist calls. Nothing in it waits: memberlist
// holds its lock meanwhile.
type gossipDelegate struct{ m *Memberlist }

func (d gossipDelegate) NodeMeta(limit int) []byte {
	b, err := d.m.self.Load().encode()
	if err != nil || len(b) > limit {
		return nil // checked where it was set
	}
	return b
}

func (gossipDelegate) NotifyMsg([]byte)                {}
func (gossipDelegate) GetBroadcasts(int, int) [][]byte { return nil }
func (gossipDelegate) LocalState(bool) []byte          { return nil }
func (gossipDelegate) MergeRemoteState([]byte, bool)   {}

func (d gossipDelegate) NotifyJoin(n *memberlist.Node) { d.NotifyUpdate(n) }

func (d gossipDelegate) NotifyUpdate(n *memberlist.Node) {
	p, err := decodePresence(wire.NodeID(n.Name), n.Meta)
	if err != nil {
		d.m.opts.Logger.Warn("gossip not understood", "error", err)
		return
	}
	d.m.heard.Store(p.Node, n.Address())
	d.m.roster.put(p)
}

func (d gossipDelegate) NotifyLeave(n *memberlist.Node) {
	d.m.roster.remove(wire.NodeID(n.Name))
	if wire.NodeID(n.Name) != d.m.self.Load().Node { // Address goes on working
		d.m.heard.Delete(wire.NodeID(n.Name))
	}
}

// gossipLog turns memberlist's lines into ours. Warnings and errors of a hint
// are not worth more than a line of debugging: who is cut off shows elsewhere.
type gossipLog struct{ logger *slog.Logger }

func (l gossipLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if !strings.HasPrefix(text, "[DEBUG]") {
		l.logger.Debug("gossip says", "text", text)
	}
	return len(line), nil
}
