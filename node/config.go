package node

import (
	"errors"
	"fmt"
	"net"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/wire"
)

// Config is what an operator writes of one node. Paths are as given; the
// command line makes them absolute.
type Config struct {
	// Cluster is the cluster's id: it is in every certificate and on every
	// connection between nodes, so that two clusters never mix.
	Cluster string `toml:"cluster"`
	// Node is this node's id. It never changes, also if its address does.
	Node wire.NodeID `toml:"node"`
	// Dir holds everything the node keeps.
	Dir string `toml:"dir"`
	// SharedMachine says that other nodes run on this machine too: then this one
	// does not take twice as many threads as there are processors.
	SharedMachine bool `toml:"shared_machine"`
	// Web is a directory of files that the node serves to browsers, under
	// /web/. Empty: none.
	Web string `toml:"web"`

	Listen    Listen    `toml:"listen"`
	TLS       TLS       `toml:"tls"`
	Gossip    Gossip    `toml:"gossip"`
	Storage   Storage   `toml:"storage"`
	Bootstrap Bootstrap `toml:"bootstrap"`
}

// Listen holds the addresses a node listens on, as host:port. Others reach it
// at the addresses in the bootstrap's list of nodes.
type Listen struct {
	Client string `toml:"client"` // TCP: HTTP and WebSocket; UDP: QUIC
	Peer   string `toml:"peer"`   // TCP: other nodes
	Gossip string `toml:"gossip"` // TCP and UDP: gossip
}

// TLS holds the files of the node's certificates, all PEM.
type TLS struct {
	CA   string `toml:"ca"`   // certificate of the cluster's own authority
	Node string `toml:"node"` // this node's certificate and key, of that authority
	// Client is the certificate and key shown to clients, on HTTPS and QUIC.
	Client string `toml:"client"`
	// PlainClients serves HTTP and WebSocket without TLS: behind a proxy that
	// has it, or on loopback.
	PlainClients bool `toml:"plain_clients"`
}

// Gossip tunes how nodes hear of each other.
type Gossip struct {
	// Key encrypts gossip: 32 bytes in base64, the same on every node.
	Key string `toml:"key"`
}

// Storage bounds the disk.
type Storage struct {
	// ReservePercent of the disk, and at least ReserveBytes, are kept free:
	// below it writes are refused with "storage full". Default 5 and 64 MiB.
	ReservePercent int   `toml:"reserve_percent"`
	ReserveBytes   int64 `toml:"reserve_bytes"`
}

// Bootstrap is what a new cluster begins with. It is the same on each of its
// first nodes, and is not read any more once the cluster stands.
type Bootstrap struct {
	Shards int             `toml:"shards"`
	Nodes  []BootstrapNode `toml:"nodes"`
	Apps   []BootstrapApp  `toml:"apps"`
}

// BootstrapNode is one of the first nodes, with the addresses that others use.
type BootstrapNode struct {
	ID     wire.NodeID `toml:"id"`
	Peer   string      `toml:"peer"`
	Gossip string      `toml:"gossip"`
	// HTTP is where clients go: host:port; or, of a proxy that speaks TLS for the
	// node, a base URL such as https://chat.example.org.
	HTTP string `toml:"http"`
	QUIC string `toml:"quic"` // host:port for clients; empty: none
	Zone string `toml:"zone"`
}

// BootstrapApp is one of the first apps.
type BootstrapApp struct {
	ID        wire.AppID `toml:"id"`
	Name      string     `toml:"name"`
	Key       string     `toml:"key"`
	MasterKey string     `toml:"master_key"`
	// Settings are the app's, as "quorate app set" changes them later.
	Settings map[string]string `toml:"settings,omitempty"`
}

// Limits of what a configuration may say.
const (
	minAppIDChars = 9 // official LeanMessage SDKs refuse ids of 8 or fewer
	maxShards     = 1024
	minSecret     = 16
)

// DefaultStorage is what a configuration without a storage section means.
func DefaultStorage() Storage { return Storage{ReservePercent: 5, ReserveBytes: 64 << 20} }

func (c Config) withDefaults() Config {
	usual := DefaultStorage()
	if c.Storage.ReservePercent == 0 {
		c.Storage.ReservePercent = usual.ReservePercent
	}
	if c.Storage.ReserveBytes == 0 {
		c.Storage.ReserveBytes = usual.ReserveBytes
	}
	if c.Bootstrap.Shards == 0 {
		c.Bootstrap.Shards = 16
	}
	return c
}

