package jsonop

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Op is what is done. Its numbers are durable: add at the end, never renumber.
type Op uint8

// The operations. The zero value is none.
const (
	Set       Op = 1 // the value is what stands there
	Delete    Op = 2 // nothing does
	Add       Op = 3 // the value's elements are added to the list's end
	AddUnique Op = 4 // and so are those that are not in it yet
	Remove    Op = 5 // all elements equal to one of the value's are taken out
	Increment Op = 6 // the value is added to the number
	BitAnd    Op = 7 // of two integers
	BitOr     Op = 8
	BitXor    Op = 9
)

// Errors of operations that cannot be done.
var (
	ErrPath  = errors.New("jsonop: something on the path is not an object, or a key is not UTF-8")
	ErrValue = errors.New("jsonop: the value is not what the operation needs, or what stands there is not")
	ErrOp    = errors.New("jsonop: no such operation")
)

// Apply does an operation at a path of keys below a value, and returns what the
// value is then; false: nothing is there. Objects on the path that are missing are
// made, unless there is nothing to put into them. The values are as [Decode]
// returns them; the old one may be changed in place.
func Apply(old any, present bool, path []string, op Op, value any) (changed any, there bool, err error) {
	if len(path) == 0 {
		return applyHere(old, present, op, value)
	}
	object, ok := old.(map[string]any)
	if !ok && present || !utf8.ValidString(path[0]) {
		return nil, false, ErrPath
	}
	child, has := object[path[0]]
	child, has, err = Apply(child, has, path[1:], op, value)
	switch {
	case err != nil:
		return nil, false, err
	case has && object == nil:
		object = map[string]any{path[0]: child}
	case has:
		object[path[0]] = child
	case !present:
		return nil, false, nil
	default:
		delete(object, path[0])
	}
	return object, true, nil
}

// applyHere does an operation on a value itself.
func applyHere(old any, present bool, op Op, value any) (changed any, there bool, err error) {
	switch op {
	case Set:
		return value, true, nil
	case Delete:
		return nil, false, nil
	case Add, AddUnique, Remove:
		return applyList(old, present, op, value)
	case Increment, BitAnd, BitOr, BitXor:
		changed, err = applyNumber(old, present, op, value)
		return changed, err == nil, err
	default:
		return nil, false, ErrOp
	}
}

// applyList adds to a list or takes from it. What is not there is an empty one; to
// take from that leaves it so.
func applyList(old any, present bool, op Op, value any) (changed any, there bool, err error) {
	list, ok := old.([]any)
	elements, valid := value.([]any)
	if !ok && present || !valid {
		return nil, false, ErrValue
	}
	switch op {
	case Add:
		return append(slices.Clip(list), elements...), true, nil
	case AddUnique:
		in := keysOf(list)
		list = slices.Clip(list)
		for _, e := range elements {
			if key := string(appendKey(nil, e)); !in[key] {
				in[key] = true
				list = append(list, e)
			}
		}
		return notNil(list), true, nil
	default:
		out := keysOf(elements)
		kept := slices.DeleteFunc(slices.Clone(list), func(e any) bool { return out[string(appendKey(nil, e))] })
		return notNil(kept), present, nil
	}
}

// notNil makes an empty list of none: JSON tells them apart.
func notNil(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

func keysOf(list []any) map[string]bool {
	keys := make(map[string]bool, len(list))
	for _, e := range list {
		keys[string(appendKey(nil, e))] = true
	}
	return keys
}

// applyNumber counts. What is not there is 0. Integers stay so as long as they fit
// 64 bits; what does not is counted as a float, as is what has a fraction.
func applyNumber(old any, present bool, op Op, value any) (any, error) {
	number, ok := old.(json.Number)
	if !present {
		number, ok = "0", true
	}
	by, valid := value.(json.Number)
	if !ok || !valid {
		return nil, ErrValue
	}
	a, errA := strconv.ParseInt(string(number), 10, 64)
	b, errB := strconv.ParseInt(string(by), 10, 64)
	whole := errA == nil && errB == nil
	switch sum := a + b; {
	case op == Increment && whole && (sum > a) == (b > 0): // else it has overflown
		return integer(sum), nil
	case op == Increment:
		return addFloats(number, by)
	case !whole:
		return nil, ErrValue
	case op == BitAnd:
		return integer(a & b), nil
	case op == BitOr:
		return integer(a | b), nil
	default:
		return integer(a ^ b), nil
	}
}

func integer(v int64) json.Number { return json.Number(strconv.FormatInt(v, 10)) }

func addFloats(number, by json.Number) (any, error) {
	a, errA := strconv.ParseFloat(string(number), 64)
	b, errB := strconv.ParseFloat(string(by), 64)
	if errA != nil || errB != nil || math.IsInf(a+b, 0) {
		return nil, ErrValue
	}
	text, err := json.Marshal(a + b)
	if err != nil {
		return nil, ErrValue
	}
	return json.Number(text), nil
}

// Get returns what stands at a path of keys; false: nothing does.
func Get(value any, path []string) (any, bool) {
	for _, key := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[key]; !ok {
			return nil, false
		}
	}
	return value, true
}
