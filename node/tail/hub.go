package tail

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Stream is one edge's stream to a hub, from either side. Send waits while the
// other side does not read; Close ends waiting Sends and Recvs.
type Stream interface {
	Send(message []byte) error
	Recv() ([]byte, error)
	Close() error
}

// markEvery is how often a hub says how far it has sent everything, when it has
// nothing else to say.
const markEvery = time.Second

// maxFeedBytes bounds what waits for one edge. Beyond it everything that waits
// is dropped, and the edge registers anew.
const maxFeedBytes = 8 << 20

// ErrNotLeading ends the streams of a hub whose replica does not lead.
var ErrNotLeading = errors.New("tail: the replica does not lead")

// Hub sends what is appended to a shard's logs to the edges that want it.
type Hub struct {
	access Access

	mu struct {
		sync.Mutex
		leading   bool
		since     time.Time // when that began
		interests map[state.LogKey]*interest
		app       wire.AppID // of the newest interest: most are of one app, and share its name
		feeds     map[*feed]struct{}
		index     uint64
		online    map[wire.AppID]int // in how many user logs there is interest
		visited   map[string]bool    // places that had a stream since Places was called
		wills     keptWills
	}
}

// interest is which edges want a log.
type interest struct {
	log     state.LogKey
	feeds   []*feed
	present map[wire.UserID]int // on how many edges each user follows, where that is counted
}

// NewHub makes the hub of a replica, which does not lead yet.
func NewHub(access Access) *Hub {
	h := &Hub{access: access}
	h.mu.interests = map[state.LogKey]*interest{}
	h.mu.feeds = map[*feed]struct{}{}
	h.mu.online = map[wire.AppID]int{}
	h.mu.visited = map[string]bool{}
	return h
}

// Lead tells the hub that its replica leads and has applied everything up to
// its own term, or that it does not lead any more: then all streams end.
func (h *Hub) Lead(leading bool) {
	h.mu.Lock()
	if leading && !h.mu.leading {
		h.mu.since = time.Now()
	}
	h.mu.leading = leading
	var ended []*feed
	if !leading {
		for f := range h.mu.feeds {
			ended = append(ended, f)
		}
	}
	h.mu.Unlock()
	for _, f := range ended {
		f.end()
	}
}

// Applied tells the hub what an entry changed. It is called on the goroutine
// of apply, in order, and only moves bytes in memory.
func (h *Hub) Applied(a state.Applied) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.index = a.Index
	h.mu.wills.tidy()
	if len(h.mu.interests) == 0 {
		return
	}
	for first := 0; first < len(a.Appended); {
		log := a.Appended[first].Log
		next := first + 1
		for next < len(a.Appended) && a.Appended[next].Log == log {
			next++
		}
		if feeds := h.feedsLocked(log); len(feeds) > 0 {
			tellAppended(feeds, log, a.Appended[first:next])
		}
		first = next
	}
	for i := range a.Cursors {
		c := cursorOf(&a.Cursors[i])
		if feeds := h.feedsLocked(c.log); len(feeds) > 0 {
			record := c.append(nil)
			for _, f := range feeds {
				f.add(record)
			}
		}
	}
}

// maxPushBytes is about how large one push may be: it becomes one frame to a
// client, with what the translation adds.
const maxPushBytes = 64 << 10

// tellAppended encodes a run of one log's entries once, in as many pushes as
// their size wants, and queues them for each edge.
func tellAppended(feeds []*feed, log state.LogKey, run []state.Appended) {
	var entries []encodedEntry
	size, after := 0, run[0].Offset-1
	for i := range run {
		entry := state.EncodeLogEntry(nil, log.Conversation, run[i].Entry)
		entries = append(entries, encodedEntry{run[i].Origin, entry})
		if size += len(entry); size < maxPushBytes && i < len(run)-1 {
			continue
		}
		record := appendPush(nil, log, after, entries)
		for _, f := range feeds {
			f.add(record)
		}
		entries, size, after = entries[:0], 0, run[i].Offset
	}
}

