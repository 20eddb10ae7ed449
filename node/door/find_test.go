package door_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/where"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// shards answers questions for conversations that it makes up: those whose ids
// begin with one letter are one shard's. The conversation "a3" has n=3 and the
// members ann and ben.
type shards struct {
	door.Log

	ids   []string
	in    map[wire.UserID][]string
	ended map[string]int64

	mu    sync.Mutex
	asked []string
	fail  error

	places atomic.Bool // asked for
}

func (s *shards) Divide(_ wire.AppID, roots []string) [][]string {
	var out [][]string
	for _, root := range roots {
		i := slices.IndexFunc(out, func(g []string) bool { return g[0][0] == root[0] })
		if i < 0 {
			out, i = append(out, nil), len(out)
		}
		out[i] = append(out[i], root)
	}
	return out
}

func (s *shards) Ask(_ context.Context, _ wire.AppID, _ wire.UserID, root string, r *ask.Request) (*ask.Answer, error) {
	if q := r.Memberships; q != nil {
		page := &ask.MembershipPage{}
		for i, id := range s.in[q.User] {
			if entry := wire.Offset(len(s.in[q.User]) - i); q.Before == 0 || entry < q.Before {
				if page.More = len(page.Memberships) == 2; page.More { // pages of two
					break
				}
				page.Memberships = append(page.Memberships, state.Membership{Conversation: wire.ConversationID(id), Entry: entry})
			}
		}
		return &ask.Answer{Memberships: page}, nil
	}
	s.note(fmt.Sprintf("%s:%v", root[:1], r.Find.Of))
	return s.find(r.Find, r.Find.Of), s.fail
}

func (s *shards) AskAll(_ context.Context, _ wire.AppID, _ wire.UserID, r *ask.Request) ([]*ask.Answer, error) {
	s.note("all")
	var answers []*ask.Answer
	var all []wire.ConversationID
	for _, id := range s.ids {
		all = append(all, wire.ConversationID(id))
	}
	for _, group := range s.Divide("", s.ids) {
		answers = append(answers, s.find(r.Find, slices.DeleteFunc(slices.Clone(all), func(id wire.ConversationID) bool { return id[0] != group[0][0] })))
	}
	return answers, s.fail
}

func (s *shards) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
}

