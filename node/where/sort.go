package where

import (
	"cmp"
	"slices"
	"strings"
)

// maxSortKeys is how many keys matches can be sorted by.
const maxSortKeys = 8

// Order is in which order matches are wanted. Its zero value is that of their
// ids.
type Order struct {
	keys []sortKey
	near *near
}

type sortKey struct {
	at   path
	down bool
}

// ParseSort reads keys between commas, each with a minus sign for descending. No
// text: the nearest first where the query asks for what is near, else what was
// spoken in last.
func ParseSort(text string, q *Query) (Order, error) {
	var o Order
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		key, down := strings.CutPrefix(name, "-")
		switch {
		case name == "":
			continue
		case key == "" || len(key) > maxPath || len(o.keys) == maxSortKeys:
			return Order{}, invalid("sort %q", text)
		}
		o.keys = append(o.keys, sortKey{at: strings.Split(key, "."), down: down})
	}
	if len(o.keys) > 0 {
		return o, nil
	}
	if q.near != nil {
		return Order{near: q.near}, nil
	}
	return Order{keys: []sortKey{{at: path{"lm"}, down: true}}}, nil
}

// Place is where a document belongs in an order. It keeps nothing of the document
// but the values that it is sorted by.
type Place struct {
	distance float64
	values   []any
	id       string
}

// unordered stands for a value that has no order among those of its rank.
type unordered int

// PlaceOf says where a document belongs.
func (o Order) PlaceOf(doc map[string]any) Place {
	p := Place{}
	p.id, _ = doc[keyID].(string)
	if o.near != nil {
		p.distance = o.near.distance(doc)
	}
	if len(o.keys) > 0 {
		p.values = make([]any, len(o.keys))
	}
	for i, key := range o.keys {
		p.values[i] = sortable(key.at.first(doc))
	}
	return p
}

func sortable(v any) any {
	switch v.(type) {
	case map[string]any, []any:
		return unordered(rank(v))
	default:
		return v
	}
}

// Compare orders two places; of two that are equal, the one with the greater id
// is the later.
func (o Order) Compare(a, b Place) int {
	if order := cmp.Compare(a.distance, b.distance); order != 0 {
		return order
	}
	for i, key := range o.keys {
		order := compareAny(a.values[i], b.values[i])
		if key.down {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return strings.Compare(a.id, b.id)
}

func (p path) first(doc map[string]any) any {
	if found := p.values(doc); len(found) > 0 {
		return normal(found[0])
	}
	return nil
}

func compareAny(a, b any) int {
	if order, ok := compare(a, b); ok {
		return order
	}
	return cmp.Compare(rank(a), rank(b))
}

// Uses tells whether the order is by a column, or by something in it.
func (o Order) Uses(column string) bool {
	return column == keyID || o.near != nil && o.near.at[0] == column ||
		slices.ContainsFunc(o.keys, func(k sortKey) bool { return k.at[0] == column })
}
