package leanrest

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	_ "github.com/quorate/quorate/golden" // has the flag -rewrite
)

// documentFile is the document as people read it.
const documentFile = "../../docs/openapi-leanmessage.json"

// TestDocument compares the document with the file, which -rewrite writes.
func TestDocument(t *testing.T) {
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(document()); err != nil {
		t.Fatal(err)
	}
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.WriteFile(documentFile, got.Bytes(), 0o644); err != nil { //nolint:gosec // a document is for everybody
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(documentFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s is not what the routes are; write it with -rewrite (-file +routes):\n%s", documentFile, diff)
	}
}

// described is what the test reads of the document.
type described struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Parameters  []struct{ Name, In string }
		Responses   map[string]any
		Security    []map[string]any
	}
}

// TestDocumentIsComplete holds the served document against the mux: what is
// described is answered, what is answered is described, each once.
func TestDocumentIsComplete(t *testing.T) {
	w := newWorld(t)
	var d described
	w.as(nil, get, "/1.2/openapi.json", "").ok(&d)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("openapi is %q", d.OpenAPI)
	}
	mux := w.rest.(*handler).mux
	ids := map[string]bool{}
	n := 0
	for path, operations := range d.Paths {
		for method, op := range operations {
			n++
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s %s: the operation id %q is there twice or empty", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
			r := httptest.NewRequest(strings.ToUpper(method), path, nil)
			if _, pattern := mux.Handler(r); pattern != strings.ToUpper(method)+" "+path {
				t.Errorf("%s %s is described, and %q would answer", method, path, pattern)
			}
			inPath := 0
			for _, p := range op.Parameters {
				if p.In == "path" {
					inPath++
				}
			}
			if want := strings.Count(path, "{"); inPath != want {
				t.Errorf("%s %s has %d parameters in the path, described are %d", method, path, want, inPath)
			}
			if len(op.Responses) != 2 {
				t.Errorf("%s %s describes %d answers, want how it is when it is done and when it is not", method, path, len(op.Responses))
			}
		}
	}
	if n != len(routes()) {
		t.Errorf("%d operations are described, there are %d routes", n, len(routes()))
	}
	for _, r := range routes() {
		if _, ok := d.Paths[r.path][strings.ToLower(r.method)]; !ok {
			t.Errorf("%s %s is not described", r.method, r.path)
		}
		if r.family != familyNone && r.method == http.MethodGet {
			t.Errorf("%s %s reads and has a rate", r.method, r.path)
		}
	}
}
