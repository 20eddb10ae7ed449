package ask

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/node/columns"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/where"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	// MaxFound is how many matches one question returns at most.
	MaxFound = 10_000
	// MaxCandidates is how many conversations one question can name.
	MaxCandidates = 10_000

	// maxFindLooked is how many conversations of a shard one question looks at,
	// and maxFindTime how long.
	maxFindLooked = 200_000
	maxFindTime   = 2 * time.Second
	// maxFindBytes is how large an answer may be.
	maxFindBytes = 8 << 20
)

// Find asks for conversations that match a query of [where]: of those named, or
// of all. Temporary conversations are found only when they are named as such. Who
// is not in a conversation sees its members and columns, but for its last message
// and for who gets no pushes of it.
type Find struct {
	Where     json.RawMessage       `json:"where,omitempty"`
	Sort      string                `json:"sort,omitempty"`
	Limit     int                   `json:"limit"` // of matches: the first ones in the order
	Of        []wire.ConversationID `json:"of,omitempty"`
	All       bool                  `json:"all,omitempty"`       // whatever the shard has, instead of Of
	Temporary bool                  `json:"temporary,omitempty"` // those of Of are temporary
	Compact   bool                  `json:"compact,omitempty"`   // without the members
	Last      bool                  `json:"last,omitempty"`      // with the last message, where the asker may see it
	Places    bool                  `json:"places,omitempty"`    // only the columns that they are sorted by, and no more
}

// Matches are conversations in the order that was asked for.
type Matches struct {
	Documents []Document `json:"documents,omitempty"`
}

// Document is a conversation as [leandoc] writes it, and what depends on who asks
// and when.
type Document struct {
	Conversation wire.ConversationID `json:"conversation"`
	Preset       state.Preset        `json:"preset"`
	Columns      json.RawMessage     `json:"columns"`
	MemberCount  uint32              `json:"member_count,omitempty"`
	Expires      int64               `json:"expires,omitempty"` // milliseconds since 1970; 0: never
	Last         *state.Message      `json:"last,omitempty"`

	// Of the asker, where members are stored.
	Joined int64 `json:"joined,omitempty"` // milliseconds since 1970; 0: he is no member
	Quiet  bool  `json:"quiet,omitempty"`  // he gets no pushes of it
}

// Decode returns the columns.
func (d *Document) Decode() (map[string]any, error) {
	var decoded map[string]any
	if err := json.Unmarshal(d.Columns, &decoded); err != nil {
		return nil, fmt.Errorf("decode the columns of %s: %w", d.Conversation, err)
	}
	return decoded, nil
}

// finder answers one Find.
type finder struct {
	executor

	q     *Find
	query *where.Query
	order where.Order
	want  state.Detail
	until time.Time // when it has taken too long
	found []candidate

	looked, matched int // conversations
}

// candidate is a match with its place in the order.
type candidate struct {
	id    wire.ConversationID
	place where.Place
}

func (q *Find) answer(e executor, a *Answer) error {
	if q.Limit < 0 || q.Limit > MaxFound || len(q.Of) > MaxCandidates {
		return wire.Errorf(wire.CodeLimit, "", "%d matches of %d conversations, want at most %d of %d", q.Limit, len(q.Of), MaxFound, MaxCandidates)
	}
	f := finder{executor: e, q: q}
	var err error
	a.Find, err = f.ask()
	return err
}

func (f *finder) ask() (*Matches, error) {
	var err error
	if f.query, err = where.Parse(f.q.Where); err == nil {
		f.order, err = where.ParseSort(f.q.Sort, f.query)
	}
	if err != nil {
		return nil, &wire.Error{Code: wire.CodeInvalid, Text: err.Error(), Err: err}
	}
	if err := f.look(); err != nil {
		return nil, err
	}
	f.prune()
	return f.documents()
}

// look goes through the candidates and keeps those that match.
func (f *finder) look() error {
	var want state.Detail
	for column, detail := range map[string]state.Detail{leandoc.ColumnMembers: state.WithMembers, leandoc.ColumnMuted: state.WithQuiet} {
		if f.uses(column) {
			want |= detail
		}
	}
	f.want, f.until = want, time.Now().Add(maxFindTime)
	if !f.q.All {
		for _, id := range f.q.Of {
			if err := f.lookAt(id); err != nil {
				return err
			}
		}
		return nil
	}
	if used, err := f.lookByColumns(); used {
		return err
	}
	var failed error
	err := f.st.EachDetail(f.app, "", want, func(c state.ConversationDetail) bool {
		failed = f.lookIn(&c)
		return failed == nil
	})
	return cmp.Or(failed, err)
}

