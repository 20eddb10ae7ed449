package node

import (
	"testing"
	"testing/synctest"

	"github.com/quorate/quorate/virtual"
)

// TestTasksEnd: the end waits for what runs, and what comes then is not started.
func TestTasksEnd(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var all tasks
		hold, ended := make(chan struct{}), make(chan struct{})
		if !all.Go(func() { <-hold }) {
			t.Fatal("the first was not started")
		}
		go func() {
			all.end()
			close(ended)
		}()
		synctest.Wait()
		if all.Go(func() { t.Error("started while the end waits") }) {
			t.Error("taken while the end waits")
		}
		select {
		case <-ended:
			t.Error("the end did not wait")
		default:
		}
		close(hold)
		<-ended
		if all.Go(func() { t.Error("started after the end") }) {
			t.Error("taken after the end")
		}
	})
}