// Signal sends a transient message to the edges that follow the conversation.
// It may be lost.
func (h *Hub) Signal(log state.LogKey, origin state.Origin, message *state.Message) {
	record := appendTransient(nil, log, origin, EncodeTransient(nil, message))
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.feedsLocked(log) {
		f.add(record)
	}
}

// Interests returns in how many logs there is interest, and of how many edges.
func (h *Hub) Interests() (logs, edges int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.mu.interests), len(h.mu.feeds)
}

// DropNext loses the next message to every edge, as a fault of a test.
func (h *Hub) DropNext() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.mu.feeds {
		f.dropNext.Store(true)
	}
}

// Serve feeds one edge until its stream ends, ctx is done or the replica does
// not lead any more. It closes the stream.
func (h *Hub) Serve(ctx context.Context, edge wire.NodeID, place string, stream Stream) error {
	f := &feed{edge: edge, place: place, ready: make(chan struct{}, 1), done: make(chan struct{}), logs: map[*interest]map[wire.UserID]struct{}{}}
	h.mu.Lock()
	if !h.mu.leading {
		h.mu.Unlock()
		return errors.Join(ErrNotLeading, stream.Close())
	}
	h.mu.feeds[f] = struct{}{}
	h.mu.visited[place] = true
	h.mu.Unlock()
	defer h.forget(f)

	var writer sync.WaitGroup
	writer.Go(func() {
		h.write(ctx, f, stream)
		_ = stream.Close() // ends the loop below
	})
	err := h.wishes(f, stream)
	f.end()
	_ = stream.Close()
	writer.Wait()
	return err
}

// wishes takes what the edge registers and drops.
func (h *Hub) wishes(f *feed, stream Stream) error {
	w := &wishing{hub: h, feed: f}
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := errors.Join(readWishes(message, w), w.failed); err != nil {
			return err
		}
	}
}

// wishing takes the wishes of one edge.
type wishing struct {
	hub    *Hub
	feed   *feed
	failed error // what the state could not answer
}

func (w *wishing) register(g register) {
	if err := w.hub.register(w.feed, g); err != nil {
		w.failed = err
	}
}

func (w *wishing) drop(log state.LogKey) { w.hub.drop(w.feed, log) }

func (w *wishing) presence(p presence) {
	if p.arrives {
		w.hub.arrive(w.feed, p.log, p.user)
	} else {
		w.hub.leave(w.feed, p.log, p.user)
	}
}

// register notes the interest and only then asks the state, so that whatever
// is appended after the answer's offset is pushed.
func (h *Hub) register(f *feed, g register) error {
	late := mutant.On(mutant.LateInterest) // a planted bug, see package mutant
	if !late {
		h.note(f, g.log)
	}
	grant, err := h.access(g.log, g.user)
	if err != nil {
		return err
	}
	if late {
		mutant.Pause()
		h.note(f, g.log)
	}
	record := answer{
		id: g.id, refusal: grant.Refusal, last: grant.Last, floor: grant.Floor, from: grant.From, read: grant.Read,
		notices: grant.Notices, present: grant.Present,
	}.append(nil)
	h.mu.Lock()
	f.add(record)
	h.mu.Unlock()
	return nil
}

// note notes that an edge wants a log.
func (h *Hub) note(f *feed, log state.LogKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.interestLocked(log)
	if !slices.Contains(i.feeds, f) {
		i.feeds = append(i.feeds, f)
		f.logs[i] = nil
		if missed := h.mu.wills.appendTo(nil, func(o state.LogKey) bool { return o == log }); len(missed) > 0 {
			f.add(missed)
		}
	}
}

func (h *Hub) interestLocked(log state.LogKey) *interest {
	if i := h.mu.interests[log]; i != nil {
		return i
	}
	if log.App == h.mu.app {
		log.App = h.mu.app
	}
	h.mu.app = log.App
	i := &interest{log: log}
	h.mu.interests[log] = i
	if log.User != "" {
		h.mu.online[log.App]++
	}
	return i
}

