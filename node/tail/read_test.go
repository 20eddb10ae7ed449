package tail

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// TestReadWhileThereWasNoStream: how far a user has read is told him when it was
// told nobody, and only then.
func TestReadWhileThereWasNoStream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.say("a", "b", "c", "d", "e")
		w.read("ben", 1)
		ben, ann := w.reader(w.edge(), "ben"), w.reader(w.edge(), "ann")
		ben.mustFollow(5)
		ann.mustFollow(5)
		if ben.started.Read != 1 || ann.started.Read != 0 {
			t.Errorf("they begin at %d and %d", ben.started.Read, ann.started.Read)
		}
		read := func(want ...wire.Seq) {
			t.Helper()
			time.Sleep(time.Second) // of the bubble's clock, until there is a stream again
			ben.settle()
			ann.settle()
			var got []wire.Seq
			for _, c := range ben.cursors {
				if c.User != "ben" || c.Log != logOf(tea) {
					t.Errorf("told of %+v", c)
				}
				got = append(got, c.Read)
			}
			if ben.cursors = nil; !slices.Equal(got, want) {
				t.Errorf("told of %d, want %d", got, want)
			}
			if len(ann.cursors) > 0 {
				t.Errorf("ann is told of %v", ann.cursors)
			}
		}
		w.lose()
		w.read("ben", 2) // nobody listens
		read(2)
		w.lose()
		read()
		w.read("ben", 3)
		read(3)

		w.beforeAnswer = func() {
			w.beforeAnswer = nil
			w.read("ben", 4) // overtakes the answer, which knows of 3
		}
		w.lose()
		read(4)

		ben.full = true
		w.read("ben", 5)
		read()
		ben.full = false
		read(5)
		read()
	})
}
