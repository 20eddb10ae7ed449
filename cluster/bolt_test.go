package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/virtual"
)

func openBolt(t *testing.T, dir string) *Bolt {
	t.Helper()
	b, err := OpenBolt(dir, BoltOptions{Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRestartFromBolt stops a node and starts it on the same directory, in
// real time: once with its snapshot, once with the log alone.
func TestRestartFromBolt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "meta")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	live := func(run func(*Meta)) {
		disk := openBolt(t, dir)
		_, net := raft.NewInmemTransport("n1")
		meta, err := Open("n1", disk.Stores(), Links{Raft: net}, testBootstrap(1), Options{SnapshotDelay: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		run(meta)
		if err := errors.Join(meta.Close(), disk.Close()); err != nil {
			t.Fatal(err)
		}
	}
	propose := func(m *Meta, c Command) {
		t.Helper()
		res, err := m.Propose(ctx, c)
		if err != nil || res.Err() != nil {
			t.Fatal(err, res.Err())
		}
	}

	live(func(m *Meta) {
		if err := m.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		propose(m, setting("a", "1"))
		if err := m.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		propose(m, setting("b", "2"))
	})
	live(func(m *Meta) {
		if got := m.Table().Setting("a"); got != "1" {
			t.Errorf("a = %q right after Open, want it from the snapshot", got)
		}
		if err := m.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if got := m.Table().Setting("b"); got != "2" {
			t.Errorf("b = %q, want it from the log", got)
		}
		propose(m, setting("c", "3"))
	})
	live(func(m *Meta) {
		if err := m.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if got := m.Table(); got.Setting("b") != "2" || got.Setting("c") != "3" || !got.Ready() {
			t.Errorf("settings %v after the second restart", got.Settings())
		}
	})

	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v (%v), want it closed to others", info.Mode(), err)
	}
}

// TestBoltVoteIsOneWrite takes the store between raft's two writes of a vote:
// the term alone must not be there.
func TestBoltVoteIsOneWrite(t *testing.T) {
	dir := t.TempDir()
	b := openBolt(t, dir)
	stable := b.Stores().Stable
	vote := func(term uint64, candidate string) {
		t.Helper()
		if err := errors.Join(stable.SetUint64([]byte("LastVoteTerm"), term), stable.Set([]byte("LastVoteCand"), []byte(candidate))); err != nil {
			t.Fatal(err)
		}
	}
	vote(4, "n1")
	if err := stable.SetUint64([]byte("LastVoteTerm"), 5); err != nil { // and the power goes
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openBolt(t, dir)
	defer b.Close()
	stable = b.Stores().Stable
	term, err := stable.GetUint64([]byte("LastVoteTerm"))
	candidate, err2 := stable.Get([]byte("LastVoteCand"))
	if err := errors.Join(err, err2); err != nil || term != 4 || string(candidate) != "n1" {
		t.Errorf("voted in term %d for %q (%v), want 4, n1: half a vote must not count", term, candidate, err)
	}
}

// TestUnfinishedSnapshotsGo opens a directory in which a crash left one.
func TestUnfinishedSnapshotsGo(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "snapshots", "2-10-1.tmp")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	b := openBolt(t, dir)
	defer b.Close()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", left, err)
	}
}

// TestBoltInUse opens the directory of a node that runs.
func TestBoltInUse(t *testing.T) {
	dir := t.TempDir()
	b := openBolt(t, dir)
	defer b.Close()
	if _, err := OpenBolt(dir, BoltOptions{}); err == nil {
		t.Error("opened twice")
	}
}

// slowLog is a log on a disk that takes its time, or fails.
type slowLog struct {
	raft.LogStore
	takes time.Duration
	err   error
}

func (l slowLog) StoreLogs([]*raft.Log) error {
	time.Sleep(l.takes)
	return l.err
}

func TestWatchdog(t *testing.T) {
	broken := errors.New("input/output error")
	for _, tc := range []struct {
		name string
		disk slowLog
		want string // part of the error; empty for none
		at   time.Duration
	}{
		{"fast", slowLog{takes: time.Millisecond}, "", 0},
		{"slow", slowLog{takes: 4 * time.Second}, "", 0},
		{"hung", slowLog{takes: time.Hour}, "not answered for 5s", 5 * time.Second},
		{"broken", slowLog{err: broken}, broken.Error(), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) {
				began := time.Now()
				var bites []string
				var at time.Duration
				dog := &watchdog{limit: 5 * time.Second, fatal: func(err error) {
					bites = append(bites, err.Error())
					at = time.Since(began)
				}}
				log := watchedLog{LogStore: tc.disk, dog: dog}
				err := errors.Join(log.StoreLogs(nil), log.StoreLogs(nil))
				synctest.Wait()
				if !errors.Is(err, tc.disk.err) {
					t.Errorf("error %v, want %v", err, tc.disk.err)
				}
				switch {
				case tc.want == "" && len(bites) > 0:
					t.Errorf("bit: %q", bites)
				case tc.want != "" && (len(bites) != 1 || !strings.Contains(bites[0], tc.want) || at != tc.at):
					t.Errorf("bit %q after %s, want once, with %q, after %s", bites, at, tc.want, tc.at)
				}
			})
		})
	}
}
