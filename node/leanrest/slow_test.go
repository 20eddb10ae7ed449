package leanrest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// bounded is a response that remembers its deadlines.
type bounded struct {
	*httptest.ResponseRecorder

	read, write time.Time
}

func (b *bounded) SetReadDeadline(t time.Time) error {
	b.read = t
	return nil
}

func (b *bounded) SetWriteDeadline(t time.Time) error {
	b.write = t
	return nil
}

// TestSlowClientsAreGivenUp: also those who have shown no key.
func TestSlowClientsAreGivenUp(t *testing.T) {
	rw := &bounded{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPost, "/1.2/rtm/conversations", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "text/plain")
	Handler(newWorld(t)).ServeHTTP(rw, r)
	soon := time.Now().Add(2 * time.Minute)
	if rw.read.IsZero() || rw.read.After(soon) || rw.write.IsZero() || rw.write.After(soon) {
		t.Errorf("the deadlines are %v and %v, want both soon", rw.read, rw.write)
	}
}
