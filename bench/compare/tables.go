package main

import (
	"fmt"
	"strings"
)

// layout is how a section's table shows a report.
type layout struct {
	heads []string
	rows  func(title string, r *report) [][]string
}

// layoutOf is the layout of a section.
func layoutOf(section string) layout {
	switch section {
	case "fanout":
		return layout{fanoutHeads(), fanoutRows}
	case "dialectfanout":
		return layout{append([]string{"dialect"}, fanoutHeads()...), dialectFanoutRows}
	case "sessions":
		return layout{sessionHeads(), sessionRows}
	case "history":
		return layout{[]string{"pages by", "cache", "pages/s", "messages/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "server CPU µs a page"}, historyRows}
	case "login":
		return layout{[]string{"", "p50 ms", "p99 ms", "max ms", "server CPU µs", "all in s"}, loginRows}
	case "failover":
		return layout{[]string{"conversations", "longest without success ms", "sends again p50 ms", "p99 ms", "max ms", "never", "acknowledged", "lost", "twice", "out of order"}, failoverRows}
	case "cost":
		return layout{[]string{"", "few", "many", "server CPU µs, few", "many", "ratio", "p99 ms, few", "many"}, costRows}
	default:
		return layout{figureHeads(), figureRows}
	}
}

func figureHeads() []string {
	return []string{
		"", "offered/s", "completed/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "server CPU µs", "disk bytes a byte", "sync p50 ms", "sync p99 ms", "failed", "not sent",
	}
}

func figureRows(title string, r *report) [][]string {
	l := r.Latency
	return [][]string{{
		title, number(r.Offered, 0), number(r.Completed, 0), number(l.P50, 2), number(l.P99, 2), number(l.P999, 2), number(l.Max, 1),
		number(r.ServerCPU, 1), number(r.DiskBytes, 1), number(r.Sync.P50, 2), number(r.Sync.P99, 2), number(float64(r.Failed), 0), number(float64(r.OverLimit), 0),
	}}
}

func fanoutHeads() []string {
	return []string{
		"groups", "members", "sessions", "messages/s", "deliveries/s", "delivery p50 ms", "p99 ms", "acknowledged p99 ms", "server CPU µs a delivery", "missing",
	}
}

func fanoutRows(_ string, r *report) [][]string {
	return [][]string{{
		fmt.Sprint(r.Groups), number(float64(r.Members), 0), number(float64(r.Sessions), 0), number(r.Completed, 0), number(r.Deliveries, 0),
		number(r.Delivery.P50, 1), number(r.Delivery.P99, 1), number(r.Latency.P99, 1), number(r.DeliveryCPU, 2), fmt.Sprint(r.Missing),
	}}
}

func dialectFanoutRows(title string, r *report) [][]string {
	return [][]string{append([]string{title}, fanoutRows(title, r)[0]...)}
}

func sessionHeads() []string {
	return []string{"", "sessions", "opened in s", "KiB of RSS, each", "KiB of heap, each", "goroutines, each", "cores while idle", "failed"}
}

func sessionRows(title string, r *report) [][]string {
	const kib = 1024
	s := r.PerSession
	return [][]string{{
		title, number(float64(r.Sessions), 0), number(r.OpenSeconds, 1), number(s.RSS/kib, 1), number(s.Heap/kib, 1), number(s.Goroutines, 2),
		number(r.IdleCores, 3), fmt.Sprint(r.Failed),
	}}
}

func historyRows(_ string, r *report) [][]string {
	var rows [][]string
	for i := range r.Reads {
		h := &r.Reads[i]
		l := h.Latency
		rows = append(rows, []string{
			h.By, h.Cache, number(h.Completed, 0), number(h.Read, 0), number(l.P50, 2), number(l.P99, 2), number(l.P999, 2), number(l.Max, 1), number(h.ServerCPU, 1),
		})
	}
	return rows
}

func loginRows(_ string, r *report) [][]string {
	row := func(title string, l latency, cpu float64, took string) []string {
		return []string{title, number(l.P50, 1), number(l.P99, 1), number(l.Max, 1), number(cpu, 0), took}
	}
	var rows [][]string
	for _, a := range r.Alone {
		rows = append(rows, row("alone, "+count(a.Conversations, "conversation"), a.Latency, a.ServerCPU, ""))
	}
	if c := r.Crowd; c != nil {
		title := fmt.Sprintf("%s at once, %s each, %s missed in all", count(c.Sessions, "session"), count(c.Conversations, "conversation"), count(c.Missed, "message"))
		rows = append(rows, row(title, c.Latency, c.ServerCPU, number(c.Took, 1)))
	}
	return rows
}

func failoverRows(_ string, r *report) [][]string {
	return [][]string{{
		number(float64(r.Conversations), 0), number(r.Longest, 0), number(r.Again.P50, 0), number(r.Again.P99, 0), number(r.Again.Max, 0), fmt.Sprint(r.Silent),
		number(float64(r.Acknowledged), 0), fmt.Sprint(r.Lost), fmt.Sprint(r.Twice), fmt.Sprint(r.Unordered),
	}}
}

func costRows(_ string, r *report) [][]string {
	var rows [][]string
	for _, c := range r.Comparisons {
		rows = append(rows, []string{
			c.Of, number(float64(c.Small.Size), 0), number(float64(c.Large.Size), 0), number(c.Small.ServerCPU, 1), number(c.Large.ServerCPU, 1),
			number(c.Ratio, 2), number(c.Small.P99, 2), number(c.Large.P99, 2),
		})
	}
	return rows
}

// markdown is the comparison with NATS as the document has it.
func (r *result) markdown() string {
	heads := []string{"in flight", "system", "messages/s", "in single rounds", "p50 ms", "p99 ms", "server CPU µs", "load CPU µs", "other cores"}
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
	return fmt.Sprintf("%s, commit %s, nats-server %s, %s; medians of rounds of %.0f s.\n\n%s\nQuorate with 8 shards to NATS with 8 streams, both durable: **%.2f times** at 64 in flight, **%.2f times** at 512\n(by the processor time of a message, which depends less on what else a machine does: %.2f and %.2f times).\n",
		r.Machine, r.Commit, r.NATS, r.At, r.Seconds, markdownTable(heads, rows), ratio.Ratio64, ratio.Ratio512, r.cpuRatio(64), r.cpuRatio(512))
}

// markdownTable writes a table, figures to the right.
func markdownTable(heads []string, rows [][]string) string {
	var out strings.Builder
	line := func(cells []string) { fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | ")) }
	line(heads)
	rule := make([]string, len(heads))
	for i := range heads {
		rule[i] = "---"
		if len(rows) > 0 && isFigure(rows[0][i]) {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, row := range rows {
		line(row)
	}
	return out.String()
}

// isFigure tells numbers from words, by how they begin and end.
func isFigure(cell string) bool {
	digit := func(b byte) bool { return b >= '0' && b <= '9' }
	return cell == "" || digit(cell[len(cell)-1]) && (digit(cell[0]) || cell[0] == '-')
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

// count writes how many there are of something.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return number(float64(n), 0) + " " + what
}
