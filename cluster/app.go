package cluster

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"

	"github.com/quorate/quorate/wire"
)

// App is a tenant: its users and conversations know nothing of other apps'.
type App struct {
	ID        wire.AppID        `json:"id"`
	Name      string            `json:"name,omitempty"` // for people
	Key       Secret            `json:"key"`            // signs users in
	MasterKey Secret            `json:"master_key"`     // may do anything in the app
	Settings  map[string]string `json:"settings,omitempty"`
}

// Secret is a key. Printing or logging one prints that it is one; who needs
// the characters converts it to a string.
type Secret string

// String hides the secret.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[secret]" }

// LogValue hides the secret from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// NewApp makes an app with random id and keys. The randomness is usually
// crypto/rand.Reader.
func NewApp(random io.Reader, name string) (App, error) {
	id := make([]byte, 12)
	if _, err := io.ReadFull(random, id); err != nil {
		return App{}, fmt.Errorf("make an app id: %w", err)
	}
	key, err := newSecret(random)
	if err != nil {
		return App{}, err
	}
	master, err := newSecret(random)
	if err != nil {
		return App{}, err
	}
	return App{ID: wire.AppID(hex.EncodeToString(id)), Name: name, Key: key, MasterKey: master}, nil
}

// newSecret makes 32 characters of base64url from 192 random bits. It draws
// again when the first is a dash, which a command line takes for a flag.
func newSecret(random io.Reader) (Secret, error) {
	b := make([]byte, 24)
	for {
		if _, err := io.ReadFull(random, b); err != nil {
			return "", fmt.Errorf("make a key: %w", err)
		}
		if s := base64.RawURLEncoding.EncodeToString(b); s[0] != '-' {
			return Secret(s), nil
		}
	}
}
