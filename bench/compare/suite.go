package main

import (
	"fmt"
	"time"
)

// step is one measurement with "quorate bench".
type step struct {
	name  string // of its file, and how the document finds it
	title string // of its row
	args  []string
	rate  func(*book) float64 // where --rate follows from what was measured before; nil: it does not
}

// group is steps on one new cluster. With several rounds, the steps take turns,
// and their medians are told.
type group struct {
	section string
	shards  int
	rounds  int
	steps   []step
}

// suite is all that docs/performance.md tells of Quorate by itself. d is how long
// most steps measure.
func suite(d time.Duration) []group {
	bench := func(name, title, scenario string, args ...string) step {
		return step{name: name, title: title, args: append([]string{scenario, "--duration", d.String()}, args...)}
	}
	half := bench("ingest-half", "half of what is sustained", "ingest")
	half.rate = func(b *book) float64 { return b.first("ingest-search").Saturation / 2 }
	over := bench("ingest-over", "10 times what is sustained", "ingest", "--limit", "1000000")
	over.rate = func(b *book) float64 { return b.first("ingest-search").Saturation * 10 }
	return []group{
		{section: "rates", shards: 16, rounds: 1, steps: []step{
			bench("ingest-200", "200 a second", "ingest", "--rate", "200"),
			{name: "ingest-search", title: "search", args: []string{"ingest", "--search", "--warmup", "1s", "--duration", (d / 2).String(), "--search-p99", "100ms"}},
			half,
		}},
		{section: "sizes", shards: 16, rounds: 1, steps: sizes(bench)},
		{section: "cost", shards: 16, rounds: 3, steps: []step{
			bench("members-2", "conversations of 2 members", "ingest", "--conversations", "8", "--members", "2"),
			bench("members-10000", "conversations of 10,000 members", "ingest", "--conversations", "8", "--members", "10000"),
		}},
		{section: "fanout", shards: 16, rounds: 1, steps: groups(bench)},
		{section: "sessions", shards: 16, rounds: 1, steps: []step{
			{name: "sessions-ws", title: "WebSocket", args: []string{"connections", "--sessions", "5000", "--transport", "ws"}},
		}},
		{section: "sessions", shards: 16, rounds: 1, steps: []step{
			{name: "sessions-quic", title: "QUIC", args: []string{"connections", "--sessions", "5000", "--transport", "quic"}},
		}},
		{section: "overload", shards: 16, rounds: 1, steps: []step{over}},
	}
}

// sizes are bodies of several sizes, over both transports.
func sizes(bench func(name, title, scenario string, args ...string) step) []step {
	var all []step
	for _, bytes := range []int{128, 256, 1024, 4096} {
		all = append(all, bench(fmt.Sprintf("ingest-%d-bytes", bytes), fmt.Sprintf("%d B, WebSocket", bytes), "ingest",
			"--in-flight", "512", "--body", fmt.Sprint(bytes), "--transport", "ws"))
	}
	return append(all, bench("ingest-quic", "256 B, QUIC", "ingest", "--in-flight", "512", "--transport", "quic"))
}

// groups are conversations of several sizes, all of whose online members are
// told of every message.
func groups(bench func(name, title, scenario string, args ...string) step) []step {
	var all []step
	for _, g := range []struct{ groups, members, online, inFlight string }{
		{"250", "2", "1", "256"},
		{"50", "10", "1", "128"},
		{"5", "100", "1", "64"},
		{"1", "1000", "0.5", "16"},
		{"1", "10000", "0.05", "16"},
	} {
		all = append(all, bench("fanout-"+g.members, g.groups+" × "+g.members, "fanout",
			"--groups", g.groups, "--members", g.members, "--online", g.online, "--in-flight", g.inFlight, "--transport", "ws"))
	}
	return all
}
