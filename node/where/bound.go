package where

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Key is a value as an index knows it. Values that a query holds to be equal have
// a key in common; values with a key in common need not be equal.
type Key string

// maxKey is how many bytes of a text a key has.
const maxKey = 64

// Bound says what every match of a query has at one key of the document.
type Bound struct {
	Column string // the key, with its dots
	Keys   []Key  // a match is listed under one of these; none: there is no match
}

// Bounds returns what the query says of all its matches that an index can tell,
// but for ids and members, of which [Query.Plan] knows better.
func (q *Query) Bounds() []Bound {
	return slices.DeleteFunc(q.all.bounds(), func(b Bound) bool { return b.Column == keyID || b.Column == keyMembers })
}

func (a all) bounds() []Bound {
	var bounds []Bound
	for _, c := range a {
		bounds = append(bounds, boundsOf(c)...)
	}
	return bounds
}

func boundsOf(c condition) []Bound {
	switch c := c.(type) {
	case all:
		return c.bounds()
	case either:
		return c.bounds()
	case *field:
		return c.bounds()
	default:
		return nil
	}
}

// bounds are those on columns that all branches bound: each adds its keys.
func (e either) bounds() []Bound {
	var common []Bound
	for i, c := range e {
		branch := boundsOf(c)
		if i == 0 {
			common = branch
			continue
		}
		common = slices.DeleteFunc(common, func(b Bound) bool { return find(branch, b.Column) == nil })
		for j := range common {
			common[j].Keys = append(common[j].Keys, find(branch, common[j].Column).Keys...)
		}
	}
	return common
}

func find(bounds []Bound, column string) *Bound {
	i := slices.IndexFunc(bounds, func(b Bound) bool { return b.Column == column })
	if i < 0 {
		return nil
	}
	return &bounds[i]
}

func (f *field) bounds() []Bound {
	var values []any
	switch f.op {
	case equal:
		values = []any{f.value}
	case in:
		values = f.values
	case contains:
		if len(f.values) == 0 {
			return nil
		}
		values = f.values[:1] // and more
	default:
		return nil
	}
	b := Bound{Column: strings.Join(f.at, ".")}
	for _, v := range values {
		keys := keysOf(v)
		if keys == nil {
			return nil
		}
		b.Keys = append(b.Keys, keys...)
	}
	return []Bound{b}
}

// keysOf returns the keys of a value; nil: an index does not know it.
func keysOf(v any) []Key {
	switch v := v.(type) {
	case string:
		keys := []Key{Key("s" + v[:min(len(v), maxKey)])}
		if t, ok := parseTime(v); ok { // it equals the date
			keys = append(keys, keyOfTime(t))
		}
		return keys
	case instant:
		return []Key{keyOfTime(v)}
	case float64:
		return []Key{Key("n" + strconv.FormatFloat(v+0, 'g', -1, 64))} // + 0: there is a negative one that equals it
	case bool:
		return []Key{Key("b" + strconv.FormatBool(v))}
	default:
		return nil
	}
}

func keyOfTime(t instant) Key { return Key("t" + strconv.FormatInt(int64(t), 10)) }

// KeysAt returns all keys that an index lists a document under for a column, each
// once.
func KeysAt(column string, doc map[string]any) []Key {
	var keys []Key
	for _, v := range path(strings.Split(column, ".")).values(doc) {
		v = normal(v)
		keys = append(keys, keysOf(v)...)
		if listed, ok := v.([]any); ok {
			for _, one := range listed {
				keys = append(keys, keysOf(normal(one))...)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Times says between which times, in milliseconds since 1970 and both included,
// all matches have a column whose values are dates, or texts that write dates as
// package leandoc does.
func (q *Query) Times(column string) (from, upto int64) {
	return q.all.times(column, math.MinInt64, math.MaxInt64)
}

func (a all) times(column string, from, upto int64) (int64, int64) {
	for _, c := range a {
		switch c := c.(type) {
		case all:
			from, upto = c.times(column, from, upto)
		case *field:
			if len(c.at) == 1 && c.at[0] == column {
				from, upto = c.times(from, upto)
			}
		}
	}
	return from, upto
}

func (f *field) times(from, upto int64) (int64, int64) {
	at, ok := timeBound(f.value)
	if !ok {
		return from, upto
	}
	switch f.op {
	case equal:
		return max(from, at), min(upto, at)
	case less:
		return from, min(upto, at-1)
	case lessEqual:
		return from, min(upto, at)
	case greater:
		return max(from, at+1), upto
	case greaterEqual:
		return max(from, at), upto
	default:
		return from, upto
	}
}

// timeBound reads a value that is ordered as its time is: a date, or a text that
// is written as those in the column are.
func timeBound(v any) (int64, bool) {
	switch v := v.(type) {
	case instant:
		return int64(v), true
	case string:
		t, err := time.Parse("2006-01-02T15:04:05.000Z", v)
		return t.UnixMilli(), err == nil
	default:
		return 0, false
	}
}

// First returns the column by which matches are sorted first, and whether the
// greatest come first; no column: it is by something else.
func (o Order) First() (column string, down bool) {
	if o.near != nil || len(o.keys) == 0 {
		return "", false
	}
	return strings.Join(o.keys[0].at, "."), o.keys[0].down
}
