package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/quorate/quorate/wire"
)

// useLean marks the token of a session of the LeanMessage dialect.
const useLean = "lean"

// ErrExpired is returned, as well as ErrRefused, for a token that was good once.
var ErrExpired = errors.New("auth: expired")

// LeanSession is what the token of a session of the LeanMessage dialect
// remembers: its client comes back with it, to any node, and says nothing else.
type LeanSession struct {
	App    wire.AppID
	User   wire.UserID
	Tag    string
	Device string
	Issued time.Time // to the millisecond; not before the user's "valid after", or the token is void
}

type leanClaims struct {
	claims

	Tag    string `json:"tag,omitempty"`
	Millis int64  `json:"ms"` // of the issue: a token's own times are seconds
}

// IssueLean makes the token of a session, which is good for the time given, at
// most [MaxLife]. Without a master key there is none.
func IssueLean(s LeanSession, keys Keys, life time.Duration) (string, error) {
	secret := sessionKey(keys)
	if secret == "" {
		return "", errors.New("sign a session's token: the app has no master key")
	}
	c := leanClaims{
		claims: claims{
			RegisteredClaims: jwt.RegisteredClaims{
				Subject:   string(s.User),
				Audience:  jwt.ClaimStrings{string(s.App)},
				IssuedAt:  jwt.NewNumericDate(s.Issued),
				ExpiresAt: jwt.NewNumericDate(s.Issued.Add(min(life, MaxLife))),
			},
			Use: useLean, Device: s.Device,
		},
		Tag: s.Tag, Millis: s.Issued.UnixMilli(),
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("sign a session's token: %w", err)
	}
	return token, nil
}

// VerifyLean checks the token of a session for the app with those keys at the
// given time.
func VerifyLean(app wire.AppID, keys Keys, token string, now time.Time) (LeanSession, error) {
	c := &leanClaims{}
	err := parseInto(c, app, sessionKey(keys), token, now)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return LeanSession{}, fmt.Errorf("%w: %w: %w", ErrRefused, ErrExpired, err)
	case err != nil:
		return LeanSession{}, fmt.Errorf("%w: %w", ErrRefused, err)
	case c.Use != useLean:
		return LeanSession{}, fmt.Errorf("%w: a token for %q", ErrRefused, c.Use)
	}
	id, err := c.identity(app, false)
	if err != nil {
		return LeanSession{}, err
	}
	return LeanSession{App: app, User: id.User, Tag: c.Tag, Device: id.Device, Issued: time.UnixMilli(c.Millis)}, nil
}
