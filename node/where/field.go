package where

import (
	"regexp"
	"slices"
	"strconv"
)

// operation is what a condition asks of the value at a key.
type operation uint8

const (
	equal operation = iota
	less
	lessEqual
	greater
	greaterEqual
	in       // it is one of values
	contains // it has all of values
	size     // it is a list of count elements
	present  // there is one
	matches  // it is a text that regex matches
)

// path is a key, divided at its dots.
type path []string

// field is a condition on the value at a key.
type field struct {
	at     path
	op     operation
	value  any
	values []any
	texts  map[string]bool // the texts of values, when there are many
	count  int
	regex  *regexp.Regexp
}

// index makes a long list of texts quick to search.
func (f *field) index() {
	if len(f.values) < 8 {
		return
	}
	f.texts = make(map[string]bool, len(f.values))
	for _, v := range f.values {
		if s, ok := v.(string); ok {
			f.texts[s] = true
		}
	}
}

// match holds the condition against what is at the key. Absent is as good as
// null for what asks for equality, and nothing for what asks for more.
func (f *field) match(doc map[string]any) bool {
	found := f.at.values(doc)
	if len(found) == 0 {
		return f.absent()
	}
	return slices.ContainsFunc(found, f.holds)
}

func (f *field) absent() bool {
	switch f.op {
	case equal:
		return f.value == nil
	case in:
		return slices.Contains(f.values, nil)
	default:
		return false
	}
}

// holds tells whether the condition holds of one value; of a list, whether it
// holds of the list or of one element.
func (f *field) holds(v any) bool {
	v = normal(v)
	listed, isList := v.([]any)
	switch f.op {
	case present:
		return true
	case size:
		return isList && len(listed) == f.count
	case contains:
		return f.holdsAll(v, listed, isList)
	default:
		return f.holdsOne(v) || isList && slices.ContainsFunc(listed, func(one any) bool { return f.holdsOne(normal(one)) })
	}
}

func (f *field) holdsAll(v any, listed []any, isList bool) bool {
	for _, want := range f.values {
		if !same(v, want) && (!isList || !slices.ContainsFunc(listed, func(one any) bool { return same(normal(one), want) })) {
			return false
		}
	}
	return len(f.values) > 0
}

func (f *field) holdsOne(v any) bool {
	switch f.op {
	case equal:
		return same(v, f.value)
	case in:
		if s, ok := v.(string); ok && f.texts[s] {
			return true
		}
		return slices.ContainsFunc(f.values, func(one any) bool { return same(v, one) })
	case matches:
		s, ok := v.(string)
		return ok && f.regex.MatchString(s)
	default:
		order, ok := compare(v, f.value)
		return ok && f.ordered(order)
	}
}

func (f *field) ordered(order int) bool {
	switch f.op {
	case less:
		return order < 0
	case lessEqual:
		return order <= 0
	case greater:
		return order > 0
	default:
		return order >= 0
	}
}

// values returns what is at the key. A list on the way stands for each of its
// elements, or for the one whose place the key names.
func (p path) values(doc map[string]any) []any {
	v, ok := doc[p[0]]
	if !ok {
		return nil
	}
	return p[1:].descend(v, nil)
}

func (p path) descend(v any, found []any) []any {
	if len(p) == 0 {
		return append(found, v)
	}
	switch v := v.(type) {
	case map[string]any:
		if next, ok := v[p[0]]; ok {
			return p[1:].descend(next, found)
		}
	case []any:
		if i, err := strconv.Atoi(p[0]); err == nil && i >= 0 && i < len(v) {
			return p[1:].descend(v[i], found)
		}
		for _, one := range v {
			if object, ok := one.(map[string]any); ok {
				found = p.descend(object, found)
			}
		}
	}
	return found
}