// feedsLocked returns the feeds of the edges that want a log.
func (h *Hub) feedsLocked(log state.LogKey) []*feed {
	if i := h.mu.interests[log]; i != nil {
		return i.feeds
	}
	return nil
}

// Places returns the places of the edges that tail the shard now, or did at any
// time since the last call: one that comes and goes in between is not missed.
func (h *Hub) Places() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	places := h.mu.visited
	h.mu.visited = map[string]bool{}
	for f := range h.mu.feeds {
		places[f.place] = true
	}
	return places
}

func (h *Hub) drop(f *feed, log state.LogKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.mu.interests[log]; i != nil {
		h.dropLocked(f, i)
		delete(f.logs, i)
	}
}

func (h *Hub) dropLocked(f *feed, i *interest) {
	for user := range f.logs[i] {
		i.gone(user)
	}
	i.feeds = slices.DeleteFunc(i.feeds, func(o *feed) bool { return o == f })
	if len(i.feeds) > 0 {
		return
	}
	delete(h.mu.interests, i.log)
	if i.log.User == "" {
		return
	}
	if h.mu.online[i.log.App]--; h.mu.online[i.log.App] == 0 {
		delete(h.mu.online, i.log.App)
	}
}

func (h *Hub) forget(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.mu.feeds, f)
	for i := range f.logs {
		h.dropLocked(f, i)
	}
}

// feed is what waits for one edge.
type feed struct {
	edge  wire.NodeID
	place string                                 // this life of the edge
	logs  map[*interest]map[wire.UserID]struct{} // with the users who are present there; guarded by the hub's mu
	ready chan struct{}                          // there is something to send

	dropNext atomic.Bool   // a fault for tests: the next message is lost on its way
	done     chan struct{} // closed by end

	mu struct {
		sync.Mutex
		records []byte
		lost    bool
		ended   bool
	}
}

// add queues a record, or drops everything that waits when it is too much.
func (f *feed) add(record []byte) {
	f.mu.Lock()
	if len(f.mu.records)+len(record) > maxFeedBytes {
		f.mu.records, f.mu.lost = nil, true
	} else {
		f.mu.records = append(f.mu.records, record...)
	}
	f.mu.Unlock()
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.mu.ended {
		f.mu.ended = true
		close(f.done)
	}
}

// write sends what waits, and a mark each second, until the feed ends or the
// stream fails.
func (h *Hub) write(ctx context.Context, f *feed, stream Stream) {
	marks := time.NewTicker(markEvery)
	defer marks.Stop()
	var buffer []byte
	for number := uint64(1); ; number++ {
		buffer = h.take(f, number, buffer[:0])
		if !f.dropNext.Swap(false) {
			if err := stream.Send(buffer); err != nil {
				return
			}
		}
		if cap(buffer) > maxIdleBytes {
			buffer = nil
		}
		select {
		case <-f.ready:
			marks.Reset(markEvery)
		case <-marks.C:
		case <-f.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// take makes the feed's next message of all that waits. The hub's lock is held
// so that the message's index is one up to which everything is in it.
func (h *Hub) take(f *feed, number uint64, buffer []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	buffer = head{number: number, index: h.mu.index, lost: f.mu.lost}.append(buffer)
	if f.mu.lost {
		buffer = h.mu.wills.appendTo(buffer, func(log state.LogKey) bool { return slices.Contains(h.feedsLocked(log), f) })
	}
	buffer = append(buffer, f.mu.records...)
	f.mu.records, f.mu.lost = f.mu.records[:0], false
	if cap(f.mu.records) > maxIdleBytes {
		f.mu.records = nil
	}
	return buffer
}

// maxIdleBytes is how large a buffer is kept for the next use.
const maxIdleBytes = 64 << 10
