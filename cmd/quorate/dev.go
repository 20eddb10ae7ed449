package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/node/door"
)

type devCmd struct {
	Nodes   int    `help:"How many nodes." default:"3"`
	Dir     string `help:"Where the cluster keeps its data; it is there again the next time." default:"quorate-dev" type:"path"`
	Port    int    `help:"Port of the first node's clients; node n adds 10 × (n − 1)." default:"7400"`
	Shards  int    `help:"How many shards a new cluster has." default:"16"`
	Verbose bool   `help:"Print the command line of each node, and their logs."`
	JSON    bool   `name:"json" help:"Print one line of JSON when the cluster is ready."`

	Web         string            `help:"A directory of files that the nodes serve to browsers, under /web/." type:"existingdir" placeholder:"DIR"`
	AppSettings map[string]string `name:"app-setting" mapsep:"none" help:"A setting of the app, as NAME=VALUE; may be given several times. \"quorate app show\" lists them." placeholder:"NAME=VALUE"`
}

// Help is what --help adds.
func (devCmd) Help() string {
	return `Each node is a process of its own, with its data in DIR/n1, DIR/n2, …; Ctrl-C stops all of them. An app with keys is made for you, and the profile is written, so that the other commands find the cluster that was started last; to have several, give each terminal a file of its own in QUORATE_PROFILE.

A node that dies is not started again by itself. "quorate serve --config DIR/n2/quorate.toml" does that.`
}

// devReadyTimeout bounds how long the nodes may take to serve.
const devReadyTimeout = 60 * time.Second

// devStopTimeout bounds how long a node may take to stop; then it is killed.
const devStopTimeout = 10 * time.Second

// Run runs the cluster until it is told to stop.
func (c *devCmd) Run(ctx context.Context, e *env) error {
	if c.Nodes < 1 || c.Nodes > 99 {
		return misused("--nodes wants 1 to 99")
	}
	if c.Port < 1 || c.Port+10*c.Nodes > 65535 {
		return misused("--port wants a port with %d free ones above it", 10*c.Nodes)
	}
	if err := door.CheckSettings(c.AppSettings); err != nil {
		return misused("--app-setting: %v", err)
	}
	lock, err := lockDev(c.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	layout, err := prepareDev(c)
	if err != nil {
		return err
	}
	d := &devCluster{cmd: c, e: e, layout: layout}
	if err := d.checkPorts(ctx); err != nil {
		return err
	}
	defer d.stop()
	if err := d.start(); err != nil {
		return err
	}
	if err := d.awaitReady(ctx); err != nil {
		return err
	}
	if err := d.setUpApp(ctx); err != nil {
		return err
	}
	profile, err := layout.profile().store()
	if err != nil {
		return err
	}
	if err := d.announce(profile); err != nil {
		return err
	}
	<-ctx.Done()
	e.say("stopping…")
	return nil
}

// devCluster is the running processes.
type devCluster struct {
	cmd    *devCmd
	e      *env
	layout *devLayout
	keep   *os.File // its end tells the nodes that this process has ended

	mu      sync.Mutex
	stopped bool
	nodes   []*devNode
	waits   sync.WaitGroup
}

type devNode struct {
	place devPlace
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{}
}

// checkPorts says which port is taken before anything is started.
func (d *devCluster) checkPorts(ctx context.Context) error {
	var lc net.ListenConfig
	for _, p := range d.layout.places {
		for _, address := range []string{p.client, p.peer, p.gossip} {
			l, err := lc.Listen(ctx, "tcp", address)
			if err != nil {
				return fmt.Errorf("%s is taken (another cluster, perhaps): stop what listens there, or choose another --port: %w", address, err)
			}
			if err := l.Close(); err != nil {
				return fmt.Errorf("try %s: %w", address, err)
			}
		}
	}
	return nil
}

// start starts all nodes.
func (d *devCluster) start() error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	d.keep = write
	defer func() { _ = read.Close() }() // the nodes have it
	for _, p := range d.layout.places {
		if err := d.startNode(exe, p, read); err != nil {
			return err
		}
	}
	return nil
}

func (d *devCluster) startNode(exe string, p devPlace, pipe *os.File) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "quorate.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of node %s: %w", p.name, err)
	}
	n := &devNode{place: p, log: log, ended: make(chan struct{})}
	n.cmd = exec.Command(exe, "serve", "--config", p.config) //nolint:noctx // it outlives the signal, to stop in order
	n.cmd.ExtraFiles = []*os.File{pipe}
	n.cmd.Env = append(os.Environ(), parentFD+"=3")
	n.cmd.Stderr = log
	if d.cmd.Verbose {
		d.e.say("node %s: %s serve --config %s", p.name, exe, p.config)
		n.cmd.Stderr = &prefixed{to: d.e, prefix: p.name + " | ", also: log}
	}
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for dev, which stops them in order
	if err := n.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start node %s: %w", p.name, err), log.Close())
	}
	d.mu.Lock()
	d.nodes = append(d.nodes, n)
	d.mu.Unlock()
	d.waits.Go(func() { d.watch(exe, n) })
	return nil
}

