package client

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// Server is a place where a node accepts clients.
type Server struct {
	Scheme  string // "quic", "ws" or "wss"
	Address string // host:port
	Path    string // of a WebSocket; usually empty
}

// String returns the server as a URL.
func (s Server) String() string { return s.Scheme + "://" + s.Address + s.Path }

// defaultPort is where a node accepts clients unless it is told otherwise.
const defaultPort = "7400"

//nolint:gochecknoglobals // a table that is only read
var defaultPorts = map[string]string{"quic": defaultPort, "http": "80", "ws": "80", "https": "443", "wss": "443"}

// parseServer reads a server's URL.
func parseServer(text string) (Server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Server{}, fmt.Errorf("parse server: %w", err)
	}
	port, ok := defaultPorts[u.Scheme]
	if !ok || u.Hostname() == "" {
		return Server{}, fmt.Errorf("parse server %q: want quic://, ws:// or wss:// and a host", text)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	s := Server{Scheme: u.Scheme, Address: net.JoinHostPort(u.Hostname(), port), Path: u.Path}
	switch s.Scheme {
	case "http":
		s.Scheme = "ws"
	case "https":
		s.Scheme = "wss"
	}
	if s.Path == "/" {
		s.Path = ""
	}
	return s, nil
}

// directory is where the client can connect to. Only the goroutine that
// connects uses it.
type directory struct {
	preferred []Server // of the options
	learned   []Server // of the last welcome
}

func newDirectory(servers []string) (*directory, error) {
	d := &directory{}
	for _, text := range servers {
		s, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(d.preferred, s) {
			d.preferred = append(d.preferred, s)
		}
	}
	return d, nil
}

// maxLearned bounds how many nodes of a welcome are remembered.
const maxLearned = 1000

// learn remembers the nodes of a welcome, reached in the same way as the node
// that sent it. They are shuffled, so that the clients of a dead node do not
// all go to the same next one.
func (d *directory) learn(from Server, nodes []*pb.NodeInfo) {
	d.learned = d.learned[:0]
	for _, n := range nodes[:min(len(nodes), maxLearned)] {
		s, ok := reach(from, n)
		if ok && !slices.Contains(d.preferred, s) {
			d.learned = append(d.learned, s)
		}
	}
	rand.Shuffle(len(d.learned), func(i, j int) { d.learned[i], d.learned[j] = d.learned[j], d.learned[i] })
}

// reach returns how to reach a node in the same way as another server.
func reach(from Server, n *pb.NodeInfo) (Server, bool) {
	if from.Scheme == "quic" {
		return Server{Scheme: "quic", Address: n.GetQuic()}, n.GetQuic() != ""
	}
	s, err := parseServer(n.GetHttp())
	if err != nil {
		return Server{}, false
	}
	if s.Path == "" {
		s.Path = from.Path
	}
	return s, s.Scheme != "quic"
}

// order returns the servers in the order in which to try them: the preferred
// first, and those to avoid last.
func (d *directory) order(avoid ...Server) []Server {
	all := slices.Concat(d.preferred, d.learned)
	slices.SortStableFunc(all, func(a, b Server) int {
		return slices.Index(avoid, a) - slices.Index(avoid, b) // -1 unless to be avoided
	})
	return all
}

// nodeOf is the node that a welcome comes from.
func nodeOf(w *pb.Welcome) wire.NodeID { return wire.NodeID(w.GetNode()) }
