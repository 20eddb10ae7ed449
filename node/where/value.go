package where

import (
	"cmp"
	"strings"
	"time"
)

// instant is a date, in milliseconds since 1970.
type instant int64

// point is a place on earth, in degrees.
type point struct{ latitude, longitude float64 }

// normal turns what JSON writes as an object, but is one value, into that value.
func normal(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	switch object["__type"] {
	case "Date":
		if t, ok := parseTime(object["iso"]); ok {
			return t
		}
	case "GeoPoint":
		latitude, ok1 := object["latitude"].(float64)
		longitude, ok2 := object["longitude"].(float64)
		if ok1 && ok2 {
			return point{latitude, longitude}
		}
	}
	return v
}

func parseTime(v any) (instant, bool) {
	s, ok := v.(string)
	if !ok || len(s) < len("2006-01-02") || s[4] != '-' {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, false
	}
	return instant(t.UnixMilli()), true
}

// same tells whether two values are equal. A text that is a date equals the
// date.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		other, ok := b.(map[string]any)
		return ok && sameObjects(a, other)
	case []any:
		other, ok := b.([]any)
		if !ok || len(a) != len(other) {
			return false
		}
		for i := range a {
			if !same(normal(a[i]), normal(other[i])) {
				return false
			}
		}
		return true
	case nil:
		return b == nil
	}
	order, ok := compare(a, b)
	return ok && order == 0
}

func sameObjects(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for key, v := range a {
		other, ok := b[key]
		if !ok || !same(normal(v), normal(other)) {
			return false
		}
	}
	return true
}

// compare orders two values of one type, and false when they have none in
// common.
func compare(a, b any) (int, bool) {
	switch a := a.(type) {
	case float64:
		other, ok := b.(float64)
		return cmp.Compare(a, other), ok
	case bool:
		other, ok := b.(bool)
		return cmp.Compare(truth(a), truth(other)), ok
	case point:
		other, ok := b.(point)
		return cmp.Or(cmp.Compare(a.latitude, other.latitude), cmp.Compare(a.longitude, other.longitude)), ok
	case string:
		if other, ok := b.(string); ok {
			return strings.Compare(a, other), true
		}
	}
	at, ok1 := timeOf(a)
	other, ok2 := timeOf(b)
	return cmp.Compare(at, other), ok1 && ok2
}

func timeOf(v any) (instant, bool) {
	if t, ok := v.(instant); ok {
		return t, true
	}
	return parseTime(v)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rank orders values of different types.
func rank(v any) int {
	switch v := v.(type) {
	case unordered:
		return int(v)
	case nil:
		return 0
	case float64:
		return 1
	case string:
		return 2
	case map[string]any, point:
		return 3
	case []any:
		return 4
	case bool:
		return 5
	default:
		return 6
	}
}
