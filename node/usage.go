package node

import (
	"bytes"
	"os"
	"strconv"

	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/wire"
)

// Usage is what a node's process has used since it began: whoever measures asks
// before and after. Unlike [Memory] it costs the node next to nothing.
type Usage struct {
	Node        wire.NodeID      `json:"node"`
	Sessions    int              `json:"sessions"`
	CPUSeconds  float64          `json:"cpu_seconds"`
	DiskWritten uint64           `json:"disk_written_bytes"` // that reached the disk or will; 0 where the system does not tell
	Appends     uint64           `json:"appends"`            // synced writes of the raft logs
	Entries     uint64           `json:"entries"`            // in them
	EntryBytes  uint64           `json:"entry_bytes"`        // in them
	Syncs       histogram.Counts `json:"sync_ns"`            // what the disk took for each sync of the raft logs' file
	RSS         uint64           `json:"rss_bytes"`          // 0 where the system does not tell
}

func (n *Node) usage() Usage {
	m := n.stores.Metrics()
	u := Usage{
		Node: n.cfg.Node, Sessions: n.backend.sessions.len(), CPUSeconds: processCPU().Seconds(), DiskWritten: diskWritten(),
		Appends: m.Appends, Entries: m.Entries, EntryBytes: m.Bytes, Syncs: n.syncs.Counts(),
	}
	u.RSS, _ = resident()
	return u
}

// diskWritten reads how much the process has had written to disks, where Linux
// tells it.
func diskWritten() uint64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte("write_bytes: ")); ok {
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
			return n
		}
	}
	return 0
}
