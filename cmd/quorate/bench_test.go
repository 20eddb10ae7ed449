package main

import (
	"bytes"
	"strings"
	"testing"
)

// try runs a command as a person does.
func try(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestBenchHelp: each measurement says what it does, with an example.
func TestBenchHelp(t *testing.T) {
	for _, scenario := range []string{"ingest", "fanout", "connections", "history", "login", "failover", "cost"} {
		code, out, _ := try(t, "bench", scenario, "--help")
		if code != exitDone || !strings.Contains(out, "Example") || !strings.Contains(out, "quorate bench "+scenario+" --") {
			t.Errorf("bench %s --help exits with %d and prints %s", scenario, code, out)
		}
	}
}

// TestBenchMisuse: what makes no sense is refused before anything is asked for or
// started, with the reason.
func TestBenchMisuse(t *testing.T) {
	t.Setenv("QUORATE_PROFILE", t.TempDir()+"/none.json")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"bodies of 0 bytes", []string{"ingest", "--body", "0"}},
		{"a rate of -1", []string{"ingest", "--rate=-1"}},
		{"leave --rate out", []string{"ingest", "--search", "--rate", "5"}},
		{"a search from 0", []string{"ingest", "--search", "--search-from", "0"}},
		{"at least one for each of 8 connections", []string{"ingest", "--in-flight", "7"}},
		{"want more than 0 and at most 1", []string{"fanout", "--online", "2"}},
		{"want 1 to 1000", []string{"history", "--page", "1001"}},
		{"not ascending", []string{"login", "--counts", "5,1"}},
		{"cannot send", []string{"connections", "--conversations", "0", "--rate", "1"}},
		{"two numbers each", []string{"cost", "--members", "1"}},
		{"nothing to compare", []string{"cost", "--members", "0,0", "--stored", "0,0"}},
		{"survive no failure", []string{"failover", "--nodes", "2"}},
		{"no server is known", []string{"ingest"}},
	} {
		code, out, errs := try(t, append([]string{"bench"}, c.args...)...)
		if code != exitMisused || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%v exits with %d and says %q, want %q", c.args, code, errs, c.want)
		}
	}
}
