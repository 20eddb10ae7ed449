//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of its own, of so many MiB.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts a file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return dir
}

// fill writes a file until so many MiB of the disk are free.
func fill(t *testing.T, dir string, leaveMiB uint64) (remove func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	chunk := make([]byte, 1<<20)
	for freeMiB(t, dir) > leaveMiB {
		if _, err := f.Write(chunk); err != nil {
			break // full
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func freeMiB(t *testing.T, dir string) uint64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Bavail * uint64(st.Bsize) >> 20
}

// TestFullDisk: below the reserve writes are refused and reads go on; with room
// again, it heals. When another program eats the reserve too, the nodes end
// with one clear line, and come back with everything that was acknowledged.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 1500)
	c := Start(t, 17700, "--dir", filepath.Join(disk, "cluster"))
	conv := create(t, c, nil)
	send := func(text, timeout string) (string, error) {
		return c.Try(nil, "message", "send", "--as", "tom", conv, text, "--timeout", timeout, "--json")
	}
	if out, err := send("before", "10s"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	remove := fill(t, disk, 60)
	time.Sleep(2 * time.Second) // the nodes look twice a second
	if out, err := send("refused", "2s"); err == nil || !strings.Contains(err.Error(), "storage_full") {
		t.Errorf("sent below the reserve: %q, %v", out, err)
	}
	if out, err := c.Try(nil, "message", "list", "--as", "jerry", conv); err != nil || !strings.Contains(out, "before") {
		t.Errorf("read below the reserve: %q, %v", out, err)
	}
	if out, err := c.Try(nil, "cluster", "status"); err == nil || !strings.Contains(out, "storage full") {
		t.Errorf("the status does not say it: %v\n%s", err, out)
	}
	remove()
	if out, err := send("after", "10s"); err != nil {
		t.Fatalf("it does not heal: %v: %s", err, out)
	}

	// Another program takes the rest, and all nodes are killed on the full disk.
	all, err := Messages(c.Run(nil, "message", "list", "--as", "jerry", conv, "--limit", "0", "--json"))
	if err != nil {
		t.Fatal(err)
	}
	acked := map[uint64]Message{}
	for _, m := range all {
		acked[m.Seq] = m
	}
	remove = fill(t, disk, 0)
	for i := range c.Nodes {
		c.Kill(i)
		c.awaitEnd(i)
	}
	remove()
	for i := range c.Nodes {
		c.Restart(i)
	}
	if out, err := send("again", "30s"); err != nil {
		t.Fatalf("it does not come back: %v: %s", err, out)
	}
	checkAll(t, c, conv, acked)
}

// TestNoSpaceAtAll: a node that is told to keep hardly any reserve, and whose
// disk another program fills, ends with one clear line, or has just seen it in
// time and refuses what is written. Either way it comes back with everything it
// has acknowledged.
func TestNoSpaceAtAll(t *testing.T) {
	disk := smallDisk(t, 500)
	c := Start(t, 17800, "--nodes", "1", "--dir", filepath.Join(disk, "cluster"))
	conv := create(t, c, nil)
	c.Kill(0)
	c.awaitEnd(0)
	config := filepath.Join(c.Nodes[0].Dir, "quorate.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`reserve_(percent|bytes) = \d+`).ReplaceAll(text, []byte("reserve_$1 = 1"))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	// Its log is elsewhere: there is no room for the last line on the full disk.
	c.logDir = t.TempDir()
	c.Restart(0)
	agree(t, c)
	remove := fill(t, disk, 30)
	out, _ := c.Try(nil, "message", "send", "--as", "tom", conv, strings.Repeat("x", 5000)+"%d", "--count", "40000", "--timeout", "3s", "--json")
	line := c.lastLine(0)
	switch {
	case strings.Contains(line, "storage full"):
		t.Log("the node has seen it in time")
		c.Kill(0)
		c.awaitEnd(0)
	default:
		c.awaitEnd(0)
		if line = c.lastLine(0); !strings.Contains(line, "node n1 ends") || !strings.Contains(line, "no space left") {
			t.Errorf("it ended with %q, want a line that says why", line)
		}
	}
	remove()
	c.Restart(0)
	all, err := Messages(out)
	if err != nil {
		t.Fatal(err)
	}
	acked := map[uint64]Message{}
	for _, m := range all {
		acked[m.Seq] = m
	}
	t.Logf("%d acknowledged before the end", len(acked))
	checkAll(t, c, conv, acked)
}
