// Package auth says who a client is.
//
// A client signs in with a JSON Web Token, signed with HMAC-SHA-256 by its
// app's key or master key: subject the user, audience the app, an expiry at
// most a day ahead. A token of the master key without a subject is the app
// itself, which may do everything in it. A node answers with a session token, signed with a key
// derived from the app's master key, so that every node can verify it and none
// has to remember it.
//
// What always holds: only HS256 is accepted, a token is good for one app and
// one user, and a wrong signature, an unknown app and an expired token are
// refused alike.
package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/quorate/quorate/wire"
)

const (
	// MaxLife is how long a token may be valid after it was issued.
	MaxLife = 24 * time.Hour
	// leeway is how far clocks of clients may be off.
	leeway = time.Minute
)

// ErrRefused is returned for every token that does not sign in. The wrapped
// cause is for the node's own log, not for the client.
var ErrRefused = errors.New("auth: refused")

// Keys are what an app signs with.
type Keys struct {
	Key, MasterKey string
}

// Identity is what a token proves.
type Identity struct {
	App    wire.AppID
	User   wire.UserID // empty: the app itself
	Device string      // of a session token; empty in an app's token
	Issued time.Time   // not before the user's "valid after", or the token is void
}

type claims struct {
	jwt.RegisteredClaims

	Use    string `json:"use,omitempty"` // "session" in a session token, "lean" in one of that dialect
	Device string `json:"dev,omitempty"`
}

// useSession marks a token that a node has issued.
const useSession = "session"

// Verify checks a token for the app with those keys at the given time.
func Verify(app wire.AppID, keys Keys, token string, now time.Time) (Identity, error) {
	secrets := []string{keys.Key, keys.MasterKey, sessionKey(keys)}
	uses := []string{"", "", useSession}

	var causes error
	for i, secret := range secrets {
		c, err := parse(app, secret, token, now)
		if err != nil {
			causes = errors.Join(causes, err)
			continue
		}
		if c.Use != uses[i] {
			return Identity{}, fmt.Errorf("%w: a token for %q signed by another key", ErrRefused, c.Use)
		}
		return c.identity(app, secret != keys.Key)
	}
	return Identity{}, fmt.Errorf("%w: %w", ErrRefused, causes)
}

func parse(app wire.AppID, secret, token string, now time.Time) (*claims, error) {
	c := &claims{}
	if err := parseInto(c, app, secret, token, now); err != nil {
		return nil, err
	}
	return c, nil
}

func parseInto(c jwt.Claims, app wire.AppID, secret, token string, now time.Time) error {
	if secret == "" {
		return errors.New("the app has no such key")
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithAudience(string(app)),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	if _, err := parser.ParseWithClaims(token, c, func(*jwt.Token) (any, error) { return []byte(secret), nil }); err != nil {
		return fmt.Errorf("parse token: %w", err)
	}
	return nil
}

func (c *claims) identity(app wire.AppID, master bool) (Identity, error) {
	if err := wire.ValidID(c.Subject); err != nil && (!master || c.Subject != "") {
		return Identity{}, fmt.Errorf("%w: subject %w", ErrRefused, err)
	}
	if c.IssuedAt == nil {
		return Identity{}, fmt.Errorf("%w: no time of issue", ErrRefused)
	}
	if life := c.ExpiresAt.Sub(c.IssuedAt.Time); life > MaxLife {
		return Identity{}, fmt.Errorf("%w: valid for %v, want at most %v", ErrRefused, life, MaxLife)
	}
	return Identity{App: app, User: wire.UserID(c.Subject), Device: c.Device, Issued: c.IssuedAt.Time}, nil
}

// Issue makes a session token: it signs the identity in again, on any node,
// until [MaxLife] after the app's token was issued. It does not outlive that by
// being renewed.
func Issue(id Identity, keys Keys) (string, error) {
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject:   string(id.User),
			Audience:  jwt.ClaimStrings{string(id.App)},
			IssuedAt:  jwt.NewNumericDate(id.Issued),
			ExpiresAt: jwt.NewNumericDate(id.Issued.Add(MaxLife)),
		},
		Use:    useSession,
		Device: id.Device,
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(sessionKey(keys)))
	if err != nil {
		return "", fmt.Errorf("sign session token: %w", err)
	}
	return token, nil
}

// sessionKey derives the key of session tokens, so that a client that holds
// the app's key cannot make one.
func sessionKey(keys Keys) string {
	if keys.MasterKey == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(keys.MasterKey))
	mac.Write([]byte("quorate session token 1"))
	return string(mac.Sum(nil))
}

// SameSecret compares two secrets in constant time, whatever their lengths.
func SameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return hmac.Equal(x[:], y[:])
}
