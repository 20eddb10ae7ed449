package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// devLayout is where a development cluster keeps what:
//
//	DIR/cluster.json       its id, app and secrets
//	DIR/ca.pem             its authority, with the key;  DIR/ca.crt without
//	DIR/n1/quorate.toml    the configuration of the first node
//	DIR/n1/node.pem        what it shows to nodes;  client.pem: to clients
//	DIR/n1/quorate.log     its log;  DIR/n1/data: everything else
type devLayout struct {
	devSecrets

	dir    string
	web    string // of files for browsers; empty: none
	ca     *transport.CA
	places []devPlace
}

// devSecrets is what is made once.
type devSecrets struct {
	Cluster string `json:"cluster"`
	Nodes   int    `json:"nodes"`
	Shards  int    `json:"shards"`
	Gossip  string `json:"gossip_key"`
	App     devApp `json:"app"`
}

type devApp struct {
	ID        string `json:"id"`
	Key       string `json:"key"`
	MasterKey string `json:"master_key"`
}

// devPlace is one node's place.
type devPlace struct {
	name, dir, config    string
	client, peer, gossip string
}

// lockDev makes the directory and keeps others from running a cluster in it:
// they would write other configurations under the nodes. It ends with the file,
// or the process.
func lockDev(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another \"quorate dev\" runs the cluster in %s: stop it, or choose another --dir", dir)
	}
	return f, nil
}

// prepareDev makes what is not there, and the configuration anew: ports and
// certificates may have changed.
func prepareDev(c *devCmd) (*devLayout, error) {
	l := &devLayout{dir: c.Dir, web: c.Web}
	if err := l.loadSecrets(c); err != nil {
		return nil, err
	}
	if l.Nodes != c.Nodes {
		return nil, misused("the cluster in %s has %d nodes, not %d: give --nodes %d, or another --dir", c.Dir, l.Nodes, c.Nodes, l.Nodes)
	}
	if err := l.openCA(); err != nil {
		return nil, err
	}
	for i := 1; i <= c.Nodes; i++ {
		name := fmt.Sprintf("n%d", i)
		dir := filepath.Join(c.Dir, name)
		l.places = append(l.places, devPlace{
			name: name, dir: dir, config: filepath.Join(dir, "quorate.toml"),
			client: portOf(c.Port, i, 0), peer: portOf(c.Port, i, 1), gossip: portOf(c.Port, i, 2),
		})
	}
	for _, p := range l.places {
		if err := l.prepareNode(p); err != nil {
			return nil, fmt.Errorf("prepare node %s: %w", p.name, err)
		}
	}
	return l, nil
}

func (l *devLayout) loadSecrets(c *devCmd) error {
	path := filepath.Join(l.dir, "cluster.json")
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &l.devSecrets); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the cluster's secrets: %w", err)
	}
	app, err := cluster.NewApp(rand.Reader, "dev")
	if err != nil {
		return fmt.Errorf("make an app: %w", err)
	}
	var gossip [32]byte
	if _, err := rand.Read(gossip[:]); err != nil {
		return fmt.Errorf("make the gossip's key: %w", err)
	}
	l.devSecrets = devSecrets{
		Cluster: "dev-" + strings.ToLower(rand.Text()[:10]), Nodes: c.Nodes, Shards: c.Shards,
		Gossip: base64.StdEncoding.EncodeToString(gossip[:]),
		App:    devApp{ID: string(app.ID), Key: string(app.Key), MasterKey: string(app.MasterKey)},
	}
	if text, err = json.MarshalIndent(l.devSecrets, "", "  "); err != nil {
		return fmt.Errorf("encode the cluster's secrets: %w", err)
	}
	return writeSecret(path, append(text, '\n'))
}

func (l *devLayout) openCA() error {
	path := filepath.Join(l.dir, "ca.pem")
	pair, err := transport.LoadKeyPair(path)
	switch {
	case err == nil:
		l.ca, err = transport.OpenCA(pair, clock.System)
	case errors.Is(err, fs.ErrNotExist):
		if l.ca, err = transport.NewCA(l.Cluster, clock.System); err == nil {
			err = l.ca.Pair().Store(path)
		}
	}
	if err != nil {
		return fmt.Errorf("open the cluster's authority: %w", err)
	}
	return writeSecret(filepath.Join(l.dir, "ca.crt"), l.ca.Pair().CertPEM())
}

func (l *devLayout) prepareNode(p devPlace) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("make its directory: %w", err)
	}
	own, err := l.ca.IssueNode(wire.NodeID(p.name), nil, 0)
	if err != nil {
		return err
	}
	if err := own.Store(filepath.Join(p.dir, "node.pem")); err != nil {
		return err
	}
	shown, err := l.ca.IssueServer([]string{"localhost", "127.0.0.1", "::1"}, 0)
	if err != nil {
		return err
	}
	if err := shown.Store(filepath.Join(p.dir, "client.pem")); err != nil {
		return err
	}
	var text bytes.Buffer
	text.WriteString("# Written by \"quorate dev\", and written anew by each start of it.\n")
	if err := toml.NewEncoder(&text).Encode(l.config(p)); err != nil {
		return fmt.Errorf("encode its configuration: %w", err)
	}
	return writeSecret(p.config, text.Bytes())
}

func (l *devLayout) config(p devPlace) node.Config {
	cfg := node.Config{
		Cluster: l.Cluster, Node: wire.NodeID(p.name), Dir: "data", SharedMachine: true, Web: l.web,
		Listen: node.Listen{Client: p.client, Peer: p.peer, Gossip: p.gossip},
		TLS:    node.TLS{CA: "../ca.crt", Node: "node.pem", Client: "client.pem", PlainClients: true},
		Gossip: node.Gossip{Key: l.Gossip}, Storage: node.DefaultStorage(),
		Bootstrap: node.Bootstrap{Shards: l.Shards, Apps: []node.BootstrapApp{
			{
				ID: wire.AppID(l.App.ID), Name: "dev", Key: l.App.Key, MasterKey: l.App.MasterKey,
				Settings: map[string]string{"leanmessage.enabled": "on"}, // so that SDKs can be tried at once
			},
		}},
	}
	for _, o := range l.places {
		cfg.Bootstrap.Nodes = append(cfg.Bootstrap.Nodes, node.BootstrapNode{
			ID: wire.NodeID(o.name), Peer: o.peer, Gossip: o.gossip, HTTP: o.client, QUIC: o.client,
		})
	}
	return cfg
}

// profile is what the other commands use.
func (l *devLayout) profile() profile {
	p := profile{App: l.App.ID, Key: l.App.Key, MasterKey: l.App.MasterKey, CA: string(l.ca.Pair().CertPEM())}
	for _, o := range l.places {
		p.Servers = append(p.Servers, "http://"+o.client)
	}
	return p
}
