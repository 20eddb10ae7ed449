package where

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The limits of a query. Beyond them it is refused with ErrInvalid.
const (
	MaxBytes      = 64 << 10 // of the JSON text
	maxDepth      = 8        // of $and, $or, $nor and $not
	maxConditions = 128      // in all
	maxListed     = 1000     // values in one list
	maxPath       = 256      // bytes of a key
	maxRegex      = 512      // bytes of a regular expression
	maxSteps      = 2000     // of all regular expressions: each may be taken for each character of a text
)

// ErrInvalid is the cause when a query cannot be answered as it stands.
var ErrInvalid = errors.New("where: invalid query")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Query is what documents are held against. The zero value matches all.
type Query struct {
	all  all
	near *near // the first $nearSphere: matches are sorted by it when nothing else is asked
}

// condition is one thing that must hold of a document.
type condition interface {
	match(doc map[string]any) bool
}

// all are conditions of which each must hold.
type all []condition

func (a all) match(doc map[string]any) bool {
	for _, c := range a {
		if !c.match(doc) {
			return false
		}
	}
	return true
}

// either are conditions of which one must hold.
type either []condition

func (e either) match(doc map[string]any) bool {
	return slices.ContainsFunc(e, func(c condition) bool { return c.match(doc) })
}

// not is a condition that must not hold.
type not struct{ condition }

func (n not) match(doc map[string]any) bool { return !n.condition.match(doc) }

// Parse reads a query. No text and {} match all documents.
func Parse(text []byte) (*Query, error) {
	if len(text) > MaxBytes {
		return nil, invalid("it has %d bytes, at most %d are read", len(text), MaxBytes)
	}
	q := &Query{}
	if len(strings.TrimSpace(string(text))) == 0 {
		return q, nil
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, invalid("%v", err)
	}
	p := parser{q: q}
	var err error
	q.all, err = p.document(doc, 0)
	if err != nil {
		return nil, err
	}
	return q, nil
}

// Empty tells whether the query has no condition.
func (q *Query) Empty() bool { return len(q.all) == 0 }

// Match tells whether a document is one of those asked for.
func (q *Query) Match(doc map[string]any) bool { return q.all.match(doc) }

type parser struct {
	q     *Query
	count int
	steps int
}

// document parses {key: condition, …}, in the order of the keys, so that the same
// text is always the same query.
func (p *parser) document(doc map[string]any, depth int) (all, error) {
	if depth > maxDepth {
		return nil, invalid("conditions are nested more than %d deep", maxDepth)
	}
	var out all
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		c, err := p.entry(key, doc[key], depth)
		if err != nil {
			return nil, err
		}
		out = append(out, c...)
	}
	return out, nil
}

func (p *parser) entry(key string, value any, depth int) ([]condition, error) {
	switch {
	case key == "" || len(key) > maxPath:
		return nil, invalid("a key is empty or longer than %d bytes", maxPath)
	case key[0] != '$':
		return p.field(path(strings.Split(key, ".")), value, depth)
	}
	if key != "$and" && key != "$or" && key != "$nor" {
		return nil, invalid("%s is not supported", key)
	}
	listed, ok := value.([]any)
	if !ok || len(listed) == 0 {
		return nil, invalid("%s wants a list of conditions", key)
	}
	branches := make([]condition, 0, min(len(listed), maxConditions))
	for _, one := range listed {
		doc, ok := one.(map[string]any)
		if !ok {
			return nil, invalid("%s wants a list of conditions", key)
		}
		if err := p.counted(); err != nil {
			return nil, err
		}
		branch, err := p.document(doc, depth+1)
		if err != nil {
			return nil, err
		}
		branches = append(branches, branch)
	}
	switch key {
	case "$and":
		return branches, nil
	case "$or":
		return []condition{either(branches)}, nil
	default:
		return []condition{not{either(branches)}}, nil
	}
}

func (p *parser) counted() error {
	if p.count++; p.count > maxConditions {
		return invalid("more than %d conditions", maxConditions)
	}
	return nil
}

// field parses the conditions on one key: a value that it must have, or
// operators.
func (p *parser) field(at path, value any, depth int) ([]condition, error) {
	ops, ok := value.(map[string]any)
	if !ok || !operators(ops) {
		if err := p.counted(); err != nil {
			return nil, err
		}
		return []condition{&field{at: at, op: equal, value: normal(value)}}, nil
	}
	var out []condition
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		if err := p.counted(); err != nil {
			return nil, err
		}
		c, err := p.operator(at, op, ops, depth)
		if err != nil {
			return nil, fmt.Errorf("%w (of %s)", err, strings.Join(at, "."))
		}
		if c != nil {
			out = append(out, c)
		}
	}
	return out, nil
}

// operators tells whether an object holds operators rather than being a value.
func operators(object map[string]any) bool {
	for key := range object {
		if strings.HasPrefix(key, "$") {
			return true
		}
	}
	return false
}
