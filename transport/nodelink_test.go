package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/wire"
)

func newTestCA(t testing.TB, cluster string) *CA {
	t.Helper()
	ca, err := NewCA(cluster, clock.System)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func credentialsOf(t testing.TB, ca *CA, node wire.NodeID) *Credentials {
	t.Helper()
	pair, err := ca.IssueNode(node, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return credentialsWith(t, ca, pair)
}

func credentialsWith(t testing.TB, ca *CA, pair *KeyPair) *Credentials {
	t.Helper()
	c, err := NewCredentials(ca.Pool(), pair, clock.System, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func listenNodes(t testing.TB, c *Credentials) NodeListener {
	t.Helper()
	l, err := ListenNodes(t.Context(), "127.0.0.1:0", c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// nodePair returns the two ends of a connection over TLS.
func nodePair(t testing.TB) (dialed, accepted Conn) {
	t.Helper()
	ca := newTestCA(t, "c1")
	l := listenNodes(t, credentialsOf(t, ca, "n2"))
	dialed, err := NewNodeDialer(credentialsOf(t, ca, "n1")).Dial(t.Context(), "n2", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Peer() != "n1" {
		t.Errorf("the peer is %q, want n1", got.Peer())
	}
	t.Cleanup(func() {
		go func() { _ = dialed.Close(CloseNormal, "") }()
		_ = got.Close(CloseNormal, "")
	})
	return dialed, got
}

// TestNodesRefuse: whoever is not a node of the cluster, or not the one that
// was asked for, gets no connection.
func TestNodesRefuse(t *testing.T) {
	ca, other := newTestCA(t, "c1"), newTestCA(t, "c1")
	namesake, err := NewCA("c2", clock.System)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.IssueServer([]string{"localhost"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	old, err := ca.IssueNode("n1", nil, -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	good := credentialsOf(t, ca, "n1")
	// Certificates that our own authority made and should not have.
	roleless := issued(t, ca, pkix.Name{CommonName: "n1", Organization: []string{"c1"}, OrganizationalUnit: []string{"edge"}})
	misplaced := issued(t, ca, pkix.Name{CommonName: "n1", Organization: []string{"c2"}, OrganizationalUnit: []string{RoleNode}})
	misplaced.cluster = "c1" // it would talk to ours
	// Somebody of another cluster who trusts ours.
	foreign := credentialsOf(t, namesake, "n1")
	foreign.pool, foreign.cluster = ca.Pool(), "c1"

	for _, tc := range []struct {
		name string
		with *Credentials
		want string // in what the dialer or the acceptor says
	}{
		{"another authority of the same cluster id", credentialsOf(t, other, "n1"), "unknown authority"},
		{"another cluster", foreign, "remote error: tls"},
		{"a client-side certificate of our authority", credentialsWith(t, ca, server), "certificate"},
		{"without the role of a node", roleless, "remote error: tls"},
		{"our authority, another cluster", misplaced, "remote error: tls"},
		{"an expired certificate", credentialsWith(t, ca, old), "remote error: tls"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := listenNodes(t, credentialsOf(t, ca, "n2"))
			err := dialAndRead(t, tc.with, "n2", l.Addr())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := l.Accept(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("accepted, or %v", err)
			}
		})
	}

	t.Run("not the node that was asked for", func(t *testing.T) {
		l := listenNodes(t, credentialsOf(t, ca, "n2"))
		if _, err := NewNodeDialer(good).Dial(t.Context(), "n3", l.Addr()); !errors.Is(err, ErrIdentity) {
			t.Errorf("got %v, want ErrIdentity", err)
		}
	})
	t.Run("on the deny list", func(t *testing.T) {
		c := credentialsOf(t, ca, "n2")
		c.allow = func(_ *x509.Certificate, id Identity) error {
			if id.Node == "n1" {
				return errors.New("removed")
			}
			return nil
		}
		if err := dialAndRead(t, good, "n2", listenNodes(t, c).Addr()); err == nil {
			t.Error("got a connection")
		}
	})
	t.Run("no certificate, or another protocol", func(t *testing.T) {
		l := listenNodes(t, credentialsOf(t, ca, "n2"))
		for _, change := range []func(*tls.Config){
			func(c *tls.Config) { c.GetClientCertificate = nil },
			func(c *tls.Config) { c.NextProtos = nil },
			func(c *tls.Config) { c.NextProtos = []string{"h2"} },
			func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		} {
			config := good.config("n2")
			config.VerifyConnection = nil
			change(config)
			raw, err := tls.Dial("tcp", l.Addr(), config)
			if err == nil {
				_ = raw.SetReadDeadline(time.Now().Add(handshakeTimeout / 2)) // before an Accept would be late
				_, err = raw.Read(make([]byte, 1))
				_ = raw.Close()
			}
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("not refused: %v", err)
			}
		}
	})
}

// issued returns credentials with a certificate for a client of that subject.
func issued(t *testing.T, ca *CA, subject pkix.Name) *Credentials {
	t.Helper()
	pair, err := ca.issueLeaf(&x509.Certificate{
		Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return credentialsWith(t, ca, pair)
}

// dialAndRead returns the error of the dial, or else of the first read.
func dialAndRead(t *testing.T, with *Credentials, node wire.NodeID, addr string) error {
	t.Helper()
	conn, err := NewNodeDialer(with).Dial(t.Context(), node, addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(CloseNormal, "") }()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = conn.ReadFrame()
	return err
}

// TestSilentHandshakesAreBounded: connections that say nothing do not keep a
// node out for ever, and do not grow without end.
func TestSilentHandshakesAreBounded(t *testing.T) {
	ca := newTestCA(t, "c1")
	l := listenNodes(t, credentialsOf(t, ca, "n2"))
	closed := 0
	for range maxHandshakes + 8 {
		raw, err := net.Dial("tcp", l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = raw.Close() }()
		if closed+maxHandshakes < maxHandshakes+8 {
			_ = raw.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := raw.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				closed++
			}
		}
	}
	inner := l.(*nodeListener)
	if n := len(inner.slots); n > maxHandshakes {
		t.Errorf("%d handshakes under way, want at most %d", n, maxHandshakes)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err) // and it waits for the handshakes, which it ends
	}
	if n := len(inner.slots); n != 0 {
		t.Errorf("%d handshakes under way after Close", n)
	}
}

func TestRenew(t *testing.T) {
	ca := newTestCA(t, "c1")
	c := credentialsOf(t, ca, "n2")
	l := listenNodes(t, c)
	fresh, err := ca.IssueNode("n2", []string{"voter"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Renew(fresh); err != nil {
		t.Fatal(err)
	}
	conn, err := NewNodeDialer(credentialsOf(t, ca, "n1")).Dial(t.Context(), "n2", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(CloseNormal, "") }()
	shown := conn.(*tlsConn).raw.ConnectionState().PeerCertificates[0]
	if shown.SerialNumber.Cmp(fresh.Leaf.SerialNumber) != 0 {
		t.Error("the old certificate was shown after Renew")
	}
	wrong, err := ca.IssueNode("n3", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Renew(wrong); !errors.Is(err, ErrIdentity) {
		t.Errorf("renewed as another node: %v", err)
	}
}

func TestKeyPairFiles(t *testing.T) {
	ca := newTestCA(t, "c1")
	pair, err := ca.IssueNode("n1", []string{"voter"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "node.pem")
	for range 2 { // the second time replaces
		if err := pair.Store(path); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("stored with mode %04o, want 0600", info.Mode().Perm())
	}
	back, err := LoadKeyPair(path)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := identityOf(back.Leaf); err != nil || id.Node != "n1" || id.Cluster != "c1" || len(id.Roles) != 2 {
		t.Errorf("identity %+v, %v", id, err)
	}
	before, _ := pair.Secret("quic reset")
	after, _ := back.Secret("quic reset")
	another, _ := back.Secret("quic token")
	if before != after || before == another {
		t.Error("a secret must be the same after a restart, and another for another purpose")
	}

	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeyPair(path); err == nil {
		t.Error("loaded a key that others can read")
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOpenCA(t *testing.T) {
	ca := newTestCA(t, "c1")
	text, err := ca.Pair().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ParseKeyPair(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenCA(pair, clock.System)
	if err != nil {
		t.Fatal(err)
	}
	// A node of the opened authority talks to one of the first.
	l := listenNodes(t, credentialsOf(t, ca, "n2"))
	conn, err := NewNodeDialer(credentialsOf(t, again, "n1")).Dial(t.Context(), "n2", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(CloseNormal, "")

	node, err := ca.IssueNode("n1", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCA(node, clock.System); !errors.Is(err, ErrIdentity) {
		t.Errorf("opened a node's certificate as an authority: %v", err)
	}
}

// FuzzParseKeyPair: a file that was damaged is refused, and no more.
func FuzzParseKeyPair(f *testing.F) {
	ca, err := NewCA("c1", clock.System)
	if err != nil {
		f.Fatal(err)
	}
	text, err := ca.Pair().MarshalPEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if pair, err := ParseKeyPair(text); err == nil && (pair.Leaf == nil || pair.Key == nil) {
			t.Fatal("half a pair without an error")
		}
	})
}
