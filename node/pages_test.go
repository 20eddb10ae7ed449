package node

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
)

func TestPages(t *testing.T) {
	h := pages(fstest.MapFS{
		"index.html":      {Data: []byte("home")},
		"chat/index.html": {Data: []byte("chat")},
		"chat/sdk.js":     {Data: []byte("sdk")},
		"empty/x/y":       {Data: []byte("y")},
	})
	for _, tc := range []struct {
		path, want string
		code       int
	}{
		{"/web/", "home", http.StatusOK},
		{"/web/chat/", "chat", http.StatusOK},
		{"/web/chat/sdk.js", "sdk", http.StatusOK},
		{"/web/empty/", "", http.StatusNotFound},
		{"/web/empty/x", "", http.StatusNotFound},
		{"/web/none", "", http.StatusNotFound},
		{"/web/../secret", "", http.StatusNotFound},
		{"/web/chat/..%2f..%2fsecret", "", http.StatusNotFound},
	} {
		rw := httptest.NewRecorder()
		h.ServeHTTP(rw, httptest.NewRequest(http.MethodGet, tc.path, http.NoBody))
		if rw.Code != tc.code || tc.want != "" && rw.Body.String() != tc.want {
			t.Errorf("GET %s: %d %q, want %d %q", tc.path, rw.Code, rw.Body, tc.code, tc.want)
		}
	}
}
