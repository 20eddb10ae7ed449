//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func create(t *testing.T, c *Cluster, servers []string) string {
	t.Helper()
	var conv struct {
		ID      string   `json:"id"`
		Members []string `json:"members"`
	}
	out := c.Run(servers, "conversation", "create", "--as", "tom", "--members", "jerry,mary", "--name", "tea", "--json")
	if err := json.Unmarshal([]byte(out), &conv); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(conv.Members) != 3 {
		t.Fatalf("members %v, want three", conv.Members)
	}
	return conv.ID
}

// TestFollowedFromAnotherNode: a conversation created on one node is read and
// followed live from another, over QUIC and over WebSocket.
func TestFollowedFromAnotherNode(t *testing.T) {
	started := time.Now()
	c := Start(t, 17400)
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("ready after %v, want 10s at most", took)
	}
	conv := create(t, c, []string{c.HTTP(0)})
	for _, server := range []string{c.HTTP(1), c.QUIC(2)} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		tail := c.Command(ctx, []string{server}, "message", "tail", "--as", "jerry", conv, "--json", "--messages", "1")
		out, err := tail.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		said, err := tail.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := tail.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || !strings.Contains(line, "following") {
			t.Fatalf("tail says %q, %v", line, err)
		}
		text := "through " + server
		c.Run([]string{c.HTTP(0)}, "message", "send", "--as", "tom", conv, text)
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || !strings.Contains(line, text) {
			t.Errorf("tail over %s shows %q, %v", server, line, err)
		}
		if err := tail.Wait(); err != nil {
			t.Errorf("tail over %s: %v", server, err)
		}
		if list := c.Run([]string{server}, "message", "list", "--as", "mary", conv, "--json"); !strings.Contains(list, text) {
			t.Errorf("list over %s shows %q", server, list)
		}
	}
	if out, err := c.Try(nil, "message", "list", "--as", "eve", conv); err == nil || !strings.Contains(err.Error(), "not_member") {
		t.Errorf("a stranger reads %q, %v", out, err)
	}
}

// sent is one acknowledgement, and when it came.
type sent struct {
	Message

	at time.Time
}

// sendMany runs "message send --count" and tells each acknowledgement.
func sendMany(t *testing.T, c *Cluster, servers []string, conv string, count int) <-chan sent {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	cmd := c.Command(ctx, servers, "message", "send", "--as", "tom", conv, "number %d", "--count", fmt.Sprint(count), "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acks := make(chan sent)
	go func() {
		defer cancel()
		defer close(acks)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var m Message
			if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
				t.Errorf("%v: %s", err, lines.Text())
			}
			acks <- sent{m, time.Now()}
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("send: %v: %s", err, errs.String())
		}
	}()
	return acks
}

// checkAll checks that what was acknowledged is there, once and in its place,
// and that all replicas agree.
func checkAll(t *testing.T, c *Cluster, conv string, acked map[uint64]Message) {
	t.Helper()
	for i := range c.Nodes {
		all, err := Messages(c.Run([]string{c.HTTP(i)}, "message", "list", "--as", "jerry", conv, "--limit", "0", "--json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(all) < len(acked) {
			t.Errorf("%s has %d messages, %d were acknowledged", c.Nodes[i].Name, len(all), len(acked))
		}
		texts := map[string]bool{}
		for j, m := range all {
			if m.Seq != uint64(j+1) {
				t.Fatalf("%s has sequence %d in place %d", c.Nodes[i].Name, m.Seq, j+1)
			}
			if texts[m.Text] {
				t.Errorf("%q is there twice", m.Text)
			}
			texts[m.Text] = true
			if a, ok := acked[m.Seq]; ok && (a.ID != m.ID || a.Text != m.Text) {
				t.Errorf("sequence %d is %s %q, acknowledged was %s %q", m.Seq, m.ID, m.Text, a.ID, a.Text)
			}
		}
	}
	agree(t, c)
	if out, err := c.Try(nil, "cluster", "scrub"); err != nil {
		t.Errorf("scrub: %v\n%s", err, out)
	}
}

// agree waits until the cluster is healthy and the chains of all replicas are
// equal at the last entry.
func agree(t *testing.T, c *Cluster) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		out, err := c.Try(nil, "cluster", "status", "--json")
		var status struct {
			Shards []struct {
				ID       int    `json:"id"`
				Chains   string `json:"chains"`
				Replicas []struct {
					Lag uint64 `json:"lag"`
				} `json:"replicas"`
			} `json:"shards"`
		}
		if err == nil {
			if err := json.Unmarshal([]byte(out), &status); err != nil {
				t.Fatal(err)
			}
		}
		equal := err == nil
		for _, sh := range status.Shards {
			equal = equal && sh.Chains == "agree" && len(sh.Replicas) == len(c.Nodes)
			for _, r := range sh.Replicas {
				equal = equal && r.Lag == 0
			}
		}
		if equal {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replicas do not agree: %v\n%s", err, out)
		}
		time.Sleep(200 * time.Millisecond) // between two looks at real processes
	}
}

func TestKillOneNodeWhileSending(t *testing.T) {
	for victim, name := range map[int]string{0: "the one the sender is connected to", 1: "another one"} {
		t.Run(name, func(t *testing.T) {
			c := Start(t, 17500)
			conv := create(t, c, nil)
			acked := map[uint64]Message{}
			var last time.Time
			var longest time.Duration
			for s := range sendMany(t, c, []string{c.HTTP(0), c.HTTP(1), c.HTTP(2)}, conv, 20_000) {
				if old, ok := acked[s.Seq]; ok {
					t.Errorf("sequence %d was given to %q and %q", s.Seq, old.Text, s.Text)
				}
				acked[s.Seq] = s.Message
				if !last.IsZero() {
					longest = max(longest, s.at.Sub(last))
				}
				last = s.at
				switch len(acked) {
				case 3000:
					c.Kill(victim)
				case 10_000:
					c.Restart(victim)
				}
			}
			if len(acked) != 20_000 {
				t.Errorf("%d acknowledged, want 20,000", len(acked))
			}
			t.Logf("longest time without an acknowledgement: %v", longest)
			if longest > 3*time.Second {
				t.Errorf("no acknowledgement for %v, want 3s at most", longest)
			}
			checkAll(t, c, conv, acked)
		})
	}
}

func TestKillAllNodesWhileSending(t *testing.T) {
	c := Start(t, 17600)
	conv := create(t, c, nil)
	acked := map[uint64]Message{}
	var restarted time.Time
	var back time.Duration
	for s := range sendMany(t, c, nil, conv, 20_000) {
		acked[s.Seq] = s.Message
		if !restarted.IsZero() && back == 0 {
			back = s.at.Sub(restarted)
		}
		if len(acked) == 5000 {
			for i := range c.Nodes {
				c.Kill(i)
			}
			for i := range c.Nodes {
				c.Restart(i)
			}
			restarted = time.Now()
		}
	}
	t.Logf("acknowledged again %v after the restart", back)
	if back > 5*time.Second {
		t.Errorf("acknowledged again %v after the restart, want 5s at most", back)
	}
	checkAll(t, c, conv, acked)
}
