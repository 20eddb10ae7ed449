package columns

import (
	"math"

	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/where"
	"github.com/quorate/quorate/wire"
)

// many is how many conversations of one value are gone through, rather than all
// in the order that is wanted until there are enough.
const many = 2000

// Candidate is a conversation that may match.
type Candidate struct {
	ID      wire.ConversationID
	Ordered bool  // candidates come in the order of the column that is sorted by first
	Rank    int64 // with Ordered: its place in that; several can have one
}

// asked is what a search asks of an index.
type asked struct {
	bounds     []where.Bound
	ranges     []span
	order      string // the column of times that matches are sorted by first, or none
	down       bool
	from, upto int64 // of the order
}

// span is a column of times that all matches have between two times.
type span struct {
	column     string
	from, upto int64
}

func askedBy(q *where.Query, o where.Order) *asked {
	a := &asked{}
	for _, b := range q.Bounds() {
		// Who is quiet is for members to know.
		if timeOf(b.Column) == nil && b.Column != leandoc.ColumnMuted {
			a.bounds = append(a.bounds, b)
		}
	}
	for _, name := range []string{columnCreated, columnUpdated, leandoc.ColumnLast} {
		if from, upto := q.Times(name); from != math.MinInt64 || upto != math.MaxInt64 {
			a.ranges = append(a.ranges, span{name, from, upto})
		}
	}
	first, down := o.First()
	if timeOf(first) != nil {
		a.order, a.down = first, down
		a.from, a.upto = q.Times(first)
	}
	return a
}

// wants lists the columns that would help, as far as is known.
func (a *asked) wants(t *table) []string {
	var names []string
	for i := range a.bounds {
		names = append(names, a.bounds[i].Column)
	}
	if best, n := a.bound(t); a.order != "" && (len(a.bounds) == 0 || best != nil && n >= many) {
		names = append(names, a.order)
	}
	for _, s := range a.ranges {
		if len(a.bounds) == 0 && s.column != a.order {
			names = append(names, s.column)
		}
	}
	return names
}

// bound returns what has the fewest candidates of what the query asks for, as far
// as many are told apart; nil: there is no index of any.
func (a *asked) bound(t *table) (best *where.Bound, count int) {
	for i := range a.bounds {
		c := t.columns[a.bounds[i].Column]
		if c == nil {
			continue
		}
		if n := c.count(a.bounds[i].Keys, many); best == nil || n < count {
			best, count = &a.bounds[i], n
		}
	}
	return best, count
}

// visit calls f with the candidates, and returns false if there is no index that
// names them.
func (a *asked) visit(t *table, f func(Candidate) bool) bool {
	best, count := a.bound(t)
	order := t.columns[a.order]
	if best != nil && (count < many || order == nil) {
		t.columns[best.Column].visit(best.Keys, f)
		return true
	}
	narrow := a.narrow(t)
	switch {
	case order != nil && narrow == nil:
		order.between(a.from, a.upto, a.down, func(p place) bool { return f(Candidate{ID: p.id, Ordered: true, Rank: p.at}) })
	case narrow != nil:
		t.columns[narrow.column].between(narrow.from, narrow.upto, false, func(p place) bool { return f(Candidate{ID: p.id}) })
	default:
		return false
	}
	return true
}

// narrow returns a span of times, of another column than the order, that does not
// hold many conversations; any if there is no order.
func (a *asked) narrow(t *table) *span {
	for i := range a.ranges {
		s := &a.ranges[i]
		c := t.columns[s.column]
		if c == nil || s.column == a.order {
			continue
		}
		n := 0
		c.between(s.from, s.upto, false, func(place) bool {
			n++
			return n < many
		})
		if n < many || t.columns[a.order] == nil {
			return s
		}
	}
	return nil
}

// visit calls f once with each conversation under some keys.
func (c *column) visit(keys []where.Key, f func(Candidate) bool) {
	var seen map[wire.ConversationID]bool
	if len(keys) > 1 {
		seen = map[wire.ConversationID]bool{}
	}
	more := true
	for _, key := range keys {
		if !more {
			return
		}
		c.under(key, func(p place) bool {
			if seen[p.id] {
				return true
			}
			if seen != nil {
				seen[p.id] = true
			}
			more = f(Candidate{ID: p.id})
			return more
		})
	}
}
