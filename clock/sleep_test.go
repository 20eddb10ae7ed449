package clock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/virtual"
)

func TestSleep(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("slept for %v: %v", time.Since(start), err)
		}
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		start = time.Now()
		if err := Sleep(ctx, time.Minute); !errors.Is(err, why) || time.Since(start) != time.Second {
			t.Errorf("slept for %v: %v, want 1s: %v", time.Since(start), err, why)
		}
	})
}
