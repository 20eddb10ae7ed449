package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/wire"
)

// How long certificates are good for, when the caller does not say. They begin
// an hour early, so that a node whose clock is behind accepts them.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	nodeLife = 90 * 24 * time.Hour
	early    = time.Hour
)

// RoleNode is the role without which a certificate opens no connection between
// nodes.
const RoleNode = "node"

// ErrIdentity is the cause when a certificate is good and is not for this: of
// another cluster, of another node, or without the role.
var ErrIdentity = errors.New("transport: certificate is not for this")

// Identity is who a certificate says the other side is.
//
// In the certificate's subject, CN is the node, O the cluster, and each OU a
// role.
type Identity struct {
	Cluster string
	Node    wire.NodeID
	Roles   []string
}

// identityOf reads the identity out of a certificate that was verified.
func identityOf(cert *x509.Certificate) (Identity, error) {
	subject := cert.Subject
	if len(subject.Organization) != 1 || wire.ValidID(subject.CommonName) != nil {
		return Identity{}, fmt.Errorf("%w: its subject is %q", ErrIdentity, subject.String())
	}
	return Identity{
		Cluster: subject.Organization[0],
		Node:    wire.NodeID(subject.CommonName),
		Roles:   subject.OrganizationalUnit,
	}, nil
}

// CA is the cluster's own certificate authority. It issues the certificates of
// nodes and those that clients see, all with P-256 keys, which every client
// can verify.
type CA struct {
	cluster string
	wall    clock.Wall
	pair    *KeyPair
}

// NewCA makes an authority for the cluster with that id, good for ten years.
func NewCA(cluster string, wall clock.Wall) (*CA, error) {
	if err := wire.ValidID(cluster); err != nil {
		return nil, fmt.Errorf("make a certificate authority: cluster id %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "quorate " + cluster, Organization: []string{cluster}},
		NotAfter:              wall().Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	pair, err := issue(template, nil, wall)
	if err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	return &CA{cluster: cluster, wall: wall, pair: pair}, nil
}

// OpenCA returns the authority whose key pair was stored.
func OpenCA(pair *KeyPair, wall clock.Wall) (*CA, error) {
	if !pair.Leaf.IsCA || len(pair.Leaf.Subject.Organization) != 1 {
		return nil, fmt.Errorf("%w: not of a certificate authority", ErrIdentity)
	}
	return &CA{cluster: pair.Leaf.Subject.Organization[0], wall: wall, pair: pair}, nil
}

// Cluster returns the id of the cluster the authority is for.
func (ca *CA) Cluster() string { return ca.cluster }

// Pair returns the authority's own certificate and key, to store them.
func (ca *CA) Pair() *KeyPair { return ca.pair }

// Pool returns what verifies the certificates of this authority.
func (ca *CA) Pool() *x509.CertPool { return poolOf(ca.pair.Leaf) }

func poolOf(cert *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

// IssueNode makes the certificate a node shows to other nodes. The role
// RoleNode is always among the roles. A life of 0 is 90 days.
func (ca *CA) IssueNode(id wire.NodeID, roles []string, life time.Duration) (*KeyPair, error) {
	if err := wire.ValidID(string(id)); err != nil {
		return nil, fmt.Errorf("issue a node's certificate: id %w", err)
	}
	if !slices.Contains(roles, RoleNode) {
		roles = append([]string{RoleNode}, roles...)
	}
	return ca.issueLeaf(&x509.Certificate{
		Subject: pkix.Name{
			CommonName: string(id), Organization: []string{ca.cluster}, OrganizationalUnit: roles,
		},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, life)
}

// IssueServer makes the certificate that clients see, on QUIC and HTTPS, good
// for the host names and IP addresses. It has no role, so it opens nothing
// between nodes. A life of 0 is 90 days.
func (ca *CA) IssueServer(hosts []string, life time.Duration) (*KeyPair, error) {
	if len(hosts) == 0 {
		return nil, errors.New("issue a server's certificate: no host names")
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0], Organization: []string{ca.cluster}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return ca.issueLeaf(template, life)
}

func (ca *CA) issueLeaf(template *x509.Certificate, life time.Duration) (*KeyPair, error) {
	if life == 0 {
		life = nodeLife
	}
	template.NotAfter = ca.wall().Add(life)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	pair, err := issue(template, ca.pair, ca.wall)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", template.Subject.CommonName, err)
	}
	return pair, nil
}

// issue makes a key and the certificate for it; one without a parent signs
// itself.
func issue(template *x509.Certificate, parent *KeyPair, wall clock.Wall) (*KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	template.NotBefore = wall().Add(-early)
	signer, signed := key, template
	if parent != nil {
		signer, signed = parent.Key, parent.Leaf
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signed, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back what was signed: %w", err)
	}
	return &KeyPair{Leaf: leaf, Key: key}, nil
}