// lookByColumns looks at what the index of columns names, and returns false if
// that does not help.
func (f *finder) lookByColumns() (used bool, failed error) {
	if f.columns == nil {
		return false, nil
	}
	matched, last := 0, int64(0) // the place of the last match that is wanted
	used = f.columns.Visit(f.app, f.query, f.order, func(c columns.Candidate) bool {
		if c.Ordered && matched >= f.q.Limit && c.Rank != last {
			return false // all others come later in the order
		}
		was := f.matched
		if failed = f.lookAt(c.ID); f.matched > was {
			if matched++; matched <= f.q.Limit {
				last = c.Rank
			}
		}
		return failed == nil
	})
	return used, failed
}

// lookAt looks at one conversation, if it is there.
func (f *finder) lookAt(id wire.ConversationID) error {
	c, err := f.st.ConversationDetail(f.app, id, f.want)
	if refusal(err) != state.None {
		return nil
	}
	if err != nil {
		return err
	}
	return f.lookIn(&c)
}

func (f *finder) lookIn(c *state.ConversationDetail) error {
	// Each time: it may take long to hold one conversation against the query.
	if err := f.awaited(); err != nil {
		return err
	}
	if f.looked++; f.looked > maxFindLooked || time.Now().After(f.until) {
		return wire.Errorf(wire.CodeLimit, "", "the query looks at too many conversations: name one that it is about, a member, or the value of a column")
	}
	return f.consider(c)
}

func (f *finder) uses(column string) bool { return f.query.Uses(column) || f.order.Uses(column) }

// consider keeps a conversation if it matches.
func (f *finder) consider(c *state.ConversationDetail) error {
	switch c.Policy.Preset {
	case state.PresetThread, state.PresetBroadcast:
		return nil // they are parts of services
	default:
	}
	if (c.Policy.Preset == state.PresetTemporary) != f.q.Temporary {
		return nil
	}
	if err := f.hideQuiet(c); err != nil {
		return err
	}
	shown := leandoc.Columns(c, f.uses, true)
	if !f.query.Match(shown) {
		return nil
	}
	f.matched++
	f.found = append(f.found, candidate{id: c.ID, place: f.order.PlaceOf(shown)})
	if len(f.found) >= 2*f.q.Limit+1000 {
		f.prune()
	}
	return nil
}

// hideQuiet forgets who wants no pushes of a conversation, unless the asker is in
// it: that is the members' own business, and no query must tell it either.
func (f *finder) hideQuiet(c *state.ConversationDetail) error {
	if f.user == "" || len(c.Quiet) == 0 {
		return nil
	}
	_, err := f.st.Member(f.app, c.ID, f.user)
	if refusal(err) == state.None {
		return err
	}
	c.Quiet = nil
	return nil
}

// prune leaves the first matches.
func (f *finder) prune() {
	slices.SortFunc(f.found, func(a, b candidate) int { return f.order.Compare(a.place, b.place) })
	f.found = f.found[:min(len(f.found), f.q.Limit)]
}

// documents reads the matches in full.
func (f *finder) documents() (*Matches, error) {
	m := &Matches{}
	size := 0
	for _, match := range f.found {
		if err := f.awaited(); err != nil {
			return nil, err
		}
		d, err := f.document(match.id)
		if refusal(err) != state.None {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		if size += len(d.Columns); size > maxFindBytes {
			return nil, wire.Errorf(wire.CodeLimit, "", "the matches are too large: ask for fewer, or without their members")
		}
		m.Documents = append(m.Documents, d)
	}
	return m, nil
}

func (f *finder) document(id wire.ConversationID) (Document, error) {
	want := state.WithMembers | state.WithQuiet
	if f.q.Compact || f.q.Places && !f.order.Uses(leandoc.ColumnMembers) {
		want = state.WithQuiet
	}
	c, err := f.st.ConversationDetail(f.app, id, want)
	if err != nil {
		return Document{}, err
	}
	if err := f.hideQuiet(&c); err != nil {
		return Document{}, err
	}
	d := Document{Conversation: id, Preset: c.Policy.Preset, Expires: c.Expires, MemberCount: c.MemberCount}
	if d.Columns, err = json.Marshal(leandoc.Columns(&c, f.wants, false)); err != nil {
		return Document{}, fmt.Errorf("encode the columns of %s: %w", id, err)
	}
	if f.q.Places {
		return d, nil
	}
	if f.user != "" && c.Policy.Members {
		m, err := f.st.Member(f.app, id, f.user)
		if err != nil && refusal(err) == state.None {
			return Document{}, err
		}
		d.Joined, d.Quiet = m.Joined, m.Quiet
	}
	if f.q.Last {
		last, err := f.st.LastMessageFor(f.app, id, f.user)
		if err != nil && refusal(err) == state.None {
			return Document{}, err
		}
		d.Last = last
	}
	return d, nil
}

// wants tells which columns of a match are told.
func (f *finder) wants(column string) bool {
	if f.q.Places {
		return f.order.Uses(column)
	}
	return !f.q.Compact || column != leandoc.ColumnMembers
}
