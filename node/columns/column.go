package columns

import (
	"cmp"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/google/btree"

	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/where"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// column is the index of one column: its conversations by the keys of its values
// or, of a column of times, by their time.
type column struct {
	name  string
	time  func(*state.ConversationDetail) int64 // nil: it is no column of times
	order *btree.BTreeG[place]
	of    map[wire.ConversationID]listing
	size  int // places
	asked time.Time
}

// place is where a conversation is listed.
type place struct {
	key where.Key
	at  int64
	id  wire.ConversationID
}

// listing is what a conversation is listed under.
type listing struct {
	keys []where.Key
	at   int64
}

func (p place) compare(other place) int {
	return cmp.Or(strings.Compare(string(p.key), string(other.key)), cmp.Compare(p.at, other.at), strings.Compare(string(p.id), string(other.id)))
}

const degree = 32 // of the trees

func newColumn(name string) *column {
	return &column{
		name: name, time: timeOf(name), asked: time.Now(), of: map[wire.ConversationID]listing{},
		order: btree.NewG(degree, func(a, b place) bool { return a.compare(b) < 0 }),
	}
}

// The columns of times.
const (
	columnCreated = "createdAt"
	columnUpdated = "updatedAt"
)

// never is the time of what has none: it comes before all that have one.
const never = math.MinInt64

func timeOf(name string) func(*state.ConversationDetail) int64 {
	switch name {
	case columnCreated:
		return func(c *state.ConversationDetail) int64 { return c.Created }
	case columnUpdated:
		return func(c *state.ConversationDetail) int64 { return c.Updated }
	case leandoc.ColumnLast:
		return func(c *state.ConversationDetail) int64 {
			if c.LastMessage == 0 {
				return never
			}
			return c.LastMessage
		}
	default:
		return nil
	}
}

// add lists a conversation, and returns how many places it takes.
func (c *column) add(d *state.ConversationDetail) int {
	var l listing
	if c.time != nil {
		l.at = c.time(d)
		c.order.ReplaceOrInsert(place{at: l.at, id: d.ID})
	} else {
		top, _, _ := strings.Cut(c.name, ".")
		l.keys = where.KeysAt(c.name, leandoc.Columns(d, func(column string) bool { return column == top }, true))
		for _, key := range l.keys {
			c.order.ReplaceOrInsert(place{key: key, id: d.ID})
		}
	}
	c.of[d.ID] = l
	n := max(len(l.keys), 1)
	c.size += n
	return n
}

// remove removes a conversation, and returns how many places it took.
func (c *column) remove(id wire.ConversationID) int {
	l, ok := c.of[id]
	if !ok {
		return 0
	}
	delete(c.of, id)
	if c.time != nil {
		c.order.Delete(place{at: l.at, id: id})
	}
	for _, key := range l.keys {
		c.order.Delete(place{key: key, id: id})
	}
	n := max(len(l.keys), 1)
	c.size -= n
	return n
}

// under calls f with what is listed under a key, until it returns false.
func (c *column) under(key where.Key, f func(place) bool) {
	c.order.AscendGreaterOrEqual(place{key: key, at: math.MinInt64}, func(p place) bool { return p.key == key && f(p) })
}

// between calls f with what is between two times, both included, in their order,
// until it returns false.
func (c *column) between(from, upto int64, down bool, f func(place) bool) {
	if from > upto {
		return
	}
	lo := place{at: from}
	if !down {
		c.order.AscendGreaterOrEqual(lo, func(p place) bool { return p.at <= upto && f(p) })
		return
	}
	back := func(p place) bool { return p.at >= from && f(p) }
	if upto == math.MaxInt64 {
		c.order.Descend(back)
		return
	}
	c.order.DescendLessOrEqual(place{at: upto + 1}, back)
}

// count counts what is listed under some keys, up to a limit.
func (c *column) count(keys []where.Key, limit int) int {
	n := 0
	for _, key := range keys {
		c.under(key, func(place) bool {
			n++
			return n < limit
		})
	}
	return n
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*state.RefusedError](err)
	return ok
}
