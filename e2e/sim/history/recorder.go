package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/wire"
)

// Recorder gathers what happens in a run. It may be used by any number of
// goroutines.
type Recorder struct {
	start time.Time
	mu    struct {
		sync.Mutex
		history History
	}
}

// NewRecorder begins to record: now is the time 0 of the history.
func NewRecorder() *Recorder { return &Recorder{start: time.Now()} }

// Now returns how much time has passed since the recorder was made.
func (r *Recorder) Now() time.Duration { return time.Since(r.start) }

// Add records an event. Where it has no Until it ends now, and where it has no
// At either it takes no time. It returns the event's place in the history.
func (r *Recorder) Add(e Event) int {
	if e.Until == 0 {
		e.Until = r.Now()
	}
	if e.At == 0 {
		e.At = e.Until
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.history.Events = append(r.mu.history.Events, e)
	return len(r.mu.history.Events) - 1
}

// Note records what the nemesis did to a node, or without one to all.
func (r *Recorder) Note(node wire.NodeID, format string, args ...any) {
	r.Add(Event{Op: OpNote, Node: node, Text: fmt.Sprintf(format, args...)})
}

// Phase records that a phase of the run begins.
func (r *Recorder) Phase(name string) { r.Add(Event{Op: OpPhase, Text: name}) }

// Leads records that a node leads a shard in a term.
func (r *Recorder) Leads(node wire.NodeID, shard wire.ShardID, term uint64) {
	r.Add(Event{Op: OpLeads, Node: node, Raft: &Raft{Shard: shard, Term: term}})
}

// Replica records what a replica is at the end of the run.
func (r *Recorder) Replica(one Replica) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.history.Replicas = append(r.mu.history.Replicas, one)
}

// History returns what was recorded so far. The recorder goes on; what it adds
// is not seen in it.
func (r *Recorder) History() *History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.mu.history
	h.Events = slices.Clip(h.Events)
	h.Replicas = slices.Clip(h.Replicas)
	return &h
}

// History is all that happened in a run.
type History struct {
	Events   []Event
	Replicas []Replica
}

// line is one line of a written history.
type line struct {
	Event   *Event   `json:"event,omitempty"`
	Replica *Replica `json:"replica,omitempty"`
}

// Write writes the history, one line of JSON an event.
func (h *History) Write(to io.Writer) error {
	out := bufio.NewWriter(to)
	enc := json.NewEncoder(out)
	for i := range h.Events {
		if err := enc.Encode(line{Event: &h.Events[i]}); err != nil {
			return fmt.Errorf("write event %d: %w", i, err)
		}
	}
	for i := range h.Replicas {
		if err := enc.Encode(line{Replica: &h.Replicas[i]}); err != nil {
			return fmt.Errorf("write replica %d: %w", i, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	return nil
}

// Read reads what Write wrote.
func Read(from io.Reader) (*History, error) {
	h := &History{}
	dec := json.NewDecoder(from)
	for n := 1; ; n++ {
		var l line
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return h, nil
		case err != nil:
			return nil, fmt.Errorf("read line %d of a history: %w", n, err)
		case l.Event != nil:
			h.Events = append(h.Events, *l.Event)
		case l.Replica != nil:
			h.Replicas = append(h.Replicas, *l.Replica)
		}
	}
}
