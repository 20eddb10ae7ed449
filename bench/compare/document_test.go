package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exampleBook has been measured in part.
func exampleBook(t *testing.T) *book {
	t.Helper()
	b := &book{dir: t.TempDir(), records: map[string]*record{}, nats: example()}
	const setting = `"scenario":"ingest","commit":"abcdef","machine":{"cores":2,"cpu":"a machine","kernel":"linux 6","go":"go1"}`
	for name, text := range map[string]string{
		"ingest-200": `{` + setting + `,"offered_per_s":200,"completed_per_s":199.9,"latency_ms":{"p50":1.5,"p99":6,"p99_9":9,"max":12.25},
			"server_cpu_us_per_message":432.1,"disk_bytes_per_payload_byte":12.5,"sync_ms":{"p50":0.5,"p99":3}}`,
		full:                  `{` + setting + `,"offered_per_s":2000,"completed_per_s":2000,"latency_ms":{"p50":20,"p99":90}}`,
		"ingest-25-percent":   `{` + setting + `,"offered_per_s":500,"completed_per_s":500,"latency_ms":{"p50":2,"p99":20}}`,
		"ingest-90-percent":   `{` + setting + `,"offered_per_s":1800,"completed_per_s":1790,"latency_ms":{"p50":8,"p99":120}}`,
		"ingest-1000-percent": `{` + setting + `,"offered_per_s":20000,"completed_per_s":1900,"latency_ms":{"p50":3000,"p99":9000},"over_limit":90000}`,
		"fanout-2":            `{"commit":"abcdef","sessions":500,"members":2,"groups":250,"deliveries_per_s":20000,"delivery_ms":{"p50":1,"p99":2}}`,
		"fanout-1000":         `{"commit":"abcdef","sessions":500,"members":1000,"groups":1,"deliveries_per_s":200000,"delivery_ms":{"p50":10,"p99":99.5}}`,
		"history":             `{"commit":"abcdef","reads":[{"by":"seq","cache":"cold","completed_per_s":1000,"messages_per_s":50000,"latency_ms":{"p50":1}},{"by":"time","cache":"warm"}]}`,
		"login":               `{"commit":"abcdef","alone":[{"conversations":1,"latency_ms":{"p50":3}},{"conversations":5000,"latency_ms":{"p50":30}}],"crowd":{"sessions":500,"conversations":50,"missed":25,"took_s":2.5}}`,
		"failover":            `{"commit":"abcdef","conversations":10000,"longest_without_success_ms":2345.6,"again_ms":{"p50":700,"p99":1500,"max":2100},"acknowledged":13000}`,
		"cost":                `{"commit":"abcdef","comparisons":[{"of":"members","small":{"size":2,"server_cpu_us_per_message":100},"large":{"size":10000,"server_cpu_us_per_message":110},"ratio":1.1}]}`,
	} {
		others := 0.25
		r := &record{Others: &others, Name: name, Command: "quorate bench " + name, Shards: 16, Report: json.RawMessage(text)}
		if err := b.keep(r); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestDocument(t *testing.T) {
	b := exampleBook(t)
	path := filepath.Join(b.dir, "performance.md")
	if err := b.publish(suite(time.Second), path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "performance.md.golden", string(text))
	for _, plot := range regexp.MustCompile(`performance/([a-z0-9-]+)\.svg`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(b.place(plot[1])); err != nil {
			t.Errorf("the document shows a plot that is not drawn: %v", err)
		}
	}
	for _, absent := range []string{"## Sessions", "## Sizes", "## More than", "NaN", "<no value>"} {
		if strings.Contains(string(text), absent) {
			t.Errorf("the document has %q", absent)
		}
	}
}

func TestPlots(t *testing.T) {
	b := exampleBook(t)
	for range 2 { // the second time must not differ
		if _, err := b.draw(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"nats", "latency"} {
			text, err := os.ReadFile(b.place(name))
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, name+".svg.golden", string(text))
		}
	}
}

func TestBookIsReadBack(t *testing.T) {
	b := exampleBook(t)
	if err := keepJSON(filepath.Join(b.dir, natsFile), b.nats); err != nil {
		t.Fatal(err)
	}
	back, err := openBook(b.dir, suite(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]bool{}
	want, err := b.document(suite(time.Second), drawn)
	if err != nil {
		t.Fatal(err)
	}
	got, err := back.document(suite(time.Second), drawn)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "ingest-200.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openBook(b.dir, suite(time.Second)); err == nil {
		t.Error("a broken file is passed over")
	}
}

func TestRatesFollowFromWhatIsTaken(t *testing.T) {
	b := exampleBook(t)
	got := map[string]float64{}
	for _, g := range suite(time.Second) {
		for _, s := range g.steps {
			if s.rate != nil {
				got[s.name] = s.rate(b)
			}
		}
	}
	want := map[string]float64{
		"ingest-10-percent": 200, "ingest-25-percent": 500, "ingest-50-percent": 1000,
		"ingest-75-percent": 1500, "ingest-90-percent": 1800, "ingest-1000-percent": 20_000,
	}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestStepsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{natsFile: true}
	for _, g := range suite(time.Second) {
		for _, s := range g.steps {
			if seen[s.name] {
				t.Errorf("two steps are %s", s.name)
			}
			seen[s.name] = true
		}
	}
}

func TestNumber(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "999": 999, "1,000": 999.6, "12,345,678": 12_345_678, "-1,234": -1234} {
		if got := number(v, 0); got != want {
			t.Errorf("number(%v, 0) = %s, want %s", v, got, want)
		}
	}
	if got := number(1234.567, 2); got != "1,234.57" {
		t.Errorf("number(1234.567, 2) = %s", got)
	}
}
