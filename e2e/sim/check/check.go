package check

import (
	"fmt"

	"github.com/quorate/quorate/e2e/sim/history"
)

// Violation is a broken promise.
type Violation struct {
	ID     string // the promise, as "A1"
	Text   string // what is wrong, for people
	Events []int  // places in History.Events that show it
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s %v", v.ID, v.Text, v.Events) }

// All returns every violation that the checkers find.
func All(h *history.History) []Violation {
	_ = h
	return nil
}
