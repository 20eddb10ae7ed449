package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	// scrubSlots is how many slots one scrub command covers.
	scrubSlots = 512
	// scrubPoll is how often the replicas are asked how far they are.
	scrubPoll = 200 * time.Millisecond
	// scrubIdle is how long the replicas may do without reading anything or coming
	// to a result; a replica that is down is not waited for longer.
	scrubIdle = 30 * time.Second
)

// ScrubReport is what a scrub of all slots found.
type ScrubReport struct {
	Slots   int          `json:"slots"`
	Nodes   int          `json:"nodes"`
	Agree   int          `json:"agree"`   // ranges that all replicas have the same rows of
	Differ  []ScrubRange `json:"differ"`  // ranges that they do not
	Missing []ScrubRange `json:"missing"` // ranges that not all replicas have answered
}

// ScrubRange is a range of slots of one shard, with what each node has found.
type ScrubRange struct {
	Shard  wire.ShardID           `json:"shard"`
	First  wire.Slot              `json:"first_slot"`
	Last   wire.Slot              `json:"last_slot"`
	Hashes map[wire.NodeID]string `json:"hashes"`

	id     uint64
	voters []wire.NodeID
}

// scrubbing is the part of a node that scrubs.
type scrubbing struct{ *Node }

// scrubAll has every replica read all of its slots back, each range at one
// place of the raft log, and compares what they found.
func (n scrubbing) scrubAll(ctx context.Context) (ScrubReport, error) {
	table := n.meta.Table()
	report := ScrubReport{Nodes: len(n.present()), Differ: []ScrubRange{}, Missing: []ScrubRange{}}
	ranges := map[uint64]*ScrubRange{}
	for _, sh := range table.Shards() {
		for first := int(sh.First); first <= int(sh.Last); first += scrubSlots {
			r := &ScrubRange{
				Shard: sh.ID, First: wire.Slot(first), Last: wire.Slot(min(first+scrubSlots-1, int(sh.Last))),
				Hashes: map[wire.NodeID]string{}, voters: sh.Placement.Voters,
			}
			var err error
			if r.id, err = n.startScrub(ctx, r); err != nil {
				return report, fmt.Errorf("scrub slots %d-%d of shard %d: %w", r.First, r.Last, r.Shard, err)
			}
			ranges[r.id] = r
			report.Slots += int(r.Last) - int(r.First) + 1
		}
	}
	n.gatherScrubs(ctx, ranges)
	for _, id := range slices.Sorted(maps.Keys(ranges)) {
		r := ranges[id]
		hashes := slices.Collect(maps.Values(r.Hashes))
		slices.Sort(hashes)
		switch {
		case len(slices.Compact(hashes)) > 1:
			report.Differ = append(report.Differ, *r)
		case len(r.Hashes) < len(r.voters):
			report.Missing = append(report.Missing, *r)
		default:
			report.Agree++
		}
	}
	return report, nil
}

func (n scrubbing) startScrub(ctx context.Context, r *ScrubRange) (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	id := binary.BigEndian.Uint64(b[:])
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := proposeOwn(ctx, n.router, "scrub", &state.Scrub{Slots: wire.SlotRange{First: r.First, Last: r.Last}, ID: id})
	return id, err
}

// gatherScrubs asks all nodes until they have answered everything, or make no
// progress any more.
func (n scrubbing) gatherScrubs(ctx context.Context, ranges map[uint64]*ScrubRange) {
	deadline := time.Now().Add(scrubIdle)
	read := map[wire.NodeID]uint64{}
	for time.Now().Before(deadline) && ctx.Err() == nil {
		left := 0
		for _, o := range n.present() {
			found, err := n.askScrubs(ctx, o.ID)
			if err != nil {
				continue
			}
			if found.Read != read[o.ID] {
				read[o.ID] = found.Read
				deadline = time.Now().Add(scrubIdle)
			}
			for _, f := range found.Results {
				if r := ranges[f.ID]; r != nil && r.Hashes[o.ID] == "" {
					r.Hashes[o.ID] = f.Found
				}
			}
		}
		for _, r := range ranges {
			left += len(r.voters) - len(r.Hashes)
		}
		if left <= 0 {
			return
		}
		select {
		case <-time.After(scrubPoll):
		case <-ctx.Done():
		}
	}
}

// scrubsFound is what a node's replicas have found so far.
type scrubsFound struct {
	Results []scrubFound `json:"results"`
	Read    uint64       `json:"read"` // bytes, by all of them
}

// scrubFound is what one replica found.
type scrubFound struct {
	ID    uint64 `json:"id"`
	Found string `json:"found"` // the hash, or the error
}

// found returns what this node's replicas have found.
func (n scrubbing) found() scrubsFound {
	var all scrubsFound
	for _, h := range n.shards.all() {
		all.Read += h.scrubs.Read()
		for _, r := range h.scrubs.Results() {
			f := scrubFound{ID: r.ID, Found: fmt.Sprintf("%016x at %d", r.Hash, r.Index)}
			if r.Err != nil {
				f.Found = r.Err.Error()
			}
			all.Results = append(all.Results, f)
		}
	}
	return all
}

func (n scrubbing) askScrubs(ctx context.Context, id wire.NodeID) (scrubsFound, error) {
	if id == n.cfg.Node {
		return n.found(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	body, err := n.mux.Call(ctx, id, route.MethodScrubs, nil)
	if err != nil {
		return scrubsFound{}, err
	}
	var found scrubsFound
	if err := json.Unmarshal(body, &found); err != nil {
		return scrubsFound{}, fmt.Errorf("decode the scrubs of node %s: %w", id, err)
	}
	return found, nil
}
