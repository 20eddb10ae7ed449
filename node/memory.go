package node

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"syscall"
	"time"

	"github.com/quorate/quorate/wire"
)

// Memory is what a node's process takes, right after a collection.
type Memory struct {
	Node       wire.NodeID `json:"node"`
	Sessions   int         `json:"sessions"`
	RSS        uint64      `json:"rss_bytes"`  // 0 where the system does not tell
	Anonymous  uint64      `json:"anon_bytes"` // of it, what is no file
	Heap       uint64      `json:"heap_bytes"` // objects that are in use
	Stacks     uint64      `json:"stack_bytes"`
	Goroutines int         `json:"goroutines"`
	CPUSeconds float64     `json:"cpu_seconds"` // since the process began
	Applied    uint64      `json:"applied"`     // the last index of each replica, added up: it moves while there is work
}

// memory collects what is not used any more, gives it back to the system and
// says what is left.
func (n *Node) memory() Memory {
	for range 2 { // what pools hold survives one collection
		debug.FreeOSMemory()
	}
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	m := Memory{
		Node: n.cfg.Node, Sessions: n.backend.sessions.len(),
		Heap: samples[0].Value.Uint64(), Stacks: samples[1].Value.Uint64(), Goroutines: runtime.NumGoroutine(),
		CPUSeconds: processCPU().Seconds(),
	}
	for _, h := range n.shards.all() {
		m.Applied += h.replica.Status().Applied
	}
	m.RSS, m.Anonymous = resident()
	return m
}

// processCPU is how much processor time the process has used.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident reads how much of the process is in memory, where Linux tells it.
func resident() (all, anonymous uint64) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseUint(string(fields[1]), 10, 64)
		switch string(fields[0]) {
		case "VmRSS:":
			all = kib << 10
		case "RssAnon:":
			anonymous = kib << 10
		}
	}
	return all, anonymous
}