// watch waits for a node's end, and says so if nobody wanted it.
func (d *devCluster) watch(exe string, n *devNode) {
	err := n.cmd.Wait()
	close(n.ended)
	_ = n.log.Close()
	d.mu.Lock()
	wanted := d.stopped
	d.mu.Unlock()
	if wanted {
		return
	}
	why := "it exited by itself"
	if err != nil {
		why = err.Error()
	}
	d.e.say("node %s (pid %d) has ended: %s. The others go on. Its log is %s; start it again with:\n  %s serve --config %s",
		n.place.name, n.cmd.Process.Pid, why, filepath.Join(n.place.dir, "quorate.log"), exe, n.place.config)
	if n.cmd.ProcessState.Exited() { // by itself, so it has said why
		d.e.say("the end of its log:\n%s", lastLines(n.log.Name(), 3))
	}
}

// awaitReady waits until every node serves.
func (d *devCluster) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, devReadyTimeout)
	defer cancel()
	hc := &http.Client{Timeout: time.Second}
	defer hc.CloseIdleConnections()
	for _, n := range d.nodes {
		for !healthy(ctx, hc, n.place.client) {
			select {
			case <-n.ended:
				return fmt.Errorf("node %s did not start: see the end of %s:\n%s", n.place.name, n.log.Name(), lastLines(n.log.Name(), 5))
			case <-ctx.Done():
				return fmt.Errorf("node %s does not serve yet: see %s: %w", n.place.name, n.log.Name(), ctx.Err())
			case <-time.After(30 * time.Millisecond):
			}
		}
	}
	return nil
}

// setUpApp gives the app the settings of the command line.
func (d *devCluster) setUpApp(ctx context.Context) error {
	if len(d.cmd.AppSettings) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	change := question{http.MethodPatch, "/v1/app", node.AppChange{Settings: d.cmd.AppSettings}}
	if err := d.layout.profile().ask(ctx, change, new(node.AppInfo)); err != nil {
		return fmt.Errorf("change settings of the app: %w", err)
	}
	return nil
}

func healthy(ctx context.Context, hc *http.Client, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := hc.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}

// devReady is what dev prints for scripts.
type devReady struct {
	Nodes []devReadyNode `json:"nodes"`
	App   devApp         `json:"app"`
}

type devReadyNode struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	HTTP string `json:"http"`
	QUIC string `json:"quic"`
	Dir  string `json:"dir"`
}

// announce says that the cluster is ready, and what to do next.
func (d *devCluster) announce(profile string) error {
	app := d.layout.App
	ready := devReady{App: app}
	for _, n := range d.nodes {
		ready.Nodes = append(ready.Nodes, devReadyNode{
			Name: n.place.name, PID: n.cmd.Process.Pid, HTTP: "http://" + n.place.client, QUIC: n.place.client, Dir: n.place.dir,
		})
	}
	if d.cmd.JSON {
		return d.e.printJSON(ready)
	}
	w := d.e.stdout
	fmt.Fprintf(w, "The cluster is ready: %d nodes, data in %s\n\n", len(ready.Nodes), d.cmd.Dir)
	for _, n := range ready.Nodes {
		fmt.Fprintf(w, "  %s   %s   quic://%s   pid %d\n", n.Name, n.HTTP, n.QUIC, n.PID)
	}
	fmt.Fprintf(w, "\n  app         %s\n  key         %s\n  master key  %s\n", app.ID, app.Key, app.MasterKey)
	fmt.Fprintf(w, `
The other commands find it through %s. In another terminal, try:

  quorate conversation create --as tom --members jerry,mary
  quorate message send --as tom CONVERSATION 'Hello!'
  quorate message tail CONVERSATION --from 0
  quorate cluster status

Kill a node if you like (kill -9 %d): the others go on. Ctrl-C stops all.
`, profile, ready.Nodes[len(ready.Nodes)-1].PID)
	return nil
}

// stop stops all nodes that this process started, and waits for them.
func (d *devCluster) stop() {
	d.mu.Lock()
	d.stopped = true
	nodes := d.nodes
	d.mu.Unlock()
	for _, n := range nodes {
		_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	timeout := time.AfterFunc(devStopTimeout, func() {
		for _, n := range nodes {
			_ = n.cmd.Process.Kill()
		}
	})
	d.waits.Wait()
	timeout.Stop()
	if d.keep != nil {
		_ = d.keep.Close()
	}
}

// prefixed writes lines to stderr with the node's name, and to its log.
type prefixed struct {
	to     *env
	prefix string
	also   *os.File
	rest   []byte
}

// Write implements io.Writer.
func (p *prefixed) Write(b []byte) (int, error) {
	if _, err := p.also.Write(b); err != nil {
		return 0, err
	}
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := strings.Cut(string(p.rest), "\n")
		if !ok {
			return len(b), nil
		}
		p.to.say("%s%s", p.prefix, line)
		p.rest = []byte(rest)
	}
}

func portOf(base, number, plus int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(base+10*(number-1)+plus))
}
