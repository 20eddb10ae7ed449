package where_test

import (
	"testing"

	"github.com/quorate/quorate/node/where"
)

func TestUses(t *testing.T) {
	q, err := where.Parse([]byte(`{"a":1,"$or":[{"b.c":{"$gt":1}},{"d":{"$not":{"$in":[1]}}}],
		"e":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":1}},
		"f":{"$within":{"$box":[{"__type":"GeoPoint","latitude":1,"longitude":1},{"__type":"GeoPoint","latitude":2,"longitude":2}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]bool{"a": true, "b": true, "b.c": false, "c": false, "d": true, "e": true, "f": true, "g": false} {
		if got := q.Uses(column); got != want {
			t.Errorf("uses %s: %v, want %v", column, got, want)
		}
	}
	order, err := where.ParseSort("-x.y,z", q)
	if err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]bool{"objectId": true, "x": true, "z": true, "y": false, "lm": false} {
		if got := order.Uses(column); got != want {
			t.Errorf("sorts by %s: %v, want %v", column, got, want)
		}
	}
}