// asks lists what was asked of which shard, but of one that has nothing.
func (s *shards) asks() string {
	var all []string
	for _, a := range s.asked {
		shard, ids, _ := strings.Cut(a, ":")
		if shard == "c" {
			continue
		}
		if ids != "" {
			fields := strings.Fields(strings.Trim(ids, "[]"))
			slices.Sort(fields)
			a = fmt.Sprintf("%s:%v", shard, fields)
		}
		all = append(all, a)
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func (s *shards) find(q *ask.Find, of []wire.ConversationID) *ask.Answer {
	query, _ := where.Parse(q.Where)
	a := &ask.Answer{Find: &ask.Matches{}}
	if strings.HasPrefix(q.Sort, "-") {
		of = slices.Clone(of)
		slices.Sort(of)
		slices.Reverse(of)
	}
	for _, id := range of {
		columns := []byte(fmt.Sprintf(`{"objectId":%q,"n":%s,"m":["ann","ben"]}`, id, string(id[1:])))
		if q.Places {
			s.places.Store(true)
			columns = []byte(fmt.Sprintf(`{"objectId":%q,"n":%s}`, id, string(id[1:])))
		}
		var doc map[string]any
		if json.Unmarshal(columns, &doc) == nil && query.Match(doc) && len(a.Find.Documents) < q.Limit && slices.Contains(s.ids, string(id)) {
			a.Find.Documents = append(a.Find.Documents, ask.Document{Conversation: id, Columns: columns, Expires: s.ended[string(id)]})
		}
	}
	return a
}

// TestLM028_Plan: which shards a search asks about what, and how it merges what
// they find.
func TestLM028_Plan(t *testing.T) {
	for _, c := range []struct {
		search      door.Search
		found, asks string
	}{
		{door.Search{Where: []byte(`{"objectId":{"$in":["b1","a1","a2","z9"]}}`), Sort: "n"}, "a1 b1 a2", "a:[a1 a2]; b:[b1]; z:[z9]"},
		{door.Search{Where: []byte(`{"m":"ann"}`), Sort: "-n"}, "b4 a3 b3 a2", "a:[a2 a3]; b:[b3 b4]"},
		{door.Search{Where: []byte(`{"m":"ann"}`), Sort: "-n", Recent: []wire.ConversationID{"a5", "a2"}}, "a5 b4 a3 b3 a2", "a:[a2 a3 a5]; b:[b3 b4]"},
		{door.Search{Where: []byte(`{"m":{"$all":["ben","ann"]}}`), Sort: "n", Limit: 2, Skip: 1}, "a3 b3", "a:[a2 a3]; b:[b3 b4]"},
		{door.Search{Where: []byte(`{"n":{"$gt":3}}`), Sort: "n,objectId"}, "a4 b4 a5 b5", "all"},
		{door.Search{Sort: "-n", Limit: 3, Skip: 1}, "b5 a4 b4", "all"},
		{door.Search{Where: []byte(`{"n":3}`), Private: true, Sort: "objectId"}, "a3 b3", "all"},
		{door.Search{Temporary: []wire.ConversationID{"b2", "a2"}, Sort: "objectId"}, "a2 b2", "a:[a2]; b:[b2]"},
		{door.Search{Where: []byte(`{"n":{"$lte":2}}`), Sort: "objectId", Now: 50}, "a1 b1 b2", "all"},
	} {
		log := &shards{ended: map[string]int64{"a2": 40}, in: map[wire.UserID][]string{"ann": {"b3", "a2", "b4", "a3", "c9"}}}
		if c.search.Now == 0 {
			log.ended = nil
		}
		for i := range 5 {
			log.ids = append(log.ids, fmt.Sprint("a", i+1), fmt.Sprint("b", i+1))
		}
		c.search.User = "ann"
		if c.search.Limit == 0 {
			c.search.Limit = 10
		}
		found, err := door.Find(t.Context(), log, c.search)
		if err != nil {
			t.Errorf("%s: %v", c.search.Where, err)
		}
		var ids []string
		for _, d := range found {
			ids = append(ids, string(d.Conversation))
		}
		asks := log.asks()
		if got := strings.Join(ids, " "); got != c.found || asks != c.asks {
			t.Errorf("%s: found %q by %q, want %q by %q", c.search.Where, got, asks, c.found, c.asks)
		}
	}
}

func TestFindFails(t *testing.T) {
	broken := errors.New("broken")
	log := &shards{ids: []string{"a1"}, fail: broken}
	for _, text := range []string{`{"objectId":"a1"}`, `{"n":1}`} {
		if _, err := door.Find(t.Context(), log, door.Search{Where: []byte(text), Limit: 1}); !errors.Is(err, broken) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, bad := range []door.Search{{Where: []byte(`{`), Limit: 1}, {Sort: "-", Limit: 1}, {Limit: -1}, {Limit: 1, Skip: ask.MaxFound}} {
		if _, err := door.Find(t.Context(), log, bad); !errors.Is(err, where.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestAPageFarFromTheBeginning is read in two steps: where everything is, and then
// the page in full.
func TestAPageFarFromTheBeginning(t *testing.T) {
	log := &shards{}
	for i := range 250 {
		log.ids = append(log.ids, fmt.Sprint([]string{"a", "b"}[i%2], i))
	}
	found, err := door.Find(t.Context(), log, door.Search{Where: []byte(`{"n":{"$gte":0}}`), Sort: "n", Skip: 240, Limit: 3})
	if err != nil || len(found) != 3 || !log.places.Load() {
		t.Fatalf("Find = %d conversations, %v, and places were asked for: %t", len(found), err, log.places.Load())
	}
	for i, want := range []string{"a240", "b241", "a242"} {
		if found[i].Conversation != wire.ConversationID(want) || !strings.Contains(string(found[i].Columns), "ann") {
			t.Errorf("%d: %s with %s, want %s in full", i, found[i].Conversation, found[i].Columns, want)
		}
	}
}
