package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// documentText is the document's prose, with a place for each table.
//
//go:embed performance.md.tmpl
var documentText string

// document is what the prose has places for. Empty: not measured, and left out.
type document struct {
	Machine  string
	Others   string // what other programs took; empty: next to nothing
	NATS     string
	Sections map[string]section
	Plots    map[string]bool // what is drawn
}

// section is a table and the commands that made it.
type section struct {
	Table    string
	Commands string
}

// publish draws the plots and writes the document.
func (b *book) publish(groups []group, path string) error {
	if err := os.MkdirAll(b.dir, 0o755); err != nil { //nolint:gosec // not a secret
		return fmt.Errorf("make a directory: %w", err)
	}
	drawn, err := b.draw()
	if err != nil {
		return err
	}
	text, err := b.document(groups, drawn)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // not a secret
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

// document fills in the prose.
func (b *book) document(groups []group, drawn map[string]bool) (string, error) {
	t, err := template.New("performance").Parse(documentText)
	if err != nil {
		return "", fmt.Errorf("read the document's template: %w", err)
	}
	d := document{Sections: map[string]section{}, Plots: drawn, Machine: b.machine(groups), Others: b.others()}
	if b.nats != nil {
		d.NATS = b.nats.markdown()
	}
	for _, name := range sectionsOf(groups) {
		if s, ok := b.section(groups, name); ok {
			d.Sections[name] = s
		}
	}
	var out strings.Builder
	if err := t.Execute(&out, d); err != nil {
		return "", fmt.Errorf("write the document: %w", err)
	}
	return out.String(), nil
}

// machine is what the first step that was measured says of it.
func (b *book) machine(groups []group) string {
	for _, g := range groups {
		for _, s := range g.steps {
			if m := b.report(s.name).Machine; m.CPU != "" {
				return fmt.Sprintf("%d cores of %s, %s, %s", m.Cores, m.CPU, m.Kernel, m.Go)
			}
		}
	}
	return ""
}

// others says how much of the machine others had, if it is worth saying.
func (b *book) others() string {
	const worthSaying = 0.1
	var all []float64
	for _, r := range b.records {
		if r.Others != nil {
			all = append(all, *r.Others)
		}
	}
	if len(all) == 0 || slices.Max(all) < worthSaying {
		return ""
	}
	return fmt.Sprintf("%.1f to %.1f", slices.Min(all), slices.Max(all))
}

func sectionsOf(groups []group) []string {
	var names []string
	for _, g := range groups {
		if len(names) == 0 || names[len(names)-1] != g.section {
			names = append(names, g.section)
		}
	}
	return names
}

// section makes a section's table of what was measured for it.
func (b *book) section(groups []group, name string) (section, bool) {
	l := layoutOf(name)
	var s section
	var rows [][]string
	for _, g := range groups {
		if g.section != name {
			continue
		}
		for _, one := range g.steps {
			rec, ok := b.records[one.name]
			if !ok {
				continue
			}
			r := b.report(one.name)
			for _, row := range l.rows(one.title, &r) {
				rows = append(rows, append(row, r.Commit))
			}
			s.Commands += rec.Command + "\n"
		}
	}
	s.Table = markdownTable(append(l.heads, "commit"), rows)
	return s, len(rows) > 0
}

// place is where a plot is kept.
func (b *book) place(plot string) string { return filepath.Join(b.dir, plot+".svg") }
