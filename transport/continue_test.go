package transport

import (
	"errors"
	"testing"
)

// TestContinue: a connection stays open while it is served on in further
// goroutines, ends with the last of them, and the edge waits for all.
func TestContinue(t *testing.T) {
	for name, dial := range dials {
		t.Run(name, func(t *testing.T) {
			var read []string
			var step func(c ClientConn)
			step = func(c ClientConn) {
				frame, err := c.ReadFrame()
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if read = append(read, string(frame)); len(read) == 1 {
					c.SignedIn()
				}
				if err := c.WriteFrames([][]byte{frame}); err != nil {
					t.Errorf("write: %v", err)
				}
				if len(read) < 3 {
					c.Continue(func() { step(c) })
				}
			}
			d := serveDoor(t, EdgeOptions{}, func(c ClientConn) { step(c) })
			client := dial(d, t)
			for _, word := range []string{"one", "two", "three"} {
				mustWrite(t, client, word)
				if frame, err := client.ReadFrame(); err != nil || string(frame) != word {
					t.Fatalf("answer %q, %v, want %q", frame, err, word)
				}
			}
			if told, ok := errors.AsType[*CloseError](second(client.ReadFrame())); !ok || told.Code != CloseNormal {
				t.Errorf("after the last step: %v", told)
			}
			_ = client.Close(CloseNormal, "")
			if err := d.edge.Close(); err != nil {
				t.Fatal(err)
			}
			if m := d.edge.Metrics(); m.Open != 0 || m.Pending != 0 || len(read) != 3 {
				t.Errorf("metrics %+v after %q", m, read)
			}
		})
	}
}
