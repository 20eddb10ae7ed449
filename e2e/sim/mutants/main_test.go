package main

import (
	"testing"

	"github.com/quorate/quorate/mutant"
)

// TestEveryMutantHasAProof: who plants a bug says how it is found.
func TestEveryMutantHasAProof(t *testing.T) {
	proved := map[mutant.Mutant]int{}
	for i := range proofs {
		p := &proofs[i]
		proved[p.mutant]++
		ways := 0
		for _, there := range []bool{p.scenario != "", p.seeds, p.test != "" && p.pkg != ""} {
			if there {
				ways++
			}
		}
		if ways != 1 {
			t.Errorf("%v has %d ways to be found, want 1", p.mutant, ways)
		}
	}
	for _, m := range mutant.All() {
		if proved[m] != 1 {
			t.Errorf("%v has %d proofs, want 1", m, proved[m])
		}
	}
}

func TestComplaint(t *testing.T) {
	for out, want := range map[string]string{
		"--- FAIL: TestX (0.1s)\n    seed_test.go:95: A1: lost\n    seed_test.go:95: A2: twice\n": "A1: lost",
		"SIM RESULT {\"failures\":[\"A3: twice\",\"A4: late\"]}\nFAIL\n":                          "A3: twice",
		"SIM RESULT {\"failures\":[\"A5 unknown: given up\",\"A4: late\"]}\n":                     "A4: late",
		"SIM RESULT {\"failures\":[\"A5 unknown: given up\"]}\n":                                  "",
		"panic: refused\n\ngoroutine 1\n":                                                         "panic: refused",
		"":                                                                                        "test",
	} {
		if got := complaint(out, testError("test")); got != want {
			t.Errorf("complaint(%q) = %q, want %q", out, got, want)
		}
	}
}

type testError string

func (e testError) Error() string { return string(e) }
