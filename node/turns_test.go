package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// line is a queue before turns: who has come, and who got a place.
type line struct {
	t     *testing.T
	turns *turns
	got   []string
	held  []asker
}

// come lets somebody ask for places, named "app/user".
func (l *line) come(names ...string) {
	l.t.Helper()
	for _, name := range names {
		app, user, _ := strings.Cut(name, "/")
		by := asker{wire.AppID(app), wire.UserID(user)}
		go func() {
			if err := l.turns.take(l.t.Context(), by); err != nil {
				l.t.Errorf("%s is refused: %v", name, err)
				return
			}
			l.got, l.held = append(l.got, name), append(l.held, by)
		}()
		synctest.Wait()
	}
}

// end gives the place back that was taken first, n times.
func (l *line) end(n int) {
	l.t.Helper()
	for range n {
		by := l.held[0]
		l.held = l.held[1:]
		l.turns.give(by)
		synctest.Wait()
	}
}

func (l *line) wantTurns(want string) {
	l.t.Helper()
	if got := strings.Join(l.got, " "); got != want {
		l.t.Errorf("places went to %s, want %s", got, want)
	}
	l.got = nil
}

// finish ends all, and looks that nothing is remembered.
func (l *line) finish() {
	l.t.Helper()
	for len(l.held) > 0 {
		l.end(1)
	}
	if t := l.turns; t.free != 2 || len(t.apps) != 0 || len(t.askers) != 0 || len(t.waiting) != 0 {
		l.t.Errorf("%d places are free, of %d apps and %d askers is known, %d wait", t.free, len(t.apps), len(t.askers), len(t.waiting))
	}
}

func inLine(t *testing.T, test func(l *line)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		l := &line{t: t, turns: newTurns(2)}
		test(l)
		l.finish()
	})
}

func TestTurnsGoRoundTheApps(t *testing.T) {
	t.Run("who is alone has all", func(t *testing.T) {
		inLine(t, func(l *line) {
			l.come("a", "a", "a", "a")
			l.end(1)
			l.wantTurns("a a a")
		})
	})
	t.Run("a flood keeps one place", func(t *testing.T) {
		inLine(t, func(l *line) {
			l.come("a", "a", "a", "a", "a", "b", "b", "b")
			l.end(4)
			l.wantTurns("a a b a b a")
		})
	})
	t.Run("three in turn", func(t *testing.T) {
		inLine(t, func(l *line) {
			l.come("a", "a", "a", "a", "b", "b", "c", "c")
			l.end(6)
			l.wantTurns("a a b c a b c a")
		})
	})
	t.Run("who was there before goes before who comes anew", func(t *testing.T) {
		inLine(t, func(l *line) {
			l.come("a", "b", "a")
			for i := range 4 {
				l.come(fmt.Sprintf("new-%d", i))
			}
			l.end(2)
			l.wantTurns("a b a new-0")
		})
	})
}

func TestTurnsGoRoundTheUsersOfAnApp(t *testing.T) {
	inLine(t, func(l *line) {
		l.come("a/tom", "a/tom", "a/tom", "a/tom", "a/jerry", "a/mary", "a/mary")
		l.end(5)
		l.wantTurns("a/tom a/tom a/jerry a/mary a/tom a/mary a/tom")
	})
}

func TestTurnsRefuseACrowd(t *testing.T) {
	inLine(t, func(l *line) {
		l.come("a/tom", "a/tom")
		for range maxAskerWaiting {
			l.come("a/tom")
		}
		refused := func(app wire.AppID, user wire.UserID) {
			t.Helper()
			if err := l.turns.take(l.t.Context(), asker{app, user}); wire.CodeOf(err) != wire.CodeUnavailable {
				t.Errorf("one too many of %s/%s: %v", app, user, err)
			}
		}
		refused("a", "tom")
		for i := range maxWaiting - maxAskerWaiting {
			l.come(fmt.Sprintf("a/user-%d", i))
		}
		refused("a", "jerry")
		l.got = nil
		l.come("b/tom")
		l.end(1)
		l.wantTurns("b/tom")
	})
}

func TestTurnsForgetWhoGivesUp(t *testing.T) {
	inLine(t, func(l *line) {
		l.come("a", "a")
		ctx, cancel := context.WithCancel(l.t.Context())
		var err error
		go func() { err = l.turns.take(ctx, asker{app: "b"}) }()
		synctest.Wait()
		l.come("a")
		cancel()
		synctest.Wait()
		if wire.CodeOf(err) != wire.CodeUnavailable {
			t.Errorf("who gives up is told %v", err)
		}
		l.end(1)
		l.wantTurns("a a a")
	})
}
