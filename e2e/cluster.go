// Package e2e runs the program as a person does: real processes on loopback,
// spoken to through the command line, killed and started again.
//
// Its tests have the build tag e2e, since they take minutes, and want the
// binary in bin/quorate: "make e2e" builds it and runs them.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Ready is the line that "quorate dev --json" prints.
type Ready struct {
	Nodes []Process `json:"nodes"`
	App   struct {
		ID        string `json:"id"`
		Key       string `json:"key"`
		MasterKey string `json:"master_key"`
	} `json:"app"`
}

// Process is one node.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	HTTP string `json:"http"`
	QUIC string `json:"quic"`
	Dir  string `json:"dir"`
}

// Cluster is a development cluster that a test has started.
type Cluster struct {
	Ready

	t       *testing.T
	binary  string
	profile string
	dev     *exec.Cmd
	again   []*exec.Cmd // nodes that were started again
	logDir  string      // where nodes that are started again log; empty: where dev has them log
}

// Start runs "quorate dev" and waits until it is ready. The test's end stops it.
func Start(t *testing.T, port int, args ...string) *Cluster {
	t.Helper()
	dir := t.TempDir()
	c := &Cluster{t: t, binary: binary(t), profile: filepath.Join(dir, "profile.json")}
	args = append([]string{"dev", "--json", "--dir", filepath.Join(dir, "data"), "--port", fmt.Sprint(port)}, args...)
	c.dev = exec.Command(c.binary, args...) //nolint:noctx // it is told to stop, in order
	c.dev.Env = append(os.Environ(), "QUORATE_PROFILE="+c.profile)
	c.dev.Stderr = os.Stderr
	out, err := c.dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("read what dev prints when it is ready: %v", err)
	}
	if err := json.Unmarshal(line, &c.Ready); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	return c
}

// binary is the program that is tested.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../bin/quorate")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (c *Cluster) stop() {
	for _, p := range append(c.again, c.dev) {
		_ = p.Process.Signal(syscall.SIGTERM)
		if err := p.Wait(); err != nil && c.t.Failed() {
			c.t.Logf("end of %v: %v", p.Args, err)
		}
	}
	if !c.t.Failed() {
		return
	}
	for i, n := range c.Nodes {
		if text, err := os.ReadFile(c.log(i)); err == nil {
			lines := strings.Split(string(text), "\n")
			c.t.Logf("log of %s:\n%s", n.Name, strings.Join(lines[max(0, len(lines)-15):], "\n"))
		}
	}
}

// Kill ends a node at once.
func (c *Cluster) Kill(i int) {
	c.t.Helper()
	if err := syscall.Kill(c.Nodes[i].PID, syscall.SIGKILL); err != nil {
		c.t.Fatalf("kill %s: %v", c.Nodes[i].Name, err)
	}
}

// Restart runs a killed node again, with the command line that dev uses.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	n := &c.Nodes[i]
	log, err := os.OpenFile(c.log(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	p := exec.Command(c.binary, "serve", "--config", filepath.Join(n.Dir, "quorate.toml")) //nolint:noctx // it is told to stop, in order
	p.Stderr = log
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	n.PID = p.Process.Pid
	c.again = append(c.again, p)
}

// log is the file that a node logs to.
func (c *Cluster) log(i int) string {
	if c.logDir != "" {
		return filepath.Join(c.logDir, c.Nodes[i].Name+".log")
	}
	return filepath.Join(c.Nodes[i].Dir, "quorate.log")
}

// awaitEnd waits until a node's process has ended.
func (c *Cluster) awaitEnd(i int) {
	c.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for c.alive(i) {
		if time.Now().After(deadline) {
			c.t.Fatalf("%s has not ended", c.Nodes[i].Name)
		}
		time.Sleep(50 * time.Millisecond) // between two looks at a real process
	}
}

// alive tells whether a node's process runs; one that has ended and is not
// waited for yet does not.
func (c *Cluster) alive(i int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Nodes[i].PID))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(state, "Z")
}

// lastLine is the last line of a node's log.
func (c *Cluster) lastLine(i int) string {
	text, err := os.ReadFile(c.log(i))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// Command makes a client command that speaks to the given servers first.
func (c *Cluster) Command(ctx context.Context, servers []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Env = append(os.Environ(), "QUORATE_PROFILE="+c.profile)
	if len(servers) > 0 {
		cmd.Env = append(cmd.Env, "QUORATE_SERVER="+strings.Join(servers, ","))
	}
	return cmd
}

// Run runs a client command and returns what it prints.
func (c *Cluster) Run(servers []string, args ...string) string {
	c.t.Helper()
	out, err := c.Try(servers, args...)
	if err != nil {
		c.t.Fatalf("quorate %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// Try is Run for a command that may fail.
func (c *Cluster) Try(servers []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := c.Command(ctx, servers, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), err
}

// HTTP and QUIC are the servers' URLs of one node.
func (c *Cluster) HTTP(i int) string { return c.Nodes[i].HTTP }

// QUIC is the URL of one node over QUIC.
func (c *Cluster) QUIC(i int) string { return "quic://" + c.Nodes[i].QUIC }

// Message is what "message … --json" prints.
type Message struct {
	Conversation string `json:"conversation"`
	Seq          uint64 `json:"seq"`
	ID           string `json:"id"`
	From         string `json:"from"`
	Timestamp    int64  `json:"timestamp"`
	Text         string `json:"text"`
}

// Messages decodes lines of messages.
func Messages(text string) ([]Message, error) {
	var all []Message
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var m Message
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, err
		}
		all = append(all, m)
	}
}