// Validate reports everything that is wrong with the configuration, not only
// the first thing.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(wire.ValidID(c.Cluster) == nil, "cluster %v", wire.ValidID(c.Cluster))
	check(wire.ValidID(string(c.Node)) == nil, "node %v", wire.ValidID(string(c.Node)))
	check(c.Dir != "", "dir is empty")
	for name, address := range map[string]string{"listen.client": c.Listen.Client, "listen.peer": c.Listen.Peer, "listen.gossip": c.Listen.Gossip} {
		_, _, err := net.SplitHostPort(address)
		check(err == nil, "%s is %q, want host:port", name, address)
	}
	check(c.TLS.CA != "" && c.TLS.Node != "" && c.TLS.Client != "", "tls wants ca, node and client: nothing but HTTP on loopback goes without certificates")
	check(c.Storage.ReservePercent >= 0 && c.Storage.ReservePercent <= 50, "storage.reserve_percent is %d, want 1 to 50", c.Storage.ReservePercent)
	check(c.Storage.ReserveBytes >= 0, "storage.reserve_bytes is %d, want 0 or more", c.Storage.ReserveBytes)
	return errors.Join(append(errs, c.Bootstrap.validate(c.Node))...)
}

func (b Bootstrap) validate(self wire.NodeID) error {
	var errs []error
	if len(b.Nodes) == 0 {
		return errors.New("bootstrap.nodes is empty: name the cluster's first nodes")
	}
	if b.Shards < 0 || b.Shards > maxShards {
		errs = append(errs, fmt.Errorf("bootstrap.shards is %d, want 1 to %d", b.Shards, maxShards))
	}
	here := false
	seen := map[wire.NodeID]bool{}
	for _, n := range b.Nodes {
		here = here || n.ID == self
		if err := wire.ValidID(string(n.ID)); err != nil {
			errs = append(errs, fmt.Errorf("bootstrap node id %q %w", n.ID, err))
		}
		if seen[n.ID] {
			errs = append(errs, fmt.Errorf("bootstrap node %s is there twice", n.ID))
		}
		seen[n.ID] = true
		if !validHTTP(n.HTTP) {
			errs = append(errs, fmt.Errorf("bootstrap node %s: http is %q, want host:port, or a URL such as https://chat.example.org with nothing behind it", n.ID, n.HTTP))
		}
	}
	if !here {
		errs = append(errs, fmt.Errorf("bootstrap.nodes does not name this node, %q", self))
	}
	for _, a := range b.Apps {
		errs = append(errs, a.validate())
	}
	return errors.Join(errs...)
}

func (a BootstrapApp) validate() error {
	var errs []error
	if len(a.ID) < minAppIDChars || wire.ValidID(string(a.ID)) != nil {
		errs = append(errs, fmt.Errorf("bootstrap app id %q: want %d to %d characters", a.ID, minAppIDChars, wire.MaxIDBytes))
	}
	if len(a.Key) < minSecret || len(a.MasterKey) < minSecret || a.Key == a.MasterKey {
		errs = append(errs, fmt.Errorf("bootstrap app %s wants a key and another master_key, each of at least %d characters", a.ID, minSecret))
	}
	if err := door.CheckSettings(a.Settings); err != nil {
		errs = append(errs, fmt.Errorf("bootstrap app %s: %w", a.ID, err))
	}
	return errors.Join(errs...)
}

// bootstrap translates what the cluster begins with.
func (c Config) bootstrap() cluster.Bootstrap {
	b := cluster.Bootstrap{ClusterID: c.Cluster, Shards: c.Bootstrap.Shards}
	for _, n := range c.Bootstrap.Nodes {
		b.Nodes = append(b.Nodes, cluster.Node{
			ID: n.ID, Zone: n.Zone, Addresses: cluster.Addresses{Peer: n.Peer, HTTP: n.HTTP, QUIC: n.QUIC, Gossip: n.Gossip},
		})
	}
	for _, a := range c.Bootstrap.Apps {
		b.Apps = append(b.Apps, cluster.App{ID: a.ID, Name: a.Name, Key: cluster.Secret(a.Key), MasterKey: cluster.Secret(a.MasterKey), Settings: a.Settings})
	}
	return b
}
