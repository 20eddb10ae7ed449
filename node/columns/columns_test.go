package columns

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/where"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/shard/state/statetest"
	"github.com/quorate/quorate/wire"
)

// world is a state with an index of it.
type world struct {
	t     testing.TB
	st    *statetest.State
	x     *Index
	count int64 // of commands
	now   int64
	made  int
	alive []wire.ConversationID
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: 1_700_000_000_000}
	w.st = statetest.Open(t, state.Options{Applied: func(a state.Applied) { w.x.Applied(a) }})
	w.x = New(w.st.State)
	t.Cleanup(w.x.Close)
	return w
}

// do applies a command; some come at one time.
func (w *world) do(c state.Command) {
	w.t.Helper()
	w.count++
	w.now += w.count % 3
	w.st.MustDo(w.t, w.now, state.Header{App: "app", Actor: "ann"}, c)
}

func properties(r *rand.Rand) []state.Property {
	dates := []string{"2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"}
	values := map[string]any{
		"color": []any{"red", "green", "blue", nil, 1.0, 0.0, true}[r.IntN(7)],
		"level": float64(r.IntN(5)),
		"tags":  []any{"a", "b", "c", 1.0}[r.IntN(3):][:r.IntN(2)],
		"attr":  map[string]any{"topic": fmt.Sprint("topic ", r.IntN(10)), "long": strings.Repeat("x", 63+r.IntN(4))},
		"due":   []any{leandoc.Date(1_700_000_000_000 + int64(r.IntN(3))), dates[r.IntN(2)], "soon"}[r.IntN(3)],
	}
	var all []state.Property
	for _, name := range []string{"attr", "color", "due", "level", "tags"} {
		if r.IntN(5) == 0 {
			continue
		}
		b, err := json.Marshal(values[name])
		if err != nil {
			panic(err)
		}
		all = append(all, state.Property{Name: name, Value: b})
	}
	return all
}

func (w *world) create(r *rand.Rand) {
	w.made++
	id := wire.ConversationID(fmt.Sprint("c", w.made))
	preset := []state.Preset{state.PresetBasic, state.PresetBasic, state.PresetRoom}[r.IntN(3)]
	w.do(&state.CreateConversation{ID: id, Preset: preset, Name: fmt.Sprint("name ", r.IntN(20)), Properties: properties(r)})
	w.alive = append(w.alive, id)
}

// change changes something, anywhere.
func (w *world) change(r *rand.Rand) {
	i := r.IntN(len(w.alive))
	id := w.alive[i]
	switch r.IntN(5) {
	case 0:
		w.create(r)
	case 1:
		w.do(&state.DestroyConversation{ID: id})
		w.alive = slices.Delete(w.alive, i, i+1)
	case 2:
		w.do(&state.SendMessage{Conversation: id, Body: []byte("hello")})
	case 3:
		w.do(&state.UpdateConversation{ID: id, SetName: true, Name: fmt.Sprint("name ", r.IntN(20))})
	default:
		w.do(&state.UpdateConversation{ID: id, Set: properties(r), Unset: []string{[]string{"color", "due", "tags"}[r.IntN(3)]}[:r.IntN(2)]})
	}
}

func all(string) bool { return true }

