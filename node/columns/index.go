package columns

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/node/where"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	// maxColumns is how many columns of one app are indexed. One that nobody has
	// asked for in idle makes room for another.
	maxColumns = 16
	idle       = 10 * time.Minute
	// maxChanged is how many changed conversations wait for the next search. With
	// more of them the app's index is given up.
	maxChanged = 20_000
	// pause is how long after an index was given up another one may begin.
	pause = 10 * time.Second
	// defaultEntries is how many values of conversations are held: each takes about
	// 150 bytes.
	defaultEntries = 400_000
)

// Index is the index of one replica. Its methods may be called from any goroutine.
type Index struct {
	st      *state.State
	entries int             // at most
	ctx     context.Context //nolint:containedctx // ends what is being built, at Close
	stop    context.CancelFunc
	builds  sync.WaitGroup

	watching atomic.Bool // some app's changes are noted

	mu   sync.RWMutex // held for reading while a search goes through an index
	apps map[wire.AppID]*table
	held int    // entries of all
	rows uint64 // which rows the index is of: see [state.State.Reloads]

	changes struct {
		sync.Mutex
		of map[wire.AppID]*changes // of the apps that have an index, or will
	}
}

// changes are conversations of an app that were changed since the last search.
type changes struct {
	ids  map[wire.ConversationID]struct{}
	lost bool // there were too many
}

// table is the index of one app.
type table struct {
	columns  map[string]*column
	building bool
	late     map[wire.ConversationID]struct{} // changed while columns are built, and taken since
	failed   time.Time                        // when it was given up
}

// New returns an empty index of a state.
func New(st *state.State) *Index {
	x := &Index{st: st, entries: defaultEntries, apps: map[wire.AppID]*table{}}
	x.ctx, x.stop = context.WithCancel(context.Background())
	x.changes.of = map[wire.AppID]*changes{}
	return x
}

// Close ends what is being built. A closed index begins nothing more.
func (x *Index) Close() {
	x.mu.Lock()
	x.stop()
	x.mu.Unlock()
	x.Await()
}

// Await waits until nothing is being built, while nobody searches.
func (x *Index) Await() { x.builds.Wait() }

// Applied notes what an entry has changed. It must be told of each one, after the
// entry can be read and before anybody is told that it is applied.
func (x *Index) Applied(a state.Applied) {
	if !x.watching.Load() {
		return
	}
	x.changes.Lock()
	defer x.changes.Unlock()
	for _, log := range a.Changed {
		x.note(log)
	}
	for i := range a.Appended {
		if a.Appended[i].Entry.Kind == state.EntryMessage {
			x.note(a.Appended[i].Log)
		}
	}
}

// note notes a change. The caller holds the lock.
func (x *Index) note(log state.LogKey) {
	c := x.changes.of[log.App]
	if c == nil || c.lost || log.Conversation == "" {
		return
	}
	if c.ids[log.Conversation] = struct{}{}; len(c.ids) > maxChanged {
		c.ids, c.lost = nil, true
	}
}

// watch has the changes of an app noted from now on.
func (x *Index) watch(app wire.AppID) {
	x.changes.Lock()
	defer x.changes.Unlock()
	x.changes.of[app] = &changes{ids: map[wire.ConversationID]struct{}{}}
	x.watching.Store(true)
}

func (x *Index) unwatch(app wire.AppID) {
	x.changes.Lock()
	defer x.changes.Unlock()
	delete(x.changes.of, app)
	x.watching.Store(len(x.changes.of) > 0)
}

// changed returns what was changed since it was asked last; false: that is not
// known.
func (x *Index) changed(app wire.AppID) (map[wire.ConversationID]struct{}, bool) {
	x.changes.Lock()
	defer x.changes.Unlock()
	c := x.changes.of[app]
	if c == nil || c.lost {
		return nil, false
	}
	ids := c.ids
	if len(ids) > 0 {
		c.ids = map[wire.ConversationID]struct{}{}
	}
	return ids, true
}

