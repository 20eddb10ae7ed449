package leandoc

import (
	"bytes"
	"crypto/md5" //nolint:gosec // a fingerprint that the dialect prescribes, not a secret
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// ErrAttributes is the cause when attributes cannot be stored as they stand.
var ErrAttributes = errors.New("leandoc: invalid attributes")

// Attributes is what a client gives a new conversation.
type Attributes struct {
	Name       string
	Properties []state.Property
}

// ParseAttributes reads a document of columns. Those that clients may not set
// are left out.
func ParseAttributes(text []byte) (Attributes, error) {
	var a Attributes
	columns, err := object(text)
	if err != nil {
		return a, err
	}
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		value := columns[column]
		switch {
		case ReadOnly(column):
		case column == ColumnName:
			if err := json.Unmarshal(value, &a.Name); err != nil {
				return a, fmt.Errorf("%w: the name is no text", ErrAttributes)
			}
		case strings.HasPrefix(column, "$") || strings.Contains(column, ".") || column == "":
			return a, fmt.Errorf("%w: %q is no name of a column", ErrAttributes, column)
		default:
			var compact bytes.Buffer
			if err := json.Compact(&compact, value); err != nil {
				return a, fmt.Errorf("%w: column %s: %w", ErrAttributes, column, err)
			}
			a.Properties = append(a.Properties, state.Property{Name: column, Value: compact.Bytes()})
		}
	}
	return a, nil
}

func object(text []byte) (map[string]json.RawMessage, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	var columns map[string]json.RawMessage
	if err := json.Unmarshal(text, &columns); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAttributes, err)
	}
	if depthOf(text) > maxDepth {
		return nil, fmt.Errorf("%w: lists and objects are more than %d deep in each other", ErrAttributes, maxDepth)
	}
	return columns, nil
}

// maxDepth bounds how deep a document is: members are sent it, and there are
// clients that end when they read a very deep one.
const maxDepth = 64

// depthOf is how deep the lists and objects of a valid JSON text are in each other.
func depthOf(text []byte) int {
	depth, deepest, inText := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '[', c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']', c == '}':
			depth--
		}
	}
	return deepest
}

// UniqueID is the fingerprint of a member set that LeanCloud stores with unique
// conversations. Nothing is found by it: two sets can have the same.
func UniqueID(members []wire.UserID) string {
	names := slices.Clone(members)
	slices.Sort(names)
	h := md5.New() //nolint:gosec // see above
	for _, name := range slices.Compact(names) {
		_, _ = h.Write([]byte(name))
	}
	return hex.EncodeToString(h.Sum(nil))
}
