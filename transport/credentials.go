package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/wire"
)

// nodeProtocol is the ALPN name of connections between nodes.
const nodeProtocol = "quorate-node/1"

// Credentials are what a node shows to others and what it believes of them.
type Credentials struct {
	cluster string
	pool    *x509.CertPool
	wall    clock.Wall
	pair    atomic.Pointer[KeyPair]
	allow   func(*x509.Certificate, Identity) error
}

// NewCredentials returns the credentials of the node that the pair names.
// allow, when it is not nil, has the last word on a certificate that is good:
// there the deny list is asked. It must not wait.
func NewCredentials(pool *x509.CertPool, pair *KeyPair, wall clock.Wall, allow func(*x509.Certificate, Identity) error) (*Credentials, error) {
	id, err := identityOf(pair.Leaf)
	if err != nil {
		return nil, err
	}
	c := &Credentials{cluster: id.Cluster, pool: pool, wall: wall, allow: allow}
	c.pair.Store(pair)
	return c, nil
}

// Identity returns who the node is.
func (c *Credentials) Identity() Identity {
	id, err := identityOf(c.pair.Load().Leaf)
	if err != nil {
		panic("transport: credentials with a bad certificate: " + err.Error()) // NewCredentials and Renew have checked it
	}
	return id
}

// Renew replaces the certificate, for the same node and cluster. Connections
// that are open stay; later ones show the new one.
func (c *Credentials) Renew(pair *KeyPair) error {
	id, err := identityOf(pair.Leaf)
	if err != nil {
		return err
	}
	if was := c.Identity(); id.Cluster != was.Cluster || id.Node != was.Node {
		return fmt.Errorf("%w: renews %s of %s with %s of %s", ErrIdentity, was.Node, was.Cluster, id.Node, id.Cluster)
	}
	c.pair.Store(pair)
	return nil
}

// config returns the TLS configuration of one end. want is the node on the
// other side; empty: any.
//
// Names of hosts mean nothing here: a node is who its certificate says,
// wherever it is. So crypto/tls's check of the host name is switched off, and
// verify does all that it does and more.
func (c *Credentials) config(want wire.NodeID) *tls.Config {
	own := func() *tls.Certificate { return c.pair.Load().certificate() }
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		NextProtos:           []string{nodeProtocol},
		Time:                 c.wall,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own(), nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own(), nil },
		ClientAuth:           tls.RequireAnyClientCert,
		InsecureSkipVerify:   true, //nolint:gosec // verify does it, with the identity
		VerifyConnection:     func(state tls.ConnectionState) error { return c.verify(state, want) },
		// A resumed session would not be asked for a certificate again.
		SessionTicketsDisabled: true,
		// Otherwise each burst begins with writes of 1.4 KB.
		DynamicRecordSizingDisabled: true,
	}
}

// verify checks the other side's certificate: by the cluster's authority, good
// now, of this cluster, with the role, and of the node that was asked for.
func (c *Credentials) verify(state tls.ConnectionState, want wire.NodeID) error {
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("%w: there is none", ErrIdentity)
	}
	if state.NegotiatedProtocol != nodeProtocol {
		return fmt.Errorf("%w: it does not speak %s", ErrIdentity, nodeProtocol)
	}
	cert := state.PeerCertificates[0]
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:       c.pool,
		CurrentTime: c.wall(),
		// Nodes have both usages, and each end needs the other's.
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("verify a node's certificate: %w", err)
	}
	id, err := identityOf(cert)
	switch {
	case err != nil:
		return err
	case id.Cluster != c.cluster:
		return fmt.Errorf("%w: of cluster %q, want %q", ErrIdentity, id.Cluster, c.cluster)
	case !slices.Contains(id.Roles, RoleNode):
		return fmt.Errorf("%w: without the role %q", ErrIdentity, RoleNode)
	case want != "" && id.Node != want:
		return fmt.Errorf("%w: of node %q, want %q", ErrIdentity, id.Node, want)
	case c.allow != nil:
		return c.allow(cert, id)
	}
	return nil
}

// ServerTLS returns the TLS configuration of a listener for clients, for
// QUIC and for HTTPS. current returns the certificate to show now, so that it
// can be renewed without a restart.
func ServerTLS(current func() *KeyPair) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		DynamicRecordSizingDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair := current()
			if pair == nil {
				return nil, errors.New("transport: no certificate yet")
			}
			return pair.certificate(), nil
		},
	}
}

// ClientTLS returns the TLS configuration of a client that trusts the pool;
// nil is the system's.
func ClientTLS(pool *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool}
}