// Visit calls f with all conversations of an app that may match a query, in any
// order but where they say so, until it returns false. It returns false, and calls
// f with none, if there is no index that helps; there may be for a later search.
// Columns that an asker may not see must not be in the query's bounds: of those
// this is only the one of who is quiet, which no index has.
func (x *Index) Visit(app wire.AppID, q *where.Query, o where.Order, f func(Candidate) bool) bool {
	a := askedBy(q, o)
	if !x.refresh(app, a) {
		return false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return a.visit(x.apps[app], f)
}

// refresh brings an app's index up to date, and begins what it lacks. It returns
// false if there is none.
func (x *Index) refresh(app wire.AppID, a *asked) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if rows := x.st.Reloads(); rows != x.rows {
		for app, t := range x.apps {
			x.drop(app, t)
		}
		x.rows = rows
	}
	t := x.apps[app]
	if t == nil {
		t = &table{columns: map[string]*column{}}
		x.apps[app] = t
	}
	if len(t.columns) > 0 && !x.take(app, t) {
		x.drop(app, t)
		t.failed = time.Now()
	}
	x.begin(app, t, a.wants(t))
	return len(t.columns) > 0
}

// take looks at what was changed since the last search.
func (x *Index) take(app wire.AppID, t *table) bool {
	ids, ok := x.changed(app)
	if !ok {
		return false
	}
	if t.building {
		maps.Copy(t.late, ids)
	}
	return x.lookAll(app, t, ids)
}

func (x *Index) lookAll(app wire.AppID, t *table, ids map[wire.ConversationID]struct{}) bool {
	for id := range ids {
		if !x.look(app, t, id) {
			return false
		}
	}
	return true
}

// look lists a conversation anew.
func (x *Index) look(app wire.AppID, t *table, id wire.ConversationID) bool {
	d, err := x.st.ConversationDetail(app, id, 0)
	gone := isRefusal(err)
	if err != nil && !gone {
		return false
	}
	for _, c := range t.columns {
		x.held -= c.remove(id)
		if !gone {
			x.held += c.add(&d)
		}
	}
	return x.held <= x.entries
}

// drop gives up an app's columns, but not those that are being built.
func (x *Index) drop(app wire.AppID, t *table) {
	for _, c := range t.columns {
		x.held -= c.size
	}
	clear(t.columns)
	if !t.building {
		x.unwatch(app)
	}
}

// begin starts to build the columns that are wanted and not there.
func (x *Index) begin(app wire.AppID, t *table, wants []string) {
	missing := map[string]*column{}
	for _, name := range wants {
		if c := t.columns[name]; c != nil {
			c.asked = time.Now()
		} else if len(missing) < maxColumns {
			missing[name] = newColumn(name)
		}
	}
	if len(missing) == 0 || t.building || x.ctx.Err() != nil || time.Since(t.failed) < pause || !x.makeRoom(t, len(missing)) {
		return
	}
	if len(t.columns) == 0 {
		x.watch(app) // before anything is read
	}
	t.building, t.late = true, map[wire.ConversationID]struct{}{}
	room, rows := x.entries-x.held, x.rows
	x.builds.Go(func() {
		ok := x.build(app, missing, room)
		x.finish(app, t, missing, ok && rows == x.st.Reloads())
	})
}

// makeRoom gives up columns that nobody asks for, where there are too many.
func (x *Index) makeRoom(t *table, more int) bool {
	for name, c := range t.columns {
		if len(t.columns)+more > maxColumns && time.Since(c.asked) > idle {
			x.held -= c.size
			delete(t.columns, name)
		}
	}
	return len(t.columns)+more <= maxColumns
}

// build goes through all conversations of an app.
func (x *Index) build(app wire.AppID, columns map[string]*column, room int) bool {
	size := 0
	err := x.st.EachDetail(app, "", 0, func(d state.ConversationDetail) bool {
		for _, c := range columns {
			size += c.add(&d)
		}
		return size <= room && x.ctx.Err() == nil
	})
	return err == nil && size <= room && x.ctx.Err() == nil
}

// finish puts columns that were built in their places, and looks at what was
// changed meanwhile.
func (x *Index) finish(app wire.AppID, t *table, columns map[string]*column, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	late := t.late
	t.building, t.late = false, nil
	if !ok {
		t.failed = time.Now()
		if len(t.columns) == 0 {
			x.drop(app, t)
		}
		return
	}
	for _, c := range columns {
		x.held += c.size
	}
	maps.Copy(t.columns, columns)
	if !x.lookAll(app, t, late) || !x.take(app, t) {
		x.drop(app, t)
		t.failed = time.Now()
	}
}
