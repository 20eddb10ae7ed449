package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/quorate/quorate/histogram"
)

// Setting is where and with what a measurement was made.
type Setting struct {
	Scenario string       `json:"scenario"`
	Commit   string       `json:"commit"` // of this program; with "+" if it had changes
	Began    time.Time    `json:"began"`
	Machine  Machine      `json:"machine"`
	Probe    *Percentiles `json:"fsync_probe_ms,omitempty"` // a sync of 4 KiB, before the load; absent: there was no directory to try
}

// Machine is what the bench ran on.
type Machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// setting looks around. With a directory, it tries what a sync takes there.
func setting(scenario, probeDir string) (Setting, error) {
	s := Setting{Scenario: scenario, Commit: commit(), Began: time.Now().UTC().Truncate(time.Second), Machine: machine()}
	if probeDir == "" {
		return s, nil
	}
	c, err := probe(probeDir)
	if err != nil {
		return s, fmt.Errorf("try what a sync takes in %s: %w", probeDir, err)
	}
	p := percentiles(c)
	s.Probe = &p
	return s, nil
}

// rows are the setting as a table has it.
func (s *Setting) rows() [][2]string {
	rows := [][2]string{{"machine", fmt.Sprintf("%d cores, %s, %s, %s, commit %s", s.Machine.Cores, s.Machine.CPU, s.Machine.Kernel, s.Machine.Go, s.Commit)}}
	if s.Probe != nil {
		rows = append(rows, [2]string{"a sync before, ms", s.Probe.String()})
	}
	return rows
}

func machine() Machine {
	m := Machine{Cores: runtime.NumCPU(), CPU: runtime.GOARCH, Kernel: runtime.GOOS, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel += " " + strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	return m
}

// commit is what this program was built from.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, changed := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	return revision + changed
}

// probes is how many syncs are tried, and probeBytes what is written for each:
// about what a log has for one.
const (
	probes     = 200
	probeBytes = 4096
	probeTime  = 3 * time.Second
)

// probe tries what a sync takes, for no longer than probeTime.
func probe(dir string) (counts histogram.Counts, err error) {
	f, err := os.CreateTemp(dir, "fsync-probe-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
		if removed := os.Remove(filepath.Clean(f.Name())); err == nil {
			err = removed
		}
	}()
	var h histogram.Histogram
	block := bytes.Repeat([]byte{'x'}, probeBytes)
	for until := time.Now().Add(probeTime); h.Counts().Total() < probes && time.Now().Before(until); {
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := f.Sync(); err != nil {
			return nil, err
		}
		h.Record(time.Since(began))
	}
	return h.Counts(), nil
}
