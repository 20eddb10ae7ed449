package leandoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate/quorate/shard/state"
)

// operation is a value that says what is to be done with what is there.
type operation struct {
	Op      string          `json:"__op"`
	Objects json.RawMessage `json:"objects"`
	Amount  json.RawMessage `json:"amount"`
	Value   json.RawMessage `json:"value"`
}

// ParseUpdate reads a change of columns: values by column, or by path within one,
// and operations in the place of values. Columns that clients may not set are
// left out.
func ParseUpdate(text []byte) ([]state.Change, error) {
	columns, err := object(text)
	if err != nil {
		return nil, err
	}
	var changes []state.Change
	for _, path := range slices.Sorted(maps.Keys(columns)) {
		column, _, _ := strings.Cut(path, ".")
		if column == "" || strings.HasPrefix(column, "$") {
			return nil, fmt.Errorf("%w: %q is no name of a column", ErrAttributes, path)
		}
		if ReadOnly(column) {
			continue
		}
		change, err := parseChange(path, columns[path])
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

func parseChange(path string, value json.RawMessage) (state.Change, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return state.Change{}, fmt.Errorf("%w: %s: %w", ErrAttributes, path, err)
	}
	op, ok := asOperation(value)
	if !ok {
		return state.Change{Path: path, Op: state.ChangeSet, Value: compact.Bytes()}, nil
	}
	change := state.Change{Path: path}
	switch op.Op {
	case "Delete":
		change.Op = state.ChangeDelete
		return change, nil
	case "Add":
		change.Op, change.Value = state.ChangeAdd, op.Objects
	case "AddUnique":
		change.Op, change.Value = state.ChangeAddUnique, op.Objects
	case "Remove":
		change.Op, change.Value = state.ChangeRemove, op.Objects
	case "Increment":
		change.Op, change.Value = state.ChangeIncrement, op.Amount
	case "Decrement":
		change.Op, change.Value = state.ChangeIncrement, negative(op.Amount)
	case "BitAnd":
		change.Op, change.Value = state.ChangeBitAnd, op.Value
	case "BitOr":
		change.Op, change.Value = state.ChangeBitOr, op.Value
	case "BitXor":
		change.Op, change.Value = state.ChangeBitXor, op.Value
	default:
		return change, fmt.Errorf("%w: %s: no such operation as %q", ErrAttributes, path, op.Op)
	}
	if len(change.Value) == 0 {
		return change, fmt.Errorf("%w: %s: %s lacks its operand", ErrAttributes, path, op.Op)
	}
	return change, nil
}

func asOperation(value json.RawMessage) (operation, bool) {
	var op operation
	if value = bytes.TrimSpace(value); len(value) == 0 || value[0] != '{' {
		return op, false
	}
	return op, json.Unmarshal(value, &op) == nil && op.Op != ""
}

func negative(amount json.RawMessage) json.RawMessage {
	if rest, ok := bytes.CutPrefix(bytes.TrimSpace(amount), []byte("-")); ok {
		return rest
	}
	if len(amount) == 0 {
		return nil
	}
	return append([]byte("-"), bytes.TrimSpace(amount)...)
}

// Resolved rewrites a change as it was sent, for those who take its values as
// they stand: an operation becomes what it came to. What was deleted becomes null.
func Resolved(sent, changed []byte) []byte {
	columns, err := object(sent)
	if err != nil {
		return changed
	}
	var now any
	_ = json.Unmarshal(changed, &now)
	for path, value := range columns {
		column, _, _ := strings.Cut(path, ".")
		if ReadOnly(column) {
			delete(columns, path)
			continue
		}
		if _, ok := asOperation(value); !ok {
			continue
		}
		b, err := json.Marshal(at(now, strings.Split(path, ".")))
		if err != nil {
			return changed
		}
		columns[path] = b
	}
	b, err := json.Marshal(columns)
	if err != nil {
		return changed
	}
	return b
}

func at(v any, path []string) any {
	for _, key := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[key]
	}
	return v
}
