package transport

import (
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// KeyPair is a certificate and the private key it is for.
type KeyPair struct {
	Leaf *x509.Certificate
	Key  *ecdsa.PrivateKey
}

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// CertPEM returns the certificate as a PEM block. It is not a secret.
func (p *KeyPair) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: p.Leaf.Raw})
}

// MarshalPEM returns the certificate and the private key as PEM blocks.
func (p *KeyPair) MarshalPEM() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("encode a private key: %w", err)
	}
	return append(p.CertPEM(), pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: key})...), nil
}

// ParseKeyPair reads what MarshalPEM wrote: one certificate and its P-256 key.
func ParseKeyPair(text []byte) (*KeyPair, error) {
	var pair KeyPair
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if err := pair.add(block); err != nil {
			return nil, err
		}
	}
	if pair.Leaf == nil || pair.Key == nil {
		return nil, errors.New("read a key pair: want one certificate and one private key")
	}
	if !pair.Key.PublicKey.Equal(pair.Leaf.PublicKey) {
		return nil, errors.New("read a key pair: the key is not the certificate's")
	}
	return &pair, nil
}

func (p *KeyPair) add(block *pem.Block) error {
	switch {
	case block.Type == pemCertificate && p.Leaf == nil:
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("read a certificate: %w", err)
		}
		p.Leaf = leaf
	case block.Type == pemKey && p.Key == nil:
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return fmt.Errorf("read a private key: %w", err)
		}
		var ok bool
		if p.Key, ok = key.(*ecdsa.PrivateKey); !ok {
			return fmt.Errorf("read a private key: it is %T, want an ECDSA key", key)
		}
	default:
		return fmt.Errorf("read a key pair: unexpected PEM block %q", block.Type)
	}
	return nil
}

// ParseCAPool reads a certificate authority's certificate, as CertPEM wrote
// it, into what verifies its certificates.
func ParseCAPool(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("read a certificate authority: no certificate in it")
	}
	return pool, nil
}

// Store writes the pair to a file that only this user can read. A file that
// was there is replaced as a whole or not at all.
func (p *KeyPair) Store(path string) (err error) {
	text, err := p.MarshalPEM()
	if err != nil {
		return err
	}
	// CreateTemp makes the file with mode 0600.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("store a key pair: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("store a key pair: %w", err)
	}
	return nil
}

// LoadKeyPair reads what Store wrote. It refuses a file that others can read:
// its key is not a secret any more.
func LoadKeyPair(path string) (*KeyPair, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load a key pair: %w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return nil, fmt.Errorf("load a key pair: %s has mode %04o and others can read it, want 0600", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load a key pair: %w", err)
	}
	pair, err := ParseKeyPair(text)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return pair, nil
}

// certificate returns the pair as crypto/tls wants it.
func (p *KeyPair) certificate() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{p.Leaf.Raw}, PrivateKey: p.Key, Leaf: p.Leaf}
}

// Secret derives 32 bytes from the private key for one purpose. The same key
// gives the same bytes after a restart, and the bytes tell nothing of the key
// or of another purpose's.
func (p *KeyPair) Secret(purpose string) ([32]byte, error) {
	var secret [32]byte
	key, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return secret, fmt.Errorf("derive a secret: %w", err)
	}
	derived, err := hkdf.Key(sha256.New, key, nil, "quorate "+purpose, len(secret))
	if err != nil {
		return secret, fmt.Errorf("derive a secret: %w", err)
	}
	copy(secret[:], derived)
	return secret, nil
}
