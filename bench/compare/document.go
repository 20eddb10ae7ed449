package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
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
	d := document{Sections: map[string]section{}, Plots: drawn, Machine: b.machine(groups)}
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
			if r := b.first(s.name); r.Machine.CPU != "" {
				return fmt.Sprintf("%d cores of %s, %s, %s", r.Machine.Cores, r.Machine.CPU, r.Machine.Kernel, r.Machine.Go)
			}
		}
	}
	return ""
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
	columns := columnsOf(name)
	var s section
	var rows [][]string
	for _, g := range groups {
		if g.section != name {
			continue
		}
		for _, one := range g.steps {
			r, ok := b.records[one.name]
			if !ok {
				continue
			}
			all := b.all(one.name)
			row := []string{one.title}
			for _, c := range columns {
				row = append(row, c.of(all))
			}
			rows = append(rows, append(row, all[0].Commit))
			s.Commands += fmt.Sprintf("%s\n", r.Command)
		}
	}
	if len(rows) == 0 {
		return s, false
	}
	heads := []string{""}
	for _, c := range columns {
		heads = append(heads, c.head)
	}
	s.Table = markdownTable(append(heads, "commit"), rows)
	return s, true
}

// column is one figure of a table: the median of the rounds.
type column struct {
	head   string
	digits int
	value  func(*report) float64
}

func (c column) of(all []report) string {
	values := make([]float64, len(all))
	for i := range all {
		values[i] = c.value(&all[i])
	}
	return number(median(values), c.digits)
}

// columnsOf are the figures that a section's table has.
func columnsOf(section string) []column {
	completed := column{"messages/s", 0, func(r *report) float64 { return r.Completed }}
	offered := column{"offered/s", 0, func(r *report) float64 { return r.Offered }}
	p50 := column{"p50 ms", 2, func(r *report) float64 { return r.Latency.P50 }}
	p99 := column{"p99 ms", 2, func(r *report) float64 { return r.Latency.P99 }}
	p999 := column{"p99.9 ms", 2, func(r *report) float64 { return r.Latency.P999 }}
	most := column{"max ms", 1, func(r *report) float64 { return r.Latency.Max }}
	cpu := column{"server CPU µs", 1, func(r *report) float64 { return r.ServerCPU }}
	disk := column{"disk bytes a byte", 1, func(r *report) float64 { return r.DiskBytes }}
	sync := column{"sync p99 ms", 2, func(r *report) float64 { return r.Sync.P99 }}
	failed := column{"failed", 0, func(r *report) float64 { return float64(r.Failed) }}
	switch section {
	case "rates":
		return []column{offered, completed, p50, p99, p999, most, cpu, disk, sync, failed}
	case "overload":
		return []column{offered, completed, p50, p99, p999, most, failed, {"not sent", 0, func(r *report) float64 { return float64(r.OverLimit) }}}
	case "fanout":
		return []column{
			{"sessions", 0, func(r *report) float64 { return float64(r.Sessions) }},
			{"deliveries/s", 0, func(r *report) float64 { return r.Deliveries }},
			completed,
			{"delivery p50 ms", 1, func(r *report) float64 { return r.Delivery.P50 }},
			{"delivery p99 ms", 1, func(r *report) float64 { return r.Delivery.P99 }},
			{"send p99 ms", 1, func(r *report) float64 { return r.Latency.P99 }},
			{"CPU µs a delivery", 2, func(r *report) float64 { return r.DeliveryCPU }},
			{"missing", 0, func(r *report) float64 { return float64(r.Missing) }},
		}
	case "sessions":
		return []column{
			{"sessions", 0, func(r *report) float64 { return float64(r.Sessions) }},
			{"opened in s", 1, func(r *report) float64 { return r.OpenSeconds }},
			{"KiB of RSS a session", 1, func(r *report) float64 { return r.PerSession.RSS / 1024 }},
			{"KiB of heap", 1, func(r *report) float64 { return r.PerSession.Heap / 1024 }},
			{"goroutines", 2, func(r *report) float64 { return r.PerSession.Goroutines }},
			{"cores, idle", 3, func(r *report) float64 { return r.IdleCores }},
			failed,
		}
	default:
		return []column{completed, p50, p99, p999, most, cpu, disk, failed}
	}
}

// markdown is the comparison with NATS as the document has it.
func (r *result) markdown() string {
	heads := []string{"in flight", "system", "messages/s", "of all rounds", "p50 ms", "p99 ms", "server CPU µs", "load CPU µs", "other cores"}
	var rows [][]string
	for _, c := range r.Cells {
		m := &c.Median
		low, high := c.spread()
		rows = append(rows, []string{
			fmt.Sprint(c.InFlight), c.String(), number(m.Completed, 0), number(low, 0) + "–" + number(high, 0),
			number(m.Latency.P50, 2), number(m.Latency.P99, 2), number(m.ServerCPU, 1), number(m.ClientCPU, 1), number(m.Others, 2),
		})
	}
	ratio := r.ratios()
	return fmt.Sprintf("%s, commit %s, nats-server %s, %s; medians of %d rounds of %.0f s.\n\n%s\nQuorate with 8 shards to NATS with 8 streams, both durable: **%.2f times** at 64 in flight, **%.2f times** at 512.\n",
		r.Machine, r.Commit, r.NATS, r.At, len(r.Cells[0].Rounds), r.Seconds, markdownTable(heads, rows), ratio.Ratio64, ratio.Ratio512)
}

// markdownTable writes a table; all columns but those of words are to the right.
func markdownTable(heads []string, rows [][]string) string {
	var out strings.Builder
	line := func(cells []string) { fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | ")) }
	line(heads)
	rule := make([]string, len(heads))
	for i, h := range heads {
		rule[i] = "---:"
		if h == "" || h == "system" || h == "commit" {
			rule[i] = "---"
		}
	}
	line(rule)
	for _, row := range rows {
		line(row)
	}
	return out.String()
}

// number writes a figure with commas between thousands.
func number(v float64, digits int) string {
	text := fmt.Sprintf("%.*f", digits, v)
	whole, part, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if part != "" {
		part = "." + part
	}
	return sign + whole + part
}

// place is where a plot is kept.
func (b *book) place(plot string) string { return filepath.Join(b.dir, plot+".svg") }
