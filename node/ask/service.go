package ask

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Broadcasts asks for messages to all users of the app, in the shard of
// [state.BroadcastLog].
type Broadcasts struct {
	Service wire.ConversationID `json:"service,omitempty"` // only those that are shown as its; empty: all
	After   wire.Seq            `json:"after,omitempty"`   // only those after it
	ValidAt int64               `json:"valid_at,omitempty"`
	Start   Place               `json:"start"` // as in [History]
	End     Place               `json:"end"`
	Newer   bool                `json:"newer,omitempty"`
	Type    *int64              `json:"type,omitempty"`
	Limit   int                 `json:"limit"`
}

// BroadcastPage is broadcasts in ascending order.
type BroadcastPage struct {
	Broadcasts []Broadcast `json:"broadcasts,omitempty"`
	Last       wire.Offset `json:"last"`              // of the log
	LastSeq    wire.Seq    `json:"last_seq"`          // the last message, of whatever service
	Missing    bool        `json:"missing,omitempty"` // the app has never said anything to all of its users
}

// Broadcast is a message as it is shown, and what is said beside it.
type Broadcast struct {
	state.Broadcast

	Message *state.Message
}

func (q *Broadcasts) answer(e executor, a *Answer) error {
	page := &BroadcastPage{}
	a.Broadcasts = page
	access, err := e.st.CanRead(e.app, state.BroadcastLog, e.user)
	if refusal(err) == state.NotFound {
		page.Missing = true
		return nil
	}
	if err != nil {
		return err
	}
	page.Last, page.LastSeq = access.Last, access.LastSeq
	query := state.HistoryQuery{App: e.app, Conversation: state.BroadcastLog, Reader: e.user, OldestFirst: q.Newer}
	within := History{Conversation: state.BroadcastLog, Start: q.Start, End: q.End, Newer: q.Newer}
	some, err := within.bounds(e, &query)
	if err != nil || !some || q.Limit <= 0 {
		return err
	}
	if page.Broadcasts, err = q.read(e, &query); err == nil && !q.Newer {
		slices.Reverse(page.Broadcasts)
	}
	return err
}

// read reads what is asked for, in the query's direction.
func (q *Broadcasts) read(e executor, query *state.HistoryQuery) ([]Broadcast, error) {
	var found []Broadcast
	query.Limit = wire.MaxPageEntries
	for looked := 0; looked < maxLooked; {
		if err := e.awaited(); err != nil {
			return nil, err
		}
		page, err := e.st.History(*query)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Messages {
			looked++
			if !q.Newer && m.Seq <= q.After {
				return found, nil
			}
			if b, ok := q.shown(m); ok {
				found = append(found, b)
			}
			if len(found) == q.Limit {
				return found, nil
			}
		}
		if !page.More {
			break
		}
		query.From, query.FromTime = page.Next, 0
	}
	return found, nil
}

// shown returns a message as it is shown, if it is asked for.
func (q *Broadcasts) shown(m *state.Message) (Broadcast, bool) {
	said, shown, err := state.UnwrapBroadcast(m)
	switch {
	case err != nil: // it was taken back
		return Broadcast{}, false
	case m.Seq <= q.After, q.Service != "" && said.Service != q.Service, q.Type != nil && !isType(shown, *q.Type):
		return Broadcast{}, false
	case q.ValidAt != 0 && said.ValidTill != 0 && said.ValidTill <= q.ValidAt:
		return Broadcast{}, false
	default:
		return Broadcast{said, shown}, true
	}
}

// BroadcastPlaces asks the asker's own shard how far he is among the broadcasts.
type BroadcastPlaces struct{}

// BroadcastPlaceList is his places, by name.
type BroadcastPlaceList struct {
	Places []state.BroadcastPlace `json:"places,omitempty"`
	Met    bool                   `json:"met,omitempty"` // his log is not empty: he was there before
}

func (*BroadcastPlaces) answer(e executor, a *Answer) error {
	places, err := e.st.BroadcastPlaces(e.app, e.user)
	if err != nil {
		return err
	}
	at, err := e.st.Last(state.LogKey{App: e.app, User: e.user})
	a.BroadcastPlaces = &BroadcastPlaceList{Places: places, Met: at.Last > 0}
	return err
}

// MaxSubscribers is how many subscribers one question lists.
const MaxSubscribers = 1000

// Subscribers asks who has subscribed to a service, in the order in which they
// did. Only the app may ask.
type Subscribers struct {
	Service wire.ConversationID `json:"service"`
	After   *Subscriber         `json:"after,omitempty"` // in the direction asked for; nil: from the end where it begins
	Newest  bool                `json:"newest,omitempty"`
	Limit   int                 `json:"limit"`
}

// Subscriber is a member of a service. Two of one time are ordered by their ids.
type Subscriber struct {
	User  wire.UserID `json:"user"`
	Since int64       `json:"since"` // milliseconds since 1970
}

func compareSubscribers(a, b Subscriber) int {
	return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.User, b.User))
}

// SubscriberPage is some of them, and how many there are at all.
type SubscriberPage struct {
	Subscribers []Subscriber `json:"subscribers,omitempty"`
	Count       uint32       `json:"count"`
	More        bool         `json:"more,omitempty"`
}

// answer reads all members: they lie by their ids.
func (q *Subscribers) answer(e executor, a *Answer) error {
	if e.user != "" {
		return &state.RefusedError{Refusal: state.Forbidden}
	}
	c, err := e.st.Conversation(e.app, q.Service)
	if err != nil {
		return err
	}
	if c.Policy.Preset != state.PresetSystem {
		return &state.RefusedError{Refusal: state.NotFound}
	}
	a.Subscribers = &SubscriberPage{Count: c.MemberCount}
	limit := min(q.Limit, MaxSubscribers)
	if limit <= 0 {
		return nil
	}
	order := compareSubscribers
	if q.Newest {
		order = func(a, b Subscriber) int { return compareSubscribers(b, a) }
	}
	found, err := q.past(e, order)
	if err != nil {
		return err
	}
	slices.SortFunc(found, order)
	a.Subscribers.More = len(found) > limit
	a.Subscribers.Subscribers = slices.Clone(found[:min(limit, len(found))])
	return nil
}

// past returns the subscribers that lie past the place asked for.
func (q *Subscribers) past(e executor, order func(a, b Subscriber) int) ([]Subscriber, error) {
	var found []Subscriber
	for after := wire.UserID(""); ; {
		if err := e.awaited(); err != nil {
			return nil, err
		}
		page, err := e.st.Members(e.app, q.Service, after, wire.MaxPageEntries)
		if err != nil {
			return nil, err
		}
		for i := range page.Members {
			m := &page.Members[i]
			after = m.User
			s := Subscriber{User: m.User, Since: m.Joined}
			if q.After == nil || order(s, *q.After) > 0 {
				found = append(found, s)
			}
		}
		if !page.More {
			return found, nil
		}
	}
}
