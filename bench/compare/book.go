package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// book is a directory of what was measured, one file for each step. It is what
// the document is made of.
type book struct {
	dir     string
	records map[string]*record
	nats    *result // nil: not measured yet
}

// record is what a step's file holds.
type record struct {
	Name    string          `json:"name"`
	Command string          `json:"command"`
	Shards  int             `json:"shards"`                // of the cluster; 0: the command says
	Others  *float64        `json:"other_cores,omitempty"` // what other programs took just before
	Report  json.RawMessage `json:"report"`                // as quorate bench has printed it
}

// natsFile is the file of the comparison with NATS.
const natsFile = "nats.json"

// openBook reads what is there of the suite.
func openBook(dir string, groups []group) (*book, error) {
	b := &book{dir: dir, records: map[string]*record{}}
	for _, g := range groups {
		for _, s := range g.steps {
			r := &record{}
			ok, err := b.read(s.name+".json", r)
			if err != nil {
				return nil, err
			}
			if ok {
				b.records[s.name] = r
			}
		}
	}
	r := &result{}
	ok, err := b.read(natsFile, r)
	if ok {
		b.nats = r
	}
	return b, err
}

// read reads a file; false: there is none.
func (b *book) read(name string, to any) (bool, error) {
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		return false, fmt.Errorf("read what was measured: %s: %w", name, err)
	}
	return true, nil
}

// keep writes a record in place of the one before.
func (b *book) keep(r *record) error {
	b.records[r.Name] = r
	if err := os.MkdirAll(b.dir, 0o755); err != nil { //nolint:gosec // not a secret
		return fmt.Errorf("make a directory: %w", err)
	}
	return keepJSON(filepath.Join(b.dir, r.Name+".json"), r)
}

// keepJSON writes figures to a file.
func keepJSON(path string, figures any) error {
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what was measured: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil { //nolint:gosec // not a secret
		return fmt.Errorf("write what was measured: %w", err)
	}
	return nil
}

// report returns a step's report; the zero report: it was not measured.
func (b *book) report(name string) report {
	var r report
	if rec, ok := b.records[name]; ok {
		_ = json.Unmarshal(rec.Report, &r) // it was read as JSON, and a field of another type is as good as absent
	}
	return r
}
