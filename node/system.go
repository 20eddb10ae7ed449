package node

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/leanmessage"
	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/transport"
)

// System is what a node stands on when it runs on a machine: its clock, its
// disk, TLS over TCP between nodes, QUIC, HTTP and WebSocket for clients, bolt
// for the meta group, and memberlist.
func System(cfg Config, logger *slog.Logger, fatal func(error)) (Env, error) {
	text, err := os.ReadFile(cfg.TLS.CA)
	if err != nil {
		return Env{}, fmt.Errorf("read the cluster's authority: %w", err)
	}
	pool, err := transport.ParseCAPool(text)
	if err != nil {
		return Env{}, fmt.Errorf("read the cluster's authority in %s: %w", cfg.TLS.CA, err)
	}
	pair, err := transport.LoadKeyPair(cfg.TLS.Node)
	if err != nil {
		return Env{}, fmt.Errorf("read this node's certificate: %w", err)
	}
	client, err := transport.LoadKeyPair(cfg.TLS.Client)
	if err != nil {
		return Env{}, fmt.Errorf("read the certificate for clients: %w", err)
	}
	credentials, err := transport.NewCredentials(pool, pair, clock.System, nil)
	if err != nil {
		return Env{}, fmt.Errorf("use this node's certificate: %w", err)
	}
	if id := credentials.Identity(); id.Node != cfg.Node || id.Cluster != cfg.Cluster {
		return Env{}, fmt.Errorf("the certificate in %s is for node %q of cluster %q, not for %q of %q",
			cfg.TLS.Node, id.Node, id.Cluster, cfg.Node, cfg.Cluster)
	}
	web, err := openWeb(cfg.Web)
	if err != nil {
		return Env{}, err
	}
	env := Env{
		Web:    web,
		Stores: raftlog.Options{CacheBytes: cacheBytes()},
		Wall:   clock.System, FS: vfs.Default, Disk: freeSpace, Collect: runtime.GC, Fatal: fatal, Logger: logger,
		Nodes: &tlsNetwork{NodeDialer: transport.NewNodeDialer(credentials), addr: cfg.Listen.Peer, credentials: credentials, logger: logger},
		Meta: func(dir string, fatal func(error)) (cluster.Stores, io.Closer, error) {
			bolt, err := cluster.OpenBolt(dir, cluster.BoltOptions{Fatal: fatal, Logger: logger})
			if err != nil {
				return cluster.Stores{}, nil, err
			}
			return bolt.Stores(), bolt, nil
		},
		Clients: func(ctx context.Context, serve func(transport.ClientConn), web WebHandlers) (ClientDoors, error) {
			return openSockets(ctx, cfg, client, serve, web, logger)
		},
	}
	if cfg.Gossip.Key != "" {
		env.Gossip, err = gossip(cfg, logger)
	}
	return env, err
}

// tlsNetwork connects nodes over TLS 1.3 on TCP.
type tlsNetwork struct {
	*transport.NodeDialer
	addr        string
	credentials *transport.Credentials
	logger      *slog.Logger
}

// Listen implements PeerNetwork.
func (t *tlsNetwork) Listen(ctx context.Context) (transport.NodeListener, error) {
	return transport.ListenNodes(ctx, t.addr, t.credentials, t.logger)
}

// gossipKeyBytes is how long the key of the gossip is: AES-256.
const gossipKeyBytes = 32

func gossip(cfg Config, logger *slog.Logger) (func(cluster.Presence, []string) (cluster.Gossip, error), error) {
	key, err := base64.StdEncoding.DecodeString(cfg.Gossip.Key)
	if err != nil || len(key) != gossipKeyBytes {
		return nil, fmt.Errorf("gossip.key: want %d bytes in base64", gossipKeyBytes)
	}
	secret := cluster.GossipSecret{ClusterID: cfg.Cluster, Keys: []cluster.Secret{cluster.Secret(key)}}
	return func(self cluster.Presence, seeds []string) (cluster.Gossip, error) {
		return cluster.OpenMemberlist(self, secret, func() []string { return seeds }, cluster.GossipOptions{Listen: cfg.Listen.Gossip, Logger: logger})
	}, nil
}

