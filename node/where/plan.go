package where

import "slices"

// The keys of a conversation's document that make a search narrow.
const (
	keyID      = "objectId"
	keyMembers = "m"
)

// Plan says where all matches of a query are to be found.
type Plan struct {
	ByID   bool
	IDs    []string // with ByID: a match has one of these ids; none: there is no match
	Member string   // else, when not empty: this user is in every match
}

// Plan plans the search. Of several users who must be in a match it names the
// one that is preferred, if he is among them, for his conversations are known.
func (q *Query) Plan(prefer string) Plan {
	if ids, ok := q.all.among(keyID); ok {
		slices.Sort(ids)
		return Plan{ByID: true, IDs: slices.Compact(ids)}
	}
	members := q.all.required(keyMembers, nil)
	switch {
	case len(members) == 0:
		return Plan{}
	case slices.Contains(members, prefer):
		return Plan{Member: prefer}
	default:
		return Plan{Member: members[0]}
	}
}

// bounded is a condition that may bound the texts that are at a key.
type bounded interface {
	// among returns texts of which a match has one at the key, and false when the
	// condition does not bound them.
	among(key string) ([]string, bool)
}

func (a all) among(key string) ([]string, bool) {
	var texts []string
	found := false
	for _, c := range a {
		b, ok := c.(bounded)
		if !ok {
			continue
		}
		some, ok := b.among(key)
		switch {
		case !ok:
		case !found:
			texts, found = some, true
		default:
			texts = slices.DeleteFunc(texts, func(s string) bool { return !slices.Contains(some, s) })
		}
	}
	return texts, found
}

func (e either) among(key string) ([]string, bool) {
	var texts []string
	for _, c := range e {
		b, ok := c.(bounded)
		if !ok {
			return nil, false
		}
		some, ok := b.among(key)
		if !ok {
			return nil, false
		}
		texts = append(texts, some...)
	}
	return texts, true
}

func (f *field) among(key string) ([]string, bool) {
	if len(f.at) != 1 || f.at[0] != key {
		return nil, false
	}
	switch f.op {
	case equal:
		s, ok := f.value.(string)
		return []string{s}, ok
	case in:
		var texts []string
		for _, v := range f.values {
			switch v := v.(type) {
			case string:
				texts = append(texts, v)
			case instant: // it would equal a text
				return nil, false
			}
		}
		return texts, true
	default:
		return nil, false
	}
}

// required appends texts that each match has at the key, among others.
func (a all) required(key string, texts []string) []string {
	for _, c := range a {
		switch c := c.(type) {
		case all:
			texts = c.required(key, texts)
		case *field:
			texts = c.required(key, texts)
		}
	}
	return texts
}

func (f *field) required(key string, texts []string) []string {
	if len(f.at) != 1 || f.at[0] != key {
		return texts
	}
	listed := f.values
	switch {
	case f.op == equal:
		listed = []any{f.value}
		if members, ok := f.value.([]any); ok {
			listed = members // the list itself
		}
	case f.op == contains, f.op == in && len(f.values) == 1:
	default:
		return texts
	}
	for _, v := range listed {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}

// Uses tells whether a condition is about a column: about the first part of its
// key.
func (q *Query) Uses(column string) bool { return uses(q.all, column) }

func uses(c condition, column string) bool {
	about := func(c condition) bool { return uses(c, column) }
	switch c := c.(type) {
	case all:
		return slices.ContainsFunc(c, about)
	case either:
		return slices.ContainsFunc(c, about)
	case not:
		return uses(c.condition, column)
	case *field:
		return c.at[0] == column
	case *near:
		return c.at[0] == column
	case *box:
		return c.at[0] == column
	default:
		return true
	}
}
