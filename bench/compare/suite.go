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

// group is steps on one cluster.
type group struct {
	section string // of the document
	shards  int    // of a new cluster; 0: each step starts nodes of its own
	steps   []step
}

const shards = 16

// suite is all that docs/performance.md tells of Quorate by itself. d is how long
// most steps measure.
func suite(d time.Duration) []group {
	return []group{
		{section: "rates", shards: shards, steps: rates(d)},
		{section: "sizes", shards: shards, steps: sizes(d)},
		{section: "cost", steps: []step{
			{name: "cost", args: []string{"cost", "--rate", "1000", "--warmup", "1s", "--duration", (d / 3).Round(time.Second).String()}},
		}},
		{section: "fanout", shards: shards, steps: fanouts(d)},
		{section: "dialect", shards: shards, steps: dialects(d)},
		{section: "dialectfanout", shards: shards, steps: dialectFanouts(d)},
		{section: "sessions", shards: shards, steps: []step{connections("ws", "WebSocket", 0)}},
		{section: "sessions", shards: shards, steps: []step{connections("ws", "WebSocket", 10)}},
		{section: "sessions", shards: shards, steps: []step{connections("quic", "QUIC", 0)}},
		{section: "sessions", shards: shards, steps: []step{connections("quic", "QUIC", 10)}},
		{section: "history", shards: shards, steps: []step{
			{name: "history", args: []string{"history", "--conversations", "1000", "--in-flight", "16", "--duration", d.String()}},
		}},
		{section: "login", shards: shards, steps: []step{{name: "login", args: []string{"login"}}}},
		{section: "failover", steps: []step{{name: "failover", args: []string{"failover", "--conversations", "10000", "--rate", "1000"}}}},
	}
}

// full is the step that finds how much is taken, with many messages in flight.
const full = "ingest-full"

// rates are how late answers are by the rate of messages, up to ten times as
// many as are taken.
func rates(d time.Duration) []step {
	all := []step{
		{name: full, title: "512 in flight", args: []string{"ingest", "--conversations", "1000", "--in-flight", "512", "--duration", d.String()}},
		{name: "ingest-200", title: "200 a second", args: []string{"ingest", "--rate", "200", "--duration", d.String()}},
	}
	for _, percent := range []int{10, 25, 50, 75, 90, 1000} {
		title := fmt.Sprintf("%d %% of the first", percent)
		if percent > 100 {
			title = fmt.Sprintf("%d times the first", percent/100)
		}
		all = append(all, step{
			name: fmt.Sprintf("ingest-%d-percent", percent), title: title, args: []string{"ingest", "--conversations", "1000", "--duration", d.String()},
			rate: func(b *book) float64 { return b.report(full).Completed * float64(percent) / 100 },
		})
	}
	return all
}

// sizes are bodies of several sizes, over both transports.
func sizes(d time.Duration) []step {
	size := func(bytes int, name, transport string) step {
		return step{name: fmt.Sprintf("size-%d-%s", bytes, transport), title: fmt.Sprintf("%s B, %s", number(float64(bytes), 0), name), args: []string{
			"ingest", "--in-flight", "512", "--body", fmt.Sprint(bytes), "--transport", transport, "--duration", d.String(),
		}}
	}
	const ws, webSocket = "ws", "WebSocket"
	return []step{size(128, webSocket, ws), size(256, webSocket, ws), size(1024, webSocket, ws), size(4096, webSocket, ws), size(256, "QUIC", "quic")}
}

// fanouts are groups of several sizes, whose online members are each told of
// every message.
func fanouts(d time.Duration) []step {
	var all []step
	for _, g := range []struct{ groups, members, online, inFlight string }{
		{"250", "2", "1", "256"},
		{"50", "10", "1", "128"},
		{"5", "100", "1", "64"},
		{"1", "1000", "0.5", "16"},
		{"1", "10000", "0.05", "16"},
	} {
		all = append(all, step{name: "fanout-" + g.members, args: []string{
			"fanout", "--groups", g.groups, "--members", g.members, "--online", g.online, "--in-flight", g.inFlight, "--transport", "ws", "--duration", d.String(),
		}})
	}
	return all
}

// dialects are the same sends through both dialects.
func dialects(d time.Duration) []step {
	var all []step
	for _, inFlight := range []int{64, 512} {
		for _, dialect := range []string{"native", "leanmessage"} {
			all = append(all, step{
				name: fmt.Sprintf("dialect-%s-%d", dialect, inFlight), title: fmt.Sprintf("%s, %d in flight", dialect, inFlight), args: []string{
					"ingest", "--dialect", dialect, "--conversations", "512", "--in-flight", fmt.Sprint(inFlight), "--transport", "ws", "--duration", d.String(),
				},
			})
		}
	}
	return all
}

// dialectFanouts are the same messages told to members who speak one of them: as
// many as can be, and as many for both.
func dialectFanouts(d time.Duration) []step {
	var all []step
	for _, load := range []struct{ name, title, flag, value string }{
		{"", ", 16 in flight", "--in-flight", "16"}, {"-rate", ", 500 messages a second", "--rate", "500"},
	} {
		for _, dialect := range []string{"native", "leanmessage"} {
			all = append(all, step{name: "dialect-fanout-" + dialect + load.name, title: dialect + load.title, args: []string{
				"fanout", "--dialect", dialect, "--members", "400", "--online", "1", load.flag, load.value, "--transport", "ws", "--duration", d.String(),
			}})
		}
	}
	return all
}

// connections are sessions that follow some conversations each.
func connections(transport, title string, conversations int) step {
	return step{
		name: fmt.Sprintf("sessions-%s-%d", transport, conversations), title: fmt.Sprintf("%s, %d conversations", title, conversations),
		args: []string{"connections", "--sessions", "5000", "--conversations", fmt.Sprint(conversations), "--transport", transport},
	}
}