func freeSpace(dir string) (free, total uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// sockets are the doors for clients on a machine.
type sockets struct {
	edge       *transport.Edge
	server     *http.Server
	served     chan error
	http, quic string
}

// openSockets listens for clients: TCP for HTTP and WebSocket, UDP with the same
// port for QUIC.
func openSockets(ctx context.Context, cfg Config, pair *transport.KeyPair, serve func(transport.ClientConn), web WebHandlers, logger *slog.Logger) (*sockets, error) { //nolint:revive // what a door is made of
	var lc net.ListenConfig
	tcp, err := lc.Listen(ctx, "tcp", cfg.Listen.Client)
	if err != nil {
		return nil, err
	}
	udp, err := lc.ListenPacket(ctx, "udp", tcp.Addr().String())
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	tlsConf := transport.ServerTLS(func() *transport.KeyPair { return pair })
	edge := transport.NewEdge(serve, transport.EdgeOptions{Logger: logger})
	if err := edge.ListenQUIC(udp, tlsConf, pair); err != nil {
		return nil, errors.Join(err, tcp.Close(), udp.Close(), edge.Close())
	}
	s := &sockets{
		edge: edge, served: make(chan error, 1), http: tcp.Addr().String(), quic: udp.LocalAddr().String(),
		server: &http.Server{Handler: split(edge.WebSocket(), edge.LeanMessage(web.Lean), web.Plain), ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)},
	}
	edge.GuardHTTP(s.server)
	go func() {
		if cfg.TLS.PlainClients {
			s.served <- s.server.Serve(tcp)
			return
		}
		s.served <- s.server.Serve(tls.NewListener(tcp, httpsOnly(tlsConf)))
	}()
	return s, nil
}

// httpsOnly is the configuration for HTTPS: the protocols of QUIC are not
// offered there.
func httpsOnly(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"}
	return c
}

// split sends upgrades to the WebSocket of their dialect, which the subprotocol
// says, or else the path, and the rest to the plain handler.
func split(ws, lean, plain http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if transport.WantsLean(r) || r.URL.Path == leanmessage.Path {
			lean.ServeHTTP(rw, r)
			return
		}
		if r.Header.Get("Upgrade") != "" && (r.URL.Path == "/" || r.URL.Path == "/ws") {
			ws.ServeHTTP(rw, r)
			return
		}
		plain.ServeHTTP(rw, r)
	})
}

// Addresses implements ClientDoors.
func (s *sockets) Addresses() (string, string) { return s.http, s.quic }

// Metrics implements ClientDoors.
func (s *sockets) Metrics() transport.EdgeMetrics { return s.edge.Metrics() }

// closeTimeout bounds how long requests over HTTP may take when the node stops.
const closeTimeout = time.Second

// Close implements ClientDoors.
func (s *sockets) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, s.edge.Close())
}

// The block cache is a 64th of the machine's memory, within these: several nodes
// may share a machine, and a cache that does not hold the filters of the tables
// makes each lookup of what is not there a read of the disk.
const (
	minCacheBytes = 64 << 20
	maxCacheBytes = 512 << 20
)

func cacheBytes() int64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return minCacheBytes
	}
	return min(max(int64(uint64(info.Totalram)*uint64(info.Unit)/64), minCacheBytes), maxCacheBytes) //nolint:unconvert // its type is the architecture's
}

// openWeb opens the directory of files for browsers; nothing outside of it is
// served, whatever links it has.
func openWeb(dir string) (fs.FS, error) {
	if dir == "" {
		return nil, nil //nolint:nilnil // nothing is served then
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the files for browsers (web): %w", err)
	}
	return root.FS(), nil
}
