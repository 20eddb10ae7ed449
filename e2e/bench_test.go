//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// figures is what these tests look at of what "bench … --json" prints.
type figures struct {
	Commit    string  `json:"commit"`
	Completed float64 `json:"completed_per_s"`
	Errors    int     `json:"errors"`
	ServerCPU float64 `json:"server_cpu_us_per_message"`
	DiskBytes float64 `json:"disk_bytes_per_payload_byte"`
	Latency   struct {
		P50 float64 `json:"p50"`
		Max float64 `json:"max"`
	} `json:"latency_ms"`
	Sync struct {
		P50 float64 `json:"p50"`
	} `json:"sync_ms"`
}

func (f *figures) check(t *testing.T, scenario string) {
	t.Helper()
	if f.Completed <= 0 || f.Errors != 0 || f.ServerCPU <= 0 || f.Latency.P50 <= 0 || f.Latency.Max < f.Latency.P50 {
		t.Errorf("%s: %+v", scenario, f)
	}
}

// bench runs a measurement and reads what it prints.
func bench(t *testing.T, c *Cluster, into any, args ...string) {
	t.Helper()
	out, err := c.Try(nil, slices.Concat([]string{"bench"}, args, []string{"--json"})...)
	if err != nil {
		t.Fatalf("bench %v: %v", args, err)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("bench %v prints %q, want one object: %v", args, out, err)
	}
}

// shortly is a load for a moment.
func shortly(scenario string, args ...string) []string {
	return append([]string{scenario, "--warmup", "200ms", "--duration", "1s"}, args...)
}

// TestBench runs each measurement of a running cluster once, for a moment. It is
// about what they say, not about how fast the cluster is.
func TestBench(t *testing.T) {
	c := Start(t, 17900)
	t.Run("ingest", func(t *testing.T) {
		for _, transport := range []string{"ws", "quic"} {
			var f figures
			bench(t, c, &f, shortly("ingest", "--transport", transport, "--rate", "200", "--body", "128")...)
			if f.check(t, transport); f.DiskBytes < 3 || f.Sync.P50 <= 0 || f.Commit == "" || f.Completed > 210 {
				t.Errorf("%s: %+v; want at least three bytes on three disks for each", transport, f)
			}
		}
		var s struct {
			Saturation float64          `json:"saturation_per_s"`
			Steps      []map[string]any `json:"steps"`
		}
		if bench(t, c, &s, shortly("ingest", "--search", "--search-from", "100", "--search-p99", "10s", "--limit", "100")...); s.Saturation < 100 || len(s.Steps) < 2 {
			t.Errorf("search: %+v", s)
		}
	})
	t.Run("fanout", func(t *testing.T) {
		for _, members := range []string{"2", "600"} { // users speak, and the app speaks
			var f struct {
				figures
				Sessions   int     `json:"sessions"`
				Deliveries float64 `json:"deliveries_per_s"`
				Missing    int     `json:"missing"`
			}
			bench(t, c, &f, shortly("fanout", "--members", members, "--online", "0.1", "--rate", "50")...)
			if f.check(t, members); f.Missing != 0 || f.Deliveries < float64(f.Sessions)*f.Completed/2 {
				t.Errorf("to %s members: %+v", members, f)
			}
		}
	})
	t.Run("connections", func(t *testing.T) {
		var f struct {
			Sessions   int `json:"sessions"`
			PerSession struct {
				Goroutines float64 `json:"goroutines"`
			} `json:"per_session"`
			Light figures `json:"light"`
		}
		bench(t, c, &f, "connections", "--sessions", "20", "--conversations", "2", "--rate", "5", "--idle", "1s", "--settle", "1s")
		if f.Light.check(t, "light"); f.Sessions != 20 || f.PerSession.Goroutines < 1 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("history", func(t *testing.T) {
		for _, found := range []bool{false, true} {
			var f struct {
				Found bool `json:"found"`
				Reads []struct {
					figures
					By       string  `json:"by"`
					Cache    string  `json:"cache"`
					Messages float64 `json:"messages_per_s"`
				} `json:"reads"`
			}
			bench(t, c, &f, shortly("history", "--set", "e2e", "--conversations", "8", "--messages", "40", "--page", "10", "--in-flight", "8")...)
			if f.Found != found || len(f.Reads) != 4 {
				t.Errorf("%+v; want them to be found: %v", f, found)
			}
			for _, r := range f.Reads {
				if r.check(t, r.By+" "+r.Cache); r.Messages < 2*r.Completed {
					t.Errorf("%+v: pages are short", r)
				}
			}
		}
	})
	t.Run("login", func(t *testing.T) {
		var f struct {
			Alone []struct {
				Conversations int     `json:"conversations"`
				Followed      int     `json:"followed"`
				ServerCPU     float64 `json:"server_cpu_us_per_login"`
			} `json:"alone"`
			Crowd struct {
				figures
				Changed int `json:"changed"`
				Missed  int `json:"missed"`
			} `json:"crowd"`
		}
		bench(t, c, &f, "login", "--counts", "1,30", "--rounds", "2", "--sessions", "20", "--conversations", "5", "--members", "5", "--changed", "0.1")
		if f.Crowd.check(t, "crowd"); len(f.Alone) != 2 || f.Alone[1].Followed != 30 || f.Alone[1].ServerCPU <= 0 || f.Crowd.Changed != 2 || f.Crowd.Missed != 10 {
			t.Errorf("%+v", f)
		}
	})
}

// TestBenchOwn runs the measurements that start clusters of their own.
func TestBenchOwn(t *testing.T) {
	c := &Cluster{t: t, binary: binary(t)}
	t.Run("failover", func(t *testing.T) {
		var f struct {
			figures
			Longest      float64 `json:"longest_without_success_ms"`
			Acknowledged int     `json:"acknowledged"`
			Lost         int     `json:"lost"`
			Silent       int     `json:"silent"`
		}
		bench(t, c, &f, "failover", "--conversations", "200", "--rate", "100", "--before", "1s", "--after", "5s", "--dir", t.TempDir())
		// 600 under the load, and one in each conversation.
		if f.Lost != 0 || f.Silent != 0 || f.Acknowledged != 800 || f.Longest < 100 || f.Longest > 20_000 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("cost", func(t *testing.T) {
		var f struct {
			Comparisons []struct {
				Ratio float64 `json:"ratio"`
			} `json:"comparisons"`
		}
		out, _ := c.Try(nil, "bench", "cost", "--rate", "100", "--rounds", "1", "--warmup", "100ms", "--duration", "1s",
			"--members", "2,600", "--stored", "10,20", "--json", "--dir", t.TempDir()) // so short, the costs may well differ
		if err := json.Unmarshal([]byte(out), &f); err != nil || len(f.Comparisons) != 3 || f.Comparisons[0].Ratio <= 0 || f.Comparisons[1].Ratio <= 0 {
			t.Errorf("%v of %s", err, out)
		}
	})
}
