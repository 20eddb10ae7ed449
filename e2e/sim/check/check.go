package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quorate/quorate/e2e/sim/history"
)

// Violation is a broken promise.
type Violation struct {
	ID     string // the promise, as "A1"
	Text   string // what is wrong, for people
	Events []int  // places in History.Events that show it
}

func (v Violation) String() string {
	if len(v.Events) == 0 {
		return v.ID + ": " + v.Text
	}
	return fmt.Sprintf("%s: %s (events %v)", v.ID, v.Text, v.Events)
}

// maxEach is how many violations of one promise are told. One bug tends to break
// a promise in a hundred places.
const maxEach = 5

// All returns the violations that the checkers find: of each promise the first
// ones.
func All(h *history.History) []Violation {
	x := newIndex(h)
	for _, checker := range []func(*index){
		lost, places, retries, order, strong, sessions, cursors, visibility, follows, changes, unread, replicas, leaders, liveness, registers,
	} {
		checker(x)
	}
	slices.SortStableFunc(x.found, func(a, b Violation) int { return cmp.Compare(number(a.ID), number(b.ID)) })
	return x.found
}

// number orders promises as they are numbered.
func number(id string) int {
	n := 0
	_, _ = fmt.Sscanf(id, "A%d", &n) // what has no number comes first
	return n
}

// report adds a violation, unless enough of its kind were found.
func (x *index) report(id string, events []int, format string, args ...any) {
	x.counts[id]++
	if x.counts[id] <= maxEach {
		slices.Sort(events)
		x.found = append(x.found, Violation{ID: id, Text: fmt.Sprintf(format, args...), Events: slices.Compact(events)})
	}
}
