package tail

import (
	"context"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// lookingAround is a world whose hub only a later try of a row finds; the nodes
// that the others come to never say a word.
type lookingAround struct {
	*world
	at int
}

// Open implements Dialer.
func (l *lookingAround) Open(ctx context.Context, s wire.ShardID, try int) (Stream, error) {
	if try < l.at {
		silent, _ := newStreams()
		return takesTime{silent}, nil
	}
	return l.world.Open(ctx, s, try)
}

// takesTime is a stream whose end takes a moment to be seen, as it does where
// time is no bubble's.
type takesTime struct{ *fakeStream }

func (s takesTime) Recv() ([]byte, error) {
	message, err := s.fakeStream.Recv()
	if err != nil {
		time.Sleep(time.Millisecond)
	}
	return message, err
}

// TestSilenceAtSeveral: a stream without a word does not begin the row of tries
// anew, which would come to the same nodes for ever.
func TestSilenceAtSeveral(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := NewEdge(&lookingAround{w, 3}, Options{})
		w.edges = append(w.edges, e)
		ben := w.reader(e, "ben")
		if err := ben.ask(tea, 0, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		select {
		case err := <-ben.answers:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("there is no answer")
		}
	})
}
