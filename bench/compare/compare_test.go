package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 4}, 4},
		{[]float64{100, 1, 4, 2}, 3},
	} {
		before := append([]float64(nil), c.values...)
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
		if !cmp.Equal(before, c.values) {
			t.Errorf("median changed its input to %v", c.values)
		}
	}
}

func TestMedianTakesEachFigureByItself(t *testing.T) {
	one := func(completed, p99, cpu float64) *sample {
		return &sample{loadReport: loadReport{Completed: completed, Latency: latency{P99: p99}}, ServerCPU: cpu}
	}
	got := medianOf([]*sample{one(10, 3, 7), one(20, 1, 8), one(30, 2, 9)})
	if want := *one(20, 2, 8); got != want {
		t.Errorf("%v, want %v", &got, &want)
	}
}

func TestParseProcStat(t *testing.T) {
	// The name holds what would end a careless parser.
	text := "4242 (a ) 1 2 b) S 1 4242 4242 0 -1 4194560 5187 0 11 0 250 50 7 9 20 0 9 0 1234 1 2 3"
	got, err := parseProcStat(text)
	if err != nil || got != 3*time.Second {
		t.Errorf("%v, %v, want 3s", got, err)
	}
	for _, bad := range []string{"", "4242 (a) S 1", strings.Replace(text, " 250 ", " x ", 1)} {
		if _, err := parseProcStat(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestParseMachineStat(t *testing.T) {
	// user nice system idle iowait irq softirq steal guest guest_nice
	got, err := parseMachineStat("cpu  100 200 300 9999 9999 1 2 97 5 6\ncpu0 1 2 3\n")
	if err != nil || got != 7*time.Second {
		t.Errorf("%v, %v, want 7s", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9"} {
		if _, err := parseMachineStat(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestOwnProcessorTimeIsRead(t *testing.T) {
	if _, err := cpuOf([]int{os.Getpid()}); err != nil {
		t.Error(err)
	}
	if total, err := busy(); err != nil || total <= 0 {
		t.Errorf("%v, %v", total, err)
	}
}

func TestPlanInterleavesAndTurnsAround(t *testing.T) {
	setups := []setup{{System: "a"}, {System: "b"}, {System: "c", record: true}}
	var got []string
	for _, turn := range plan(setups, 3, 1) {
		got = append(got, fmt.Sprint(turn.round, setups[turn.setup].System))
	}
	if want := "1a 1b 1c 2b 2a 3a 3b"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestEveryConnectionSendsToAllStreams(t *testing.T) {
	r := &natsLoadRun{streams: 8, subjects: 64, connections: 8}
	seen := map[string]bool{}
	for i := range r.connections {
		streams := map[string]bool{}
		for _, s := range r.subjectsOf(i) {
			if seen[s] {
				t.Errorf("%s is sent to by two connections", s)
			}
			seen[s] = true
			streams[s[:len("bench.0")]] = true
		}
		if len(streams) != r.streams {
			t.Errorf("connection %d sends to %d streams, want %d", i, len(streams), r.streams)
		}
	}
	if len(seen) != r.subjects {
		t.Errorf("%d subjects, want %d", len(seen), r.subjects)
	}
	few := &natsLoadRun{streams: 1, subjects: 1, connections: 8}
	if got := few.subjectsOf(7); len(got) != 1 {
		t.Errorf("the last of more connections than subjects sends to %v", got)
	}
}

func TestNATSNodeIsConfigured(t *testing.T) {
	n := natsNode{Node: 2, Client: 4001, Route: 5001, Routes: []int{5000, 5001}, Dir: "/d/n2", Always: true}
	got, err := n.config()
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "nats.conf.golden", got)
	n.Always = false
	if got, err = n.config(); err != nil || strings.Contains(got, "sync_interval") {
		t.Errorf("%v: the default has\n%s", err, got)
	}
}

// example is a result with two rounds of what makes the ratio.
func example() *result {
	c := &comparison{inFlight: []int{64, 512}}
	c.base = load{duration: 8 * time.Second, body: 256, connections: 8, conversations: 64}
	setups := c.setups("compare")[:2]
	r := newResult(c, setups)
	r.At, r.Commit, r.Machine, r.NATS = "2026-01-02T03:04:05Z", "abcdef", "a machine, 2 cores", "v2"
	for i, completed := range []float64{20_000, 8_000, 30_000, 12_000} {
		s := &sample{
			loadReport: loadReport{Completed: completed, Latency: latency{P50: 2, P99: 20, P999: 30, Max: 40}},
			ServerCPU:  1e6 / completed, ClientCPU: 10, Others: 0.1, SyncMS: latency{P50: 0.5, P99: 4},
		}
		r.add(i%2, 64, s)
		more := *s
		more.Completed *= 2
		r.add(i%2, 512, &more)
	}
	return r
}

func TestTableAndRatioLine(t *testing.T) {
	c := &comparison{out: filepath.Join(t.TempDir(), "result.json")}
	var out bytes.Buffer
	if err := c.publish(example(), &out); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "table.golden", out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last map[string]float64
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("the last line is not JSON: %v", err)
	}
	if want := map[string]float64{"ratio_64": 2.5, "ratio_512": 2.5}; !cmp.Equal(last, want) {
		t.Error(cmp.Diff(want, last))
	}
}

func TestResultIsReadBack(t *testing.T) {
	c := &comparison{out: filepath.Join(t.TempDir(), "result.json")}
	if err := c.publish(example(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.out)
	if err != nil {
		t.Fatal(err)
	}
	back := &result{}
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	if got, want := back.ratios(), example().ratios(); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestWatchWantsToKnowWhenTheWarmUpBegins(t *testing.T) {
	w := &window{pids: []int{os.Getpid()}, load: os.Getpid(), duration: time.Second}
	var log bytes.Buffer
	err := w.watch(t.Context(), strings.NewReader("opening connections\n"), &log)
	if err == nil || !strings.Contains(err.Error(), measuring) {
		t.Errorf("%v", err)
	}
	if log.String() != "opening connections\n" {
		t.Errorf("logged %q", log.String())
	}
	if err := w.watch(t.Context(), strings.NewReader(measuring+" 2s\n"), &log); err == nil {
		t.Error("a load that ends before its time is taken")
	}
}

func TestFailedMessagesFailTheMeasurement(t *testing.T) {
	w := &window{took: time.Second, servers: time.Second / 2, client: time.Second / 10, machine: time.Second}
	if _, err := w.sample([]byte(`{"completed_per_s":1,"messages":10,"errors":1}`)); err == nil {
		t.Error("an error is passed over")
	}
	got, err := w.sample([]byte(`{"completed_per_s":1000,"messages":8000,"errors":0,"seconds":8,"latency_ms":{"p50":1,"p99":2,"p99_9":3,"max":4}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &sample{
		loadReport: loadReport{Completed: 1000, Messages: 8000, Seconds: 8, Latency: latency{P50: 1, P99: 2, P999: 3, Max: 4}},
		ServerCPU:  500, ClientCPU: 100, Others: 0.4,
	}
	if *got != *want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestMisuseIsToldFromFailure(t *testing.T) {
	for _, args := range [][]string{nil, {"other"}, {"nats", "-rounds", "0"}, {"nats", "-unknown"}, {"nats-load", "-in-flight", "1"}} {
		if code := run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); code != 2 {
			t.Errorf("%v: exit code %d, want 2", args, code)
		}
	}
	if code := run(t.Context(), []string{"nats", "-h"}, &bytes.Buffer{}, &bytes.Buffer{}); code != 0 {
		t.Errorf("-h: exit code %d, want 0", code)
	}
}

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// checkGolden compares with a file.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-rewrite writes it anew):\n%s", path, diff)
	}
}
