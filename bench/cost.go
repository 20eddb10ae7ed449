package bench

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/node"
)

// Cost is what a load took of all nodes together, within the measured time. It is
// empty where the nodes could not be asked.
type Cost struct {
	Known       bool        `json:"cost_measured"`
	ServerCPU   float64     `json:"server_cpu_us_per_message"`
	ServerCores float64     `json:"server_cores"`
	BenchCores  float64     `json:"bench_cores"` // of this process, which makes the load
	DiskBytes   float64     `json:"disk_bytes_per_payload_byte"`
	Syncs       uint64      `json:"syncs"`
	SyncEntries float64     `json:"entries_per_append"`
	Sync        Percentiles `json:"sync_ms"` // what the nodes' disks took for a sync
	RSS         uint64      `json:"server_rss_bytes"`
}

// rows are the cost as a table has it.
func (c *Cost) rows() [][2]string {
	if !c.Known {
		return [][2]string{{"cost", "not measured: the nodes could not be asked"}}
	}
	rows := [][2]string{
		{"server CPU", fmt.Sprintf("%.1f µs for each, %.2f cores of all nodes; the bench itself %.2f", c.ServerCPU, c.ServerCores, c.BenchCores)},
		{"server memory", fmt.Sprintf("%.0f MiB of all nodes", float64(c.RSS)/(1<<20))},
	}
	if c.Syncs == 0 { // nothing was written
		return rows
	}
	return append(rows,
		[2]string{"disk", fmt.Sprintf("%.1f bytes written for each byte of payload, on all nodes; %d syncs", c.DiskBytes, c.Syncs)},
		[2]string{"a sync ms", c.Sync.String()})
}

// askTimeout bounds a question to all nodes, but for those that collect garbage.
const askTimeout = 5 * time.Second

// meter asks the nodes what they have used, before and after.
type meter struct {
	target        Target
	before, after []node.Usage
	own           [2]time.Duration // processor time of this process
	at            [2]time.Time
	err           error
}

// look is for Load.run.
func (m *meter) look(ctx context.Context, begins bool) {
	if m.target.Usage == nil || m.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	usage, err := m.target.Usage(ctx)
	if err != nil {
		m.err = fmt.Errorf("ask the nodes what they use: %w", err)
		return
	}
	i := 1
	if begins {
		i = 0
		m.before = usage
	} else {
		m.after = usage
	}
	m.own[i], m.at[i] = ownCPU(), time.Now()
}

// cost shares what was used among messages that had so many bytes of payload in
// all.
func (m *meter) cost(messages uint64, payload float64) Cost {
	if m.err != nil || len(m.before) == 0 || len(m.after) != len(m.before) {
		return Cost{}
	}
	c := Cost{Known: true}
	seconds := m.at[1].Sub(m.at[0]).Seconds()
	var cpu, disk, appends, entries float64
	var syncs histogram.Counts
	for i, u := range m.after {
		b := m.before[i]
		cpu += u.CPUSeconds - b.CPUSeconds
		disk += float64(u.DiskWritten) - float64(b.DiskWritten)
		appends += float64(u.Appends - b.Appends)
		entries += float64(u.Entries - b.Entries)
		syncs = syncs.Add(u.Syncs.Since(b.Syncs))
		c.RSS += u.RSS
	}
	c.ServerCores, c.BenchCores = cpu/seconds, (m.own[1]-m.own[0]).Seconds()/seconds
	c.ServerCPU = 1e6 * cpu / max(float64(messages), 1)
	if payload > 0 {
		c.DiskBytes = disk / payload
	}
	c.Syncs, c.Sync = syncs.Total(), percentiles(syncs)
	c.SyncEntries = entries / max(appends, 1)
	return c
}

// idle measures how many processors all nodes use without a load.
func (t Target) idle(ctx context.Context, d time.Duration) (cores float64, err error) {
	m := meter{target: t}
	m.look(ctx, true)
	if err := clock.Sleep(ctx, d); err != nil {
		return 0, err
	}
	m.look(ctx, false)
	return m.cost(0, 0).ServerCores, m.err
}

// ownCPU is how much processor time this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