// matches goes through all conversations.
func (w *world) matches(q *where.Query) []string {
	w.t.Helper()
	var ids []string
	err := w.st.EachDetail("app", "", 0, func(d state.ConversationDetail) bool {
		if q.Match(leandoc.Columns(&d, all, true)) {
			ids = append(ids, string(d.ID))
		}
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

// candidates asks the index, and holds what it names against the query.
func (w *world) candidates(q *where.Query, o where.Order) (ids []string, named int, used bool) {
	w.t.Helper()
	_, down := o.First()
	var before *Candidate
	used = w.x.Visit("app", q, o, func(c Candidate) bool {
		named++
		if before != nil && c.Ordered && c.Rank != before.Rank && c.Rank < before.Rank != down {
			w.t.Errorf("%s comes after %s", c.ID, before.ID)
		}
		before = &c
		d, err := w.st.ConversationDetail("app", c.ID, 0)
		if err != nil {
			w.t.Errorf("%s: %v", c.ID, err)
			return true
		}
		if q.Match(leandoc.Columns(&d, all, true)) {
			ids = append(ids, string(c.ID))
		}
		return true
	})
	slices.Sort(ids)
	return ids, named, used
}

func parse(t testing.TB, text, sort string) (*where.Query, where.Order) {
	t.Helper()
	q, err := where.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o, err := where.ParseSort(sort, q)
	if err != nil {
		t.Fatal(err)
	}
	return q, o
}

var searches = []struct{ where, sort string }{
	{`{"color":"red"}`, ""},
	{`{"color":{"$in":["red",0,true]}}`, ""},
	{`{"color":1,"level":3}`, "-name"},
	{`{"level":{"$in":[]}}`, ""},
	{`{"tags":"a"}`, ""},
	{`{"tags":{"$all":["b",1]}}`, ""},
	{`{"attr.topic":"topic 3"}`, ""},
	{`{"attr.long":"` + strings.Repeat("x", 65) + `"}`, ""},
	{`{"$or":[{"level":1},{"level":2,"color":"red"}]}`, ""},
	{`{"$and":[{"name":"name 3"},{"$or":[{"tr":true},{"sys":true}]}]}`, ""},
	{`{"due":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`, ""},
	{`{"due":"2026-01-01T00:00:00.000Z"}`, ""},
	{`{"tr":true}`, "createdAt"},
	{`{}`, ""},
	{`{}`, "updatedAt"},
	{`{"name":{"$regex":"1"}}`, "-createdAt,name"},
	{`{"updatedAt":{"$lt":{"__type":"Date","iso":"2023-11-14T22:13:20.300Z"}}}`, "-updatedAt"},
	{`{"createdAt":{"$gt":"2023-11-14T22:13:20.100Z","$lte":"2023-11-14T22:13:20.200Z"}}`, "name"},
	{`{"lm":{"$exists":true}}`, "lm"},
	{`{"lm":{"$gte":{"__type":"Date","iso":"2023-11-14T22:13:20.200Z"}}}`, ""},
}

// TestFindsTheSame: what the index names is all that is there, after any changes.
func TestFindsTheSame(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		w.create(r)
	}
	for round := range 30 {
		narrowed := 0
		for _, s := range searches {
			q, o := parse(t, s.where, s.sort)
			want := w.matches(q)
			got, named, used := w.candidates(q, o)
			if used && !slices.Equal(got, want) {
				t.Fatalf("round %d, %s by %q: found %v, want %v", round, s.where, s.sort, got, want)
			}
			if round > 1 && !used && len(want) > 0 {
				t.Errorf("round %d, %s by %q: no index", round, s.where, s.sort)
			}
			if used && named < len(w.alive)/2 {
				narrowed++
			}
			if round == 0 {
				for range 3 {
					w.change(r) // while columns are built
				}
				w.x.Await()
			}
		}
		if round > 1 && narrowed < len(searches)/2 {
			t.Errorf("round %d: %d searches looked at less than half", round, narrowed)
		}
		for range 20 {
			w.change(r)
		}
	}
	held := 0
	for _, c := range w.x.apps["app"].columns {
		held += c.size
		if n := c.order.Len(); n > c.size {
			t.Errorf("%s has %d places, and counts %d", c.name, n, c.size)
		}
	}
	if held != w.x.held {
		t.Errorf("it counts %d entries, and has %d", w.x.held, held)
	}
}

// TestGivesUp: an index that is too large, or does not know what has changed, or
// is of rows that are gone, is none.
func TestGivesUp(t *testing.T) {
	q, o := parse(t, `{"color":"red"}`, "")
	ready := func(t *testing.T) *world {
		w := newWorld(t)
		r := rand.New(rand.NewPCG(3, 4))
		for range 50 {
			w.create(r)
		}
		w.candidates(q, o)
		w.x.Await()
		if _, _, used := w.candidates(q, o); !used {
			t.Fatal("no index")
		}
		return w
	}
	for name, spoil := range map[string]func(w *world){
		"too many changes": func(w *world) {
			for i := range maxChanged + 1 {
				w.x.Applied(state.Applied{Changed: []state.LogKey{{App: "app", Conversation: wire.ConversationID(fmt.Sprint(i))}}})
			}
		},
		"other rows": func(w *world) {
			if err := w.st.Settle(); err != nil {
				w.t.Fatal(err)
			}
			if err := w.st.Reload(); err != nil {
				w.t.Fatal(err)
			}
		},
		"too large": func(w *world) {
			w.x.entries = w.x.held
			w.create(rand.New(rand.NewPCG(5, 6)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := ready(t)
			spoil(w)
			if _, _, used := w.candidates(q, o); used {
				t.Error("it is used")
			}
			w.x.Await()
			if w.x.apps["app"].failed.IsZero() == (name != "other rows") {
				t.Errorf("failed at %v", w.x.apps["app"].failed)
			}
			if name != "other rows" && (w.x.held != 0 || w.x.watching.Load()) {
				t.Errorf("%d entries, watching %v", w.x.held, w.x.watching.Load())
			}
		})
	}
}

// TestRoom: columns that nobody asks for make room for others, others do not.
func TestRoom(t *testing.T) {
	w := newWorld(t)
	w.create(rand.New(rand.NewPCG(7, 8)))
	ask := func(column string) bool {
		q, o := parse(t, fmt.Sprintf(`{%q:1}`, column), "")
		w.candidates(q, o)
		w.x.Await()
		return w.x.apps["app"].columns[column] != nil
	}
	for i := range maxColumns {
		if !ask(fmt.Sprint("column", i)) {
			t.Errorf("column %d is not indexed", i)
		}
	}
	if ask("another") {
		t.Error("there is no bound")
	}
	one := w.x.apps["app"].columns["column3"]
	one.asked = one.asked.Add(-2 * idle)
	if !ask("another") || w.x.apps["app"].columns["column3"] != nil {
		t.Error("it does not take the place of one that nobody asks for")
	}
}

// TestNoIndex: what no index can tell.
func TestNoIndex(t *testing.T) {
	w := newWorld(t)
	w.create(rand.New(rand.NewPCG(9, 10)))
	for _, text := range []string{`{"color":null}`, `{"tags":["a"]}`, `{"mu":"ann"}`, `{"color":{"$ne":"red"}}`, `{"$or":[{"color":"red"},{"level":1}]}`} {
		q, o := parse(t, text, "name")
		for range 2 {
			if _, _, used := w.candidates(q, o); used {
				t.Errorf("%s: there is an index", text)
			}
			w.x.Await()
		}
	}
}
