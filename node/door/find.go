package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/where"
	"github.com/quorate/quorate/wire"
)

const (
	// maxSearched is how many of a user's conversations a search looks at. Of one
	// who is in more it finds among the newest.
	maxSearched = 10_000
	// maxWhole is how many conversations a shard is asked for in full, of which only
	// a page is wanted.
	maxWhole = 200
	// shardsAtOnce is how many shards are asked at the same time.
	shardsAtOnce = 8
)

// Search looks for conversations of an app.
type Search struct {
	App   wire.AppID
	User  wire.UserID // who looks; empty: the app
	Where []byte      // see [where]
	Sort  string
	Limit int
	Skip  int

	// Temporary, if there are any, are the only conversations that are looked at.
	Temporary []wire.ConversationID
	// Recent are conversations that the user has just come into: what its members are
	// in may not say so yet.
	Recent []wire.ConversationID

	Now     int64 // milliseconds since 1970: what has ended by then is not found; 0: what the shards know of
	Private bool  // only those that the user is in, chat rooms and services
	Compact bool  // without their members
	Last    bool  // with their last message
}

// Find finds conversations, in the order that is asked for. A search by id or by
// member asks the shards that it concerns, any other one asks all of them. An
// error that wraps [where.ErrInvalid] says that the search makes no sense.
func Find(ctx context.Context, log Log, s Search) ([]ask.Document, error) {
	if s.Limit < 0 || s.Skip < 0 || s.Limit+s.Skip > ask.MaxFound {
		return nil, fmt.Errorf("%w: skip and limit go beyond %d", where.ErrInvalid, ask.MaxFound)
	}
	query, err := s.query()
	if err != nil {
		return nil, err
	}
	order, err := where.ParseSort(s.Sort, query)
	if err != nil {
		return nil, err
	}
	if s.Limit == 0 {
		return nil, nil
	}
	find := &ask.Find{Sort: s.Sort, Limit: s.Limit + s.Skip, Compact: s.Compact, Last: s.Last, Temporary: len(s.Temporary) > 0}
	if !query.Empty() {
		find.Where = s.Where
	}
	find.Places = s.Skip > 0 && find.Limit > maxWhole
	found, err := s.ask(ctx, log, query, find)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(d ask.Document) bool { return d.Expires != 0 && s.Now >= d.Expires })
	page, err := s.page(found, order)
	if err != nil || !find.Places || len(page) == 0 {
		return page, err
	}
	if found, err = s.inFull(ctx, log, page, *find); err != nil {
		return nil, err
	}
	s.Skip = 0
	return s.page(found, order)
}

// inFull asks for the conversations of a page, of which only the places are known.
func (s *Search) inFull(ctx context.Context, log Log, page []ask.Document, find ask.Find) ([]ask.Document, error) {
	of := make([]string, len(page))
	for i := range page {
		of[i] = string(page[i].Conversation)
	}
	find.All, find.Places, find.Limit = false, false, len(of)
	return s.askEach(ctx, log, of, &find)
}

// query reads what is looked for; Where is that from then on.
func (s *Search) query() (*where.Query, error) {
	query, err := where.Parse(s.Where)
	if err != nil || !s.Private || s.User == "" {
		return query, err
	}
	own, err := json.Marshal(map[string]any{"$or": []any{
		map[string]any{"m": s.User}, map[string]any{"tr": true}, map[string]any{"sys": true},
	}})
	if err != nil {
		return nil, fmt.Errorf("encode a query: %w", err)
	}
	if query.Empty() {
		s.Where = own
	} else {
		s.Where = slices.Concat([]byte(`{"$and":[`), s.Where, []byte(`,`), own, []byte(`]}`))
	}
	return where.Parse(s.Where)
}

// ask asks the shards that may have matches.
func (s *Search) ask(ctx context.Context, log Log, query *where.Query, find *ask.Find) ([]ask.Document, error) {
	plan := query.Plan(string(s.User))
	var of []string
	switch {
	case len(s.Temporary) > 0:
		for _, id := range s.Temporary {
			of = append(of, string(id))
		}
	case plan.ByID:
		of = plan.IDs
	case plan.Member != "":
		var err error
		if of, err = s.of(ctx, log, wire.UserID(plan.Member)); err != nil {
			return nil, err
		}
	default:
		find.All = true
		answers, err := log.AskAll(ctx, s.App, s.User, &ask.Request{Find: find})
		if err != nil {
			return nil, err
		}
		return documents(answers), nil
	}
	return s.askEach(ctx, log, of, find)
}

// askEach asks the shards of some conversations.
func (s *Search) askEach(ctx context.Context, log Log, of []string, find *ask.Find) ([]ask.Document, error) {
	answers, err := AskEach(ctx, log, Asker{s.App, s.User}, of, func(roots []string) *ask.Request {
		some := *find
		for _, root := range roots {
			some.Of = append(some.Of, wire.ConversationID(root))
		}
		return &ask.Request{Find: &some}
	})
	if err != nil {
		return nil, err
	}
	return documents(answers), nil
}

func documents(answers []*ask.Answer) (found []ask.Document) {
	for _, a := range answers {
		if a.Find != nil {
			found = append(found, a.Find.Documents...)
		}
	}
	return found
}

// of lists what a user is in, and what the one who looks has just come into: it
// may be the same.
func (s *Search) of(ctx context.Context, log Log, user wire.UserID) ([]string, error) {
	memberships, err := Memberships(ctx, log, s.App, user, maxSearched)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range memberships {
		ids = append(ids, string(m.Conversation))
	}
	for _, id := range s.Recent {
		if !slices.Contains(ids, string(id)) {
			ids = append(ids, string(id))
		}
	}
	return ids, nil
}

// page merges what the shards found.
func (s *Search) page(found []ask.Document, order where.Order) ([]ask.Document, error) {
	type match struct {
		document *ask.Document
		place    where.Place
	}
	matches := make([]match, len(found))
	for i := range found {
		columns, err := found[i].Decode()
		if err != nil {
			return nil, err
		}
		matches[i] = match{&found[i], order.PlaceOf(columns)} // the columns in full are many times as large
	}
	slices.SortFunc(matches, func(a, b match) int { return order.Compare(a.place, b.place) })
	page := make([]ask.Document, 0, s.Limit)
	for _, m := range matches[min(s.Skip, len(matches)):] {
		if len(page) == s.Limit {
			break
		}
		page = append(page, *m.document)
	}
	return page, nil
}

// Asker is for whom questions are asked.
type Asker struct {
	App  wire.AppID
	User wire.UserID // empty: the app
}

// AskEach asks the shards of roots, each once, about those that are its own, and
// returns their answers in no order. If one does not answer, neither does it.
func AskEach(ctx context.Context, log Log, by Asker, roots []string, question func(roots []string) *ask.Request) ([]*ask.Answer, error) {
	divided := log.Divide(by.App, roots)
	answers, errs := make([]*ask.Answer, len(divided)), make([]error, len(divided))
	places := make(chan struct{}, shardsAtOnce)
	var all sync.WaitGroup
	for i, some := range divided {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			answers[i], errs[i] = log.Ask(ctx, by.App, by.User, some[0], question(some))
		})
	}
	all.Wait()
	return answers, errors.Join(errs...)
}
