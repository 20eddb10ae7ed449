package raftlog

import "sync/atomic"

// Metrics counts what the stores have done since they were opened.
type Metrics struct {
	Appends       uint64 // synced writes of entries
	Entries       uint64 // entries in them
	Bytes         uint64 // bytes in them
	RecentHits    uint64 // entries read from memory
	RecentMisses  uint64 // entries read from the store
	RecentBytes   int64  // memory that recent entries take now
	BacklogWaits  uint64 // appends that waited for the state to be applied
	Flushes       uint64 // flushes of the state that were asked for
	FlushesShared uint64 // callers who shared one
	Installs      uint64 // snapshots installed
	Stalls        uint64 // times that a store held back writes for StallLimit
}

type counters struct {
	appends, entries, bytes, recentHits, recentMisses, backlogWaits atomic.Uint64
	flushes, flushesShared, installs, stalls                        atomic.Uint64
}

func (c *counters) appended(entries, bytes int) {
	c.appends.Add(1)
	c.entries.Add(uint64(entries))
	c.bytes.Add(uint64(bytes))
}

// Metrics returns what the stores have done so far.
func (s *Stores) Metrics() Metrics {
	c := &s.counters
	m := Metrics{
		Appends:       c.appends.Load(),
		Entries:       c.entries.Load(),
		Bytes:         c.bytes.Load(),
		RecentHits:    c.recentHits.Load(),
		RecentMisses:  c.recentMisses.Load(),
		BacklogWaits:  c.backlogWaits.Load(),
		Flushes:       c.flushes.Load(),
		FlushesShared: c.flushesShared.Load(),
		Installs:      c.installs.Load(),
		Stalls:        c.stalls.Load(),
	}
	for _, g := range s.allGroups() {
		m.RecentBytes += int64(g.recentBytes())
	}
	return m
}
