package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/quorate/quorate/wire"
)

// tokenLife is how long a token that the client signs is valid. It is used at
// once, so it need not be long.
const tokenLife = time.Hour

// SignToken makes a token that signs the user in to the app until life is over,
// at most 24 hours from now. An app's server uses it to let users in without
// giving them the key.
func SignToken(app wire.AppID, user wire.UserID, key string, now time.Time, life time.Duration) (string, error) {
	claims := jwt.RegisteredClaims{
		Subject:   string(user),
		Audience:  jwt.ClaimStrings{string(app)},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(life)),
		ID:        rand.Text(),
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(key))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// credentials give a token for each sign-in. Only the goroutine that connects
// uses them.
type credentials struct {
	opts    Options
	session string // of the last welcome
	spent   bool   // the app's token has signed in once, so the session's comes first
}

// next returns the token to sign in with.
func (c *credentials) next(ctx context.Context) (string, error) {
	if key := c.key(); key != "" {
		return SignToken(c.opts.App, c.opts.User, key, c.opts.Wall(), tokenLife)
	}
	if c.spent && c.session != "" {
		return c.session, nil
	}
	if c.opts.TokenFunc == nil {
		return c.opts.Token, nil
	}
	token, err := c.opts.TokenFunc(ctx)
	if err != nil {
		return "", fmt.Errorf("get token: %w", err)
	}
	return token, nil
}

// key is what the client signs with itself, if it does.
func (c *credentials) key() string {
	if c.opts.MasterKey != "" {
		return c.opts.MasterKey
	}
	return c.opts.Key
}

// accepted remembers what a welcome gave.
func (c *credentials) accepted(session string) { c.session, c.spent = session, true }

// refused tells whether there is another token to try after the last one was
// refused.
func (c *credentials) refused() bool {
	again := c.spent && c.session != "" && c.key() == ""
	c.spent = false
	return again
}
