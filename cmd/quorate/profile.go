package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// profile is where client commands connect to when they are not told. "dev"
// writes it.
type profile struct {
	Servers   []string `json:"servers"`
	App       string   `json:"app"`
	Key       string   `json:"key"`
	MasterKey string   `json:"master_key"`
	CA        string   `json:"ca,omitempty"` // PEM
}

// profilePath is where the profile is kept.
func profilePath() (string, error) {
	if path := os.Getenv("QUORATE_PROFILE"); path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the directory for the profile (or set QUORATE_PROFILE): %w", err)
	}
	return filepath.Join(dir, "quorate", "profile.json"), nil
}

// loadProfile reads the profile; without a file it is empty.
func loadProfile() (profile, error) {
	path, err := profilePath()
	if err != nil {
		return profile{}, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return profile{}, nil
	}
	if err != nil {
		return profile{}, fmt.Errorf("read the profile: %w", err)
	}
	var p profile
	if err := json.Unmarshal(text, &p); err != nil {
		return profile{}, fmt.Errorf("read the profile %s: %w", path, err)
	}
	return p, nil
}

// store writes the profile for its owner only.
func (p profile) store() (path string, err error) {
	if path, err = profilePath(); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode the profile: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make the profile's directory: %w", err)
	}
	return path, writeSecret(path, append(text, '\n'))
}

// writeSecret replaces a file as a whole, readable by its owner only.
func writeSecret(path string, text []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// connection is the flags of every command that speaks to a cluster.
type connection struct {
	Server []string `help:"Servers: quic://, ws:// or http:// with host and port; several make it go on when one dies." env:"QUORATE_SERVER" placeholder:"URL"`
	App    string   `help:"App id." env:"QUORATE_APP" placeholder:"ID"`
	Key    string   `help:"App key; the master key is taken from QUORATE_MASTER_KEY alone. A command line shows it to others on this machine: better use the environment." env:"QUORATE_KEY" placeholder:"KEY"`
	CA     string   `help:"File with the certificate authority of the servers (PEM)." placeholder:"FILE" type:"existingfile" env:"QUORATE_CA"`
}

// resolve returns what to connect to, and how to check it.
func (c connection) resolve() (profile, *tls.Config, error) {
	p, err := c.profile()
	if err != nil {
		return profile{}, nil, err
	}
	conf, err := p.tls()
	return p, conf, err
}

// profile fills in from the environment and the profile what is not given.
func (c connection) profile() (profile, error) {
	p, err := loadProfile()
	if err != nil {
		return profile{}, err
	}
	if len(c.Server) > 0 {
		p.Servers = c.Server
	}
	if c.App != "" {
		if c.App != p.App { // the profile's keys are another app's
			p.Key, p.MasterKey = "", ""
		}
		p.App = c.App
	}
	if c.Key != "" {
		p.Key = c.Key
	}
	if key := os.Getenv("QUORATE_MASTER_KEY"); key != "" {
		p.MasterKey = key
	}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return profile{}, fmt.Errorf("read the certificate authority: %w", err)
		}
		p.CA = string(text)
	}
	switch {
	case len(p.Servers) == 0:
		return profile{}, misused(`no server is known: give --server, set QUORATE_SERVER, or run "quorate dev" first`)
	case p.App == "":
		return profile{}, misused("no app is known: give --app or set QUORATE_APP")
	}
	return p, nil
}

// tls returns how to check the servers.
func (p profile) tls() (*tls.Config, error) {
	if p.CA == "" {
		return nil, nil
	}
	pool, err := transport.ParseCAPool([]byte(p.CA))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority of the servers: %w", err)
	}
	return transport.ClientTLS(pool), nil
}

// signingKey is what signs users in: the app's key, or else its master key.
func (p profile) signingKey() string {
	if p.Key == "" {
		return p.MasterKey
	}
	return p.Key
}

// dial signs in as a user, or as the app itself when none is named.
func (c connection) dial(ctx context.Context, e *env, user *string) (*client.Client, error) {
	if user != nil {
		return c.dialAs(ctx, e, *user)
	}
	o, p, err := c.options(ctx, e)
	if err != nil {
		return nil, err
	}
	if p.MasterKey == "" {
		return nil, misused("say who reads with --as USER, or set QUORATE_MASTER_KEY to read as the app")
	}
	o.MasterKey = p.MasterKey
	return client.Dial(ctx, o)
}

// dialAs signs in as a user.
func (c connection) dialAs(ctx context.Context, e *env, user string) (*client.Client, error) {
	if err := wire.ValidID(user); err != nil {
		return nil, misused("--as: the user's id %v", err)
	}
	o, p, err := c.options(ctx, e)
	if err != nil {
		return nil, err
	}
	o.User = wire.UserID(user)
	if o.Key = p.signingKey(); o.Key == "" {
		return nil, misused("no key is known: set QUORATE_KEY or QUORATE_MASTER_KEY")
	}
	return client.Dial(ctx, o)
}

func (c connection) options(ctx context.Context, e *env) (client.Options, profile, error) {
	p, conf, err := c.resolve()
	if err != nil {
		return client.Options{}, profile{}, err
	}
	return client.Options{
		Servers: p.Servers, App: wire.AppID(p.App), TLS: conf, Agent: "quorate-cli " + version(),
		Handlers: client.Handlers{Disconnected: func(err error) {
			if ctx.Err() == nil && err != nil {
				e.say("connection lost, going on: %v", err)
			}
		}},
	}, p, nil
}
